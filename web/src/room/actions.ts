/** What pressing a button does: a command to the room, or in free mode to the player alone. */

import type { SyncEngine } from "../sync/engine";
import { positionAt } from "../sync/timeline";
import type { RoomStore } from "./room_store";

export class Actions {
  constructor(
    private readonly store: RoomStore,
    private readonly engine: SyncEngine,
  ) {}

  get free(): boolean {
    return this.engine.free.value;
  }

  /** Whether pressing play or seeking does anything here. */
  get mayPlay(): boolean {
    return this.free || this.store.can("PLAY_CONTROL");
  }

  toggle(): void {
    const state = this.store.state.peek();
    if (!state?.item || !this.mayPlay) return;
    const { video } = this.engine;
    if (this.free) {
      if (video.paused) void video.play().catch(() => undefined);
      else video.pause();
    } else {
      void this.store.command({ action: state.playing ? "pause" : "play" });
    }
  }

  seek(to: number): void {
    const state = this.store.state.peek();
    if (!state?.item || !this.mayPlay || !Number.isFinite(to)) return;
    if (this.free) this.engine.seekLocally(to);
    else void this.store.command({ action: "seek", position: Math.max(0, Number(to.toFixed(3))) });
  }

  seekBy(seconds: number): void {
    const state = this.store.state.peek();
    if (state === null) return;
    const liveDelayMs = this.store.settings.peek().live_delay_ms ?? 3_000;
    const here = this.free ? this.engine.position() : positionAt({ state, liveDelayMs }, this.engine.now());
    if (here !== null) this.seek(here + seconds);
  }

  /** Back to where a live item normally plays: the room knows how near to now that is when it gets there. */
  goLive(): void {
    const behindMs = this.free ? (this.store.settings.peek().live_delay_ms ?? 3_000) : 0;
    this.seek((this.engine.now() - behindMs) / 1000);
  }

  rate(rate: number): void {
    if (this.free) this.engine.video.playbackRate = rate;
    else void this.store.command({ action: "rate", rate });
  }
}
