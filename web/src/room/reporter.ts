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
    const position = engine.position();
    if (position === null) return;
    socket.post({
      type: "report",
      room: store.id,
      item,
      position,
      playing: !engine.video.paused,
      buffering: engine.status.peek().buffering,
      rate: engine.video.playbackRate,
      rtt: socket.clock.delay,
      drift_ms: engine.free.peek() ? null : engine.status.peek().driftMs,
    });
  };
  const timer = setInterval(report, REPORT_MS);
  let buffering = false;
  const stop = effect(() => {
    const now = engine.status.value.buffering;
    store.ownDrift.value = engine.free.value ? null : engine.status.value.driftMs;
    if (now !== buffering) {
      buffering = now;
      report();
    }
  });
  return () => {
    clearInterval(timer);
    stop();
  };
}
