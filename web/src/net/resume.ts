/**
 * What a connection must remember to come back without gap or repeat. Pure: frames in, decisions out.
 *
 * `seq` rises with holes, so a hole proves nothing; only the server can say whether all that was missed came
 * again (`resumed`) or everything has to be taken anew (`joined`).
 */

import type { Joined, Resumed } from "../contract";

export interface Cursor {
  seq: number;
  epoch: string | number;
}

/** What opens a room's door: its password, or an invitation, which needs none. */
export interface DoorKey {
  password?: string;
  invitation?: string;
}

export interface JoinFrame extends DoorKey {
  type: "join";
  room: string;
  after?: number;
  epoch?: string | number;
}

export class RoomCursor {
  private cursor: Cursor | null = null;

  constructor(readonly room: string) {}

  get position(): Cursor | null {
    return this.cursor;
  }

  /** The frame that joins, or goes on where we were. */
  joinFrame(key: DoorKey = {}): JoinFrame {
    const frame: JoinFrame = { type: "join", room: this.room, ...key };
    if (this.cursor !== null) {
      frame.after = this.cursor.seq;
      frame.epoch = this.cursor.epoch;
    }
    return frame;
  }

  /** The whole room was sent: it begins here. */
  joined(frame: Pick<Joined, "seq" | "epoch">): void {
    this.cursor = { seq: frame.seq, epoch: frame.epoch };
  }

  /** The missed events follow; false means the server resumed something that is not ours: join anew. */
  resumed(frame: Pick<Resumed, "after" | "epoch">): boolean {
    if (this.cursor === null || frame.epoch !== this.cursor.epoch || frame.after > this.cursor.seq) {
      this.cursor = null;
      return false;
    }
    return true;
  }

  /** Whether an event is news; if so it counts as seen. */
  accept(seq: number): boolean {
    if (this.cursor === null || seq <= this.cursor.seq) return false;
    this.cursor = { seq, epoch: this.cursor.epoch };
    return true;
  }

  forget(): void {
    this.cursor = null;
  }
}

export const FIRST_WAIT_MS = 250;
export const LONGEST_WAIT_MS = 15_000;

/** How long to wait before the n-th try (from 0) to reconnect: doubling, with full jitter above half. */
export function backoffMs(attempt: number, random: number): number {
  const whole = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(attempt, 10));
  return whole / 2 + (whole / 2) * random;
}

export type Reconnect =
  /** At once: the server goes away or could not keep up, nothing is wrong with us. */
  | "now"
  /** With a new token first. */
  | "renew"
  /** After a while. */
  | "later";

/** What to do after a close, by its code. */
export function afterClose(code: number): Reconnect {
  if (code === 4001) return "renew";
  return code === 4012 || code === 4008 || code === 1012 ? "now" : "later";
}
