import { describe, expect, it } from "vitest";
import {
  afterClose,
  backoffMs,
  type DoorKey,
  FIRST_WAIT_MS,
  LONGEST_WAIT_MS,
  RoomCursor,
} from "../src/net/resume";

describe("a room's cursor", () => {
  it("joins plainly the first time, with the password or the invitation where there is one", () => {
    const first = (key?: DoorKey) => new RoomCursor("r1").joinFrame(key);
    expect(first()).toEqual({ type: "join", room: "r1" });
    expect(first({ password: "secret" })).toEqual({ type: "join", room: "r1", password: "secret" });
    expect(first({ invitation: "c0de" })).toEqual({ type: "join", room: "r1", invitation: "c0de" });
  });

  it("goes on after the last event it has seen", () => {
    const cursor = new RoomCursor("r1");
    cursor.joined({ seq: 10, epoch: "e" });
    cursor.accept(17);
    expect(cursor.joinFrame()).toEqual({ type: "join", room: "r1", after: 17, epoch: "e" });
  });

  it("takes each event once, though numbers have holes", () => {
    const cursor = new RoomCursor("r1");
    cursor.joined({ seq: 10, epoch: "e" });
    expect([10, 12, 12, 11, 15].map((seq) => cursor.accept(seq))).toEqual([false, true, false, false, true]);
  });

  it("takes nothing before it is in", () => {
    expect(new RoomCursor("r1").accept(5)).toBe(false);
  });

  it("starts from the new state when the room was sent anew, even at a smaller number", () => {
    const cursor = new RoomCursor("r1");
    cursor.joined({ seq: 900, epoch: "old" });
    cursor.joined({ seq: 3, epoch: "new" });
    expect(cursor.accept(4)).toBe(true);
  });

  it("joins anew when the server resumed another epoch or a place it never was at", () => {
    const cursor = new RoomCursor("r1");
    cursor.joined({ seq: 10, epoch: "e" });
    expect(cursor.resumed({ after: 10, epoch: "e" })).toBe(true);
    expect(cursor.resumed({ after: 12, epoch: "e" })).toBe(false);
    expect(cursor.joinFrame()).toEqual({ type: "join", room: "r1" });
  });
});

describe("reconnecting", () => {
  it("waits longer each time, up to a bound, never less than half of it", () => {
    expect(backoffMs(0, 0)).toBe(FIRST_WAIT_MS / 2);
    expect(backoffMs(3, 1)).toBe(FIRST_WAIT_MS * 8);
    expect(backoffMs(50, 1)).toBe(LONGEST_WAIT_MS);
    expect(backoffMs(50, 0)).toBe(LONGEST_WAIT_MS / 2);
  });

  it.each([
    [4012, "now"],
    [4008, "now"],
    [4001, "renew"],
    [1006, "later"],
    [1011, "later"],
  ] as const)("after close %i goes on %s", (code, how) => {
    expect(afterClose(code)).toBe(how);
  });
});
