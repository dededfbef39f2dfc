/** Tells the room how we keep to it: now and then, and at once when we begin or cease to buffer. */

import { effect } from "@preact/signals";
import type { Socket } from "../net/socket";
import type { SyncEngine } from "../sync/engine";
import type { RoomStore } from "./room_store";

const REPORT_MS = 4_000;

export function startReporting(store: RoomStore, socket: Socket, engine: SyncEngine): () => void {
  const report = () => {
    const item = store.state.peek()?.item;
    if (socket.state.peek() !== "open" || store.entry.peek().step !== "in" || !item) return;
    const { buffering } = engine.status.peek();
    // Before anything has loaded there is no position but the one that is wanted.
    const position = engine.position() ?? (buffering ? engine.target() : null);
    if (position === null) return;
    socket.post({
      type: "report",
      room: store.id,
      item,
      position,
      playing: !engine.video.paused,
      buffering,
      rate: engine.video.playbackRate,
      rtt: socket.clock.delay,
      drift_ms: engine.free.peek() ? null : engine.status.peek().driftMs,
    });
  };
  const timer = setInterval(report, REPORT_MS);
  let lacking: string | null = null;
  const stop = effect(() => {
    const item = store.state.value?.item ?? null;
    const now = engine.status.value.buffering ? item : null;
    store.ownDrift.value = engine.free.value ? null : engine.status.value.driftMs;
    if (now !== lacking) {
      lacking = now;
      report();
    }
  });
  return () => {
    clearInterval(timer);
    stop();
  };
}
