/** Where a room is at a moment: the playback state read as a line through time. */

import type { PlaybackState } from "../contract";

/** A live position below this cannot be a date: the state names no moment yet, so the delay decides. */
const FIRST_PLAUSIBLE_DATE_S = 1_000_000_000;

export interface Timeline {
  state: PlaybackState;
  /** How far behind the publisher a live item plays, ms. */
  liveDelayMs: number;
}

/** The position in seconds at a server time; before `at` it stands still. */
export function positionAt({ state, liveDelayMs }: Timeline, serverMs: number): number {
  if (state.live && state.position < FIRST_PLAUSIBLE_DATE_S) return (serverMs - liveDelayMs) / 1000;
  if (!state.playing) return state.position;
  return state.position + (Math.max(0, serverMs - state.at) / 1000) * state.rate;
}

/** Whether players wait for a scheduled start. */
export function holding({ state }: Timeline, serverMs: number): boolean {
  return state.playing && serverMs < state.at;
}

/**
 * Whether going from one state to the next moves the position, rather than letting it run on: a seek, another
 * item, a start. A pause that names where everybody stops is no jump as long as it is near where we are.
 */
export function jumps(before: Timeline | null, after: Timeline, serverMs: number): boolean {
  if (before === null || before.state.item !== after.state.item) return true;
  return Math.abs(positionAt(before, serverMs) - positionAt(after, serverMs)) > 1;
}
