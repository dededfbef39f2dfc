/**
 * `window.__matinee`: the inside of the page for tests and for the curious, read only.
 *
 * - `driftMs()`: position of the shown frame minus the room's, ms (null while it means nothing)
 * - `positionError()`: the same in s, as the controller sees it
 * - `target()`, `position()`: the room's place and ours, s
 * - `serverNow()`: server time, epoch ms; `clock`: offset, delay, drift, samples
 * - `state`: the room's playback state; `status`: what the sync engine is doing; `connection`: the socket's state
 * - `seekCost`, `startLead`: what was learned about this player, s
 */

import type { PlaybackState } from "./contract";
import type { Clock } from "./sync/clock";
import { type EngineStatus, localNow, type SyncEngine } from "./sync/engine";

export interface DebugHook {
  driftMs(): number | null;
  positionError(): number | null;
  target(): number | null;
  position(): number | null;
  serverNow(): number;
  readonly clock: { ready: boolean; offset: number; delay: number; drift: number; samples: number };
  readonly state: PlaybackState | null;
  readonly status: EngineStatus;
  readonly connection: string;
  readonly seekCost: number;
  readonly startLead: number;
}

declare global {
  interface Window {
    __matinee?: DebugHook;
  }
}

export function installDebugHook(
  engine: SyncEngine,
  clock: Clock,
  state: () => PlaybackState | null,
  connection: () => string,
): () => void {
  const hook: DebugHook = {
    driftMs() {
      const error = engine.positionError();
      return error === null ? null : error * 1000;
    },
    positionError: () => engine.positionError(),
    target: () => engine.target(),
    position: () => engine.position(),
    serverNow: () => engine.now(),
    get clock() {
      return {
        ready: clock.ready,
        offset: clock.offsetAt(localNow()),
        delay: clock.delay,
        drift: clock.drift,
        samples: clock.samples,
      };
    },
    get state() {
      return state();
    },
    get status() {
      return engine.status.peek();
    },
    get connection() {
      return connection();
    },
    get seekCost() {
      return engine.controller.seekCost;
    },
    get startLead() {
      return engine.controller.startLead;
    },
  };
  window.__matinee = hook;
  return () => {
    if (window.__matinee === hook) delete window.__matinee;
  };
}
