/**
 * The loop around the sync core: measures the player, asks the controller, does what it says.
 *
 * It never sends a command: what a player does by itself (stalls, ends, is paused by the system) is no wish of
 * its user's. `window.__matinee` (see debug_hook.ts) shows its inside.
 */

import { signal } from "@preact/signals";
import type { Clock } from "./clock";
import { type Action, Controller, type Phase } from "./controller";
import { openPlayer } from "./open_player";
import type { LoadFailure, Player, Source } from "./player";
import { positionAt, type Timeline } from "./timeline";

const TICK_MS = 100;
/** Frames are averaged over this long; shorter flutters, longer lags behind a correction. */
const FRAME_WINDOW_MS = 350;
const MIN_FRAMES = 3;
/** The first picture is aimed this far ahead, s: what a first load costs beyond a seek. */
const LOAD_AHEAD_S = 0.15;

/** Local monotonic time on the axis of `performance.timeOrigin`, ms. */
export function localNow(): number {
  return performance.timeOrigin + performance.now();
}

export interface EngineStatus {
  phase: Phase;
  /** Position minus target, ms, smoothed for people; null where it means nothing. */
  driftMs: number | null;
  buffering: boolean;
  readyState: number;
}

export class SyncEngine {
  readonly status = signal<EngineStatus>({ phase: "idle", driftMs: null, buffering: false, readyState: 0 });
  readonly failure = signal<LoadFailure | null>(null);
  /** What has loaded so far that its length is known; null while nothing has. */
  readonly loaded = signal<Source | null>(null);
  /** The browser wants a tap before it plays (with sound). */
  readonly blocked = signal<"no" | "muted" | "tap">("no");
  readonly free = signal(false);
  readonly controller = new Controller();

  private timeline: Timeline | null = null;
  private player: Player | null = null;
  private generation = 0;
  private frames: { at: number; error: number }[] = [];
  private frameHandle = 0;
  private interval: ReturnType<typeof setInterval> | undefined;
  private startTimer: ReturnType<typeof setTimeout> | undefined;
  private stalled = false;
  private firstAim = true;
  private readonly abort = new AbortController();

  constructor(
    readonly video: HTMLVideoElement,
    readonly clock: Clock,
  ) {
    const { signal: off } = this.abort;
    const on = (name: string, act: () => void) => video.addEventListener(name, act, { signal: off });
    on("waiting", () => {
      this.stalled = true;
      this.tick();
    });
    for (const name of ["playing", "canplay", "canplaythrough"]) {
      on(name, () => {
        this.stalled = false;
        this.tick();
      });
    }
    on("seeking", () => this.forgetFrames());
    on("seeked", () => {
      this.forgetFrames();
      this.tick();
    });
    on("ratechange", () => this.forgetFrames());
    on("loadedmetadata", () => this.aim());
    this.interval = setInterval(() => this.tick(), TICK_MS);
    this.watchFrames();
  }

  /** Play something else, or nothing. */
  async load(source: Source | null): Promise<void> {
    const generation = ++this.generation;
    this.player?.destroy();
    this.player = null;
    this.failure.value = null;
    this.loaded.value = null;
    this.stalled = false;
    this.firstAim = true;
    this.forgetFrames();
    this.controller.reset(this.now());
    if (source === null) return;
    const player = await openPlayer(this.video, source, {
      failed: (failure) => {
        if (generation === this.generation) this.failure.value = failure;
      },
      loaded: () => {
        if (generation !== this.generation) return;
        this.failure.value = null;
        this.loaded.value = source;
      },
    });
    if (generation !== this.generation) {
      player?.destroy();
      return;
    }
    this.player = player;
    this.aim();
  }

  setTimeline(timeline: Timeline | null): void {
    this.timeline = timeline;
    // What was measured against the old line says nothing about the new one.
    this.forgetFrames();
    this.controller.setTimeline(timeline, this.now());
    this.tick();
  }

  setToken(token: string): void {
    this.player?.setToken(token);
  }

  retry(): void {
    this.player?.retry();
  }

  /** Free mode: the player is the user's own until he comes back. */
  setFree(free: boolean): void {
    if (this.free.value === free) return;
    this.free.value = free;
    this.video.playbackRate = this.timeline?.state.rate ?? 1;
    if (!free) this.syncNow();
  }

  /** One seek onto the room's line, whatever was before. */
  syncNow(): void {
    this.free.value = false;
    this.controller.resync(this.now());
    if (this.failure.value !== null) this.player?.retry();
    this.tick();
  }

  /** After a tap: play with sound. */
  unblock(): void {
    this.video.muted = false;
    this.blocked.value = "no";
    this.controller.resync(this.now());
    this.tick();
  }

  /** Server time now, epoch ms. */
  now(): number {
    return this.clock.serverAt(localNow());
  }

  /** The room's position, s; null without an item. */
  target(): number | null {
    return this.timeline?.state.item ? positionAt(this.timeline, this.now()) : null;
  }

  /** The player's position on the room's axis, s. */
  position(): number | null {
    const offset = this.player?.offset();
    if (offset === null || offset === undefined || this.video.readyState < 1) return null;
    return this.video.currentTime + offset;
  }

  /** Seconds of what plays, where it has an end. */
  duration(): number | null {
    return this.player?.duration() ?? null;
  }

  range(): { earliest: number; latest: number } {
    return this.player?.range() ?? { earliest: 0, latest: 0 };
  }

  /** Move the player itself; only free mode does that. */
  seekLocally(to: number): void {
    const offset = this.player?.offset();
    if (typeof offset === "number") this.video.currentTime = Math.max(0, to - offset);
  }

  /** Position of the shown frame minus the room's, s: by frames where they flow, else by the media clock. */
  positionError(): number | null {
    const oldest = localNow() - FRAME_WINDOW_MS;
    this.frames = this.frames.filter((f) => f.at >= oldest);
    if (this.frames.length >= MIN_FRAMES && !this.video.paused) {
      const sorted = this.frames.map((f) => f.error).sort((a, b) => a - b);
      return sorted[sorted.length >> 1] ?? null;
    }
    const position = this.position();
    const target = this.target();
    return position === null || target === null ? null : position - target;
  }

  destroy(): void {
    this.generation += 1;
    clearInterval(this.interval);
    clearTimeout(this.startTimer);
    this.abort.abort();
    if (this.frameHandle) this.video.cancelVideoFrameCallback?.(this.frameHandle);
    this.player?.destroy();
    this.player = null;
  }

  /** Ask the controller and obey. */
  tick(): void {
    const now = this.now();
    const { video } = this;
    this.armStart(now);
    const error = this.positionError();
    const target = this.target();
    if (this.free.value || this.player === null || !this.clock.ready) {
      this.report(this.free.value || this.timeline === null ? "idle" : "waiting", error);
      return;
    }
    const { earliest, latest } = this.player.range();
    const decision = this.controller.decide(
      {
        position: error === null || target === null ? null : target + error,
        paused: video.paused,
        seeking: video.seeking,
        buffering: this.stalled && video.readyState < 3,
        ended: video.ended,
        readyState: video.readyState,
        rate: video.playbackRate,
        earliest,
        latest: latest > earliest ? latest : Number.POSITIVE_INFINITY,
      },
      now,
    );
    for (const action of decision.actions) this.act(action);
    this.report(decision.phase, decision.error);
  }

  private act(action: Action): void {
    const { video } = this;
    switch (action.kind) {
      case "rate":
        video.playbackRate = action.rate;
        break;
      case "seek":
        this.seekLocally(action.to);
        break;
      case "pause":
        video.pause();
        this.forgetFrames();
        break;
      case "play":
        if (this.blocked.value !== "tap") void this.play();
        break;
    }
  }

  /** Play; where the browser's policy forbids it, play muted; where it forbids that too, ask for a tap. */
  private async play(): Promise<void> {
    const { video, generation } = this;
    try {
      await video.play();
    } catch (error) {
      if (!(error instanceof DOMException) || error.name !== "NotAllowedError") return;
      if (generation !== this.generation) return;
      if (video.muted) {
        this.blocked.value = "tap";
        return;
      }
      video.muted = true;
      try {
        await video.play();
        this.blocked.value = "muted";
      } catch {
        video.muted = false;
        this.blocked.value = "tap";
      }
    }
  }

  /** A scheduled start wants its moment, not the next tick. */
  private armStart(now: number): void {
    clearTimeout(this.startTimer);
    const at = this.controller.startAt(now);
    if (at !== null && at - now < 2_000)
      this.startTimer = setTimeout(() => this.tick(), Math.max(0, at - now + 0.5));
  }

  /** Before the first frame: be near the room's place, so that the first picture is already the right one. */
  private aim(): void {
    const target = this.target();
    if (!this.firstAim || target === null || this.video.readyState < 1 || this.player === null) return;
    const offset = this.player.offset();
    if (offset === null) return;
    this.firstAim = false;
    const { earliest, latest } = this.player.range();
    const ahead = this.timeline?.state.playing ? LOAD_AHEAD_S + this.controller.seekCost : 0;
    const to = Math.max(earliest, latest > earliest ? Math.min(target + ahead, latest) : target + ahead);
    if (Math.abs(to - offset - this.video.currentTime) > 0.02)
      this.video.currentTime = Math.max(0, to - offset);
  }

  private watchFrames(): void {
    if (typeof this.video.requestVideoFrameCallback !== "function") return;
    const onFrame = (_now: number, frame: VideoFrameCallbackMetadata) => {
      this.frameHandle = this.video.requestVideoFrameCallback(onFrame);
      const offset = this.player?.offset();
      if (typeof offset !== "number" || this.timeline === null || this.video.seeking) return;
      const local = performance.timeOrigin + frame.expectedDisplayTime;
      const target = positionAt(this.timeline, this.clock.serverAt(local));
      this.frames.push({ at: local, error: frame.mediaTime + offset - target });
      if (this.frames.length > 64) this.frames.shift();
    };
    this.frameHandle = this.video.requestVideoFrameCallback(onFrame);
  }

  private forgetFrames(): void {
    this.frames = [];
  }

  private report(phase: Phase, error: number | null): void {
    const { video } = this;
    const before = this.status.peek();
    const shown = error !== null && (phase === "following" || phase === "idle" || phase === "paused");
    const driftMs = shown ? Math.round(error * 1000) : null;
    // While the room waits all players are paused: ready is who has enough to play on.
    const held = this.timeline?.state.hold != null && !this.free.value;
    // What has not loaded at all cannot even be told to play; what failed is waited for in vain.
    const wants = held || (phase === "waiting" && (!video.paused || video.readyState < 1));
    const buffering = wants && video.readyState < 3 && this.player !== null && this.failure.peek() === null;
    if (
      before.phase !== phase ||
      before.driftMs !== driftMs ||
      before.buffering !== buffering ||
      before.readyState !== video.readyState
    ) {
      this.status.value = { phase, driftMs, buffering, readyState: video.readyState };
    }
  }
}
