import { beforeEach, describe, expect, it } from "vitest";
import type { Joined, Member, PlaybackState, RoomEvent } from "../src/contract";
import type { Socket } from "../src/net/socket";
import { SITE_DEFAULTS } from "../src/permissions";
import { RoomStore } from "../src/room/room_store";

const AT = 1_700_000_000_000;
const USER = { id: "me", username: "Me", role: "user", state: "active", guest: false } as const;
const ANN = { id: "a", username: "Ann" };
const STATE: PlaybackState = {
  item: "one",
  playing: true,
  position: 10,
  rate: 1,
  at: AT,
  revision: 7,
  live: false,
  mode: "sequential",
  undoable: 2,
};

let asked: Record<string, unknown>[];
let joins: unknown[];
let answers: PlaybackState[];
let store: RoomStore;

/** As much of the socket as the store uses. */
const socket = {
  join: (_room: string, _listener: unknown, key: unknown) => joins.push(key),
  request: async (frame: Record<string, unknown>) => {
    asked.push(frame);
    return { type: "ack", id: "x", state: answers.shift() };
  },
  clock: { serverAt: (local: number) => local },
} as unknown as Socket;

const title = (id: string) => ({
  id,
  title: id,
  kind: "url" as const,
  parent: null,
  position: 0,
  added_by: ANN,
});
let seq = 10;
const played = (change: Partial<PlaybackState>, by: typeof ANN | null = ANN): RoomEvent => {
  const state = { ...(store.state.peek() as PlaybackState), ...change };
  state.revision = (store.state.peek()?.revision ?? 0) + 1;
  return { type: "playback", room: "r", seq: ++seq, at: state.at, state, by };
};

beforeEach(() => {
  asked = [];
  joins = [];
  answers = [];
  store = new RoomStore("r", socket);
  store.room.value = { id: "r" } as never;
  store.enter({ invitation: "c" });
  store.joined({
    type: "joined",
    room: { id: "r", name: "R", settings: {} },
    you: { user: USER, role: "member", state: "active", permissions: String(SITE_DEFAULTS.member) },
    state: STATE,
    playlist: { version: 3, items: [title("one"), title("two")] },
    members: [],
    messages: [],
    danmaku: [],
    streams: [],
    viewers: 1,
    seq: 10,
    epoch: "e",
    now: AT,
  } as unknown as Joined);
});

describe("what may be undone beside its notice", () => {
  it("is what a member did", () => {
    store.event(played({ position: 300, at: AT + 1_000, undoable: 3 }));
    expect(store.told.value).toMatchObject({ text: "Ann jumped to 5:00", undo: 1 });
  });

  it("is choosing and starting at once", async () => {
    store.event(played({ item: "two", position: 0, playing: false, at: AT + 1_000, undoable: 3 }));
    store.event(played({ playing: true, at: AT + 1_400, undoable: 4 }));
    expect(store.told.value).toMatchObject({ text: "Ann chose “two”", undo: 2 });
    const now = store.state.peek() as PlaybackState;
    answers = [
      { ...now, playing: false, revision: now.revision + 1, undoable: 3 },
      { ...STATE, revision: now.revision + 2, undoable: 2 },
    ];
    await store.undo();
    expect(asked.map((frame) => [frame.action, frame.revision])).toEqual([
      ["undo", now.revision],
      ["undo", now.revision + 1],
    ]);
    expect(store.state.value?.item).toBe("one");
  });

  it("is nothing that the room did by itself, nor what went back", () => {
    store.event(played({ item: "two", position: 0, at: AT + 1_000 }, null));
    expect(store.told.value).toMatchObject({ text: "Next: two", undo: 0 });
    store.event(played({ item: "one", position: 10, at: AT + 2_000, undoable: 1 }));
    expect(store.told.value).toMatchObject({ text: "Ann took the last change back", undo: 0 });
  });

  it("stands on while the room waits for somebody, and is not offered for going on without him", () => {
    store.event(played({ position: 300, at: AT + 1_000, undoable: 3 }));
    const hold = { since: AT, until: AT + 9_000, members: [ANN] };
    store.event(played({ playing: false, hold, at: AT + 1_500 }, null));
    expect(store.told.value).toMatchObject({ text: "Ann jumped to 5:00", undo: 1 });
    store.event(played({ playing: true, hold: null, at: AT + 2_000, undoable: 4 }));
    expect(store.told.value).toMatchObject({ text: "Ann went on without Ann", undo: 0 });
  });
});

describe("the door", () => {
  it("is asked with the invitation, and again without when somebody was let in", () => {
    expect(joins).toEqual([{ invitation: "c" }]);
    const you = { role: "member", permissions: "0", room: "r", type: "you" } as const;
    store.notice({ ...you, state: "pending" });
    expect(store.entry.value).toEqual({ step: "pending" });
    store.notice({ ...you, state: "active" });
    expect(joins).toEqual([{ invitation: "c" }, {}]);
  });

  it("shows who knocks", () => {
    const member: Member = {
      user: { ...USER, id: "n", username: "Nan" },
      role: "member",
      state: "pending",
      permissions: "0",
      online: true,
    };
    store.event({ type: "member", room: "r", seq: ++seq, at: AT, change: "updated", member });
    expect(store.people.pending.value).toHaveLength(1);
    expect(store.told.value).toMatchObject({ text: "Nan would like to come in", undo: 0 });
  });
});

describe("folders", () => {
  it("open for what plays in them", () => {
    const folder = { ...title("F"), kind: "folder" as const };
    const inside = { ...title("in"), parent: "F" };
    const items = [folder, inside];
    store.event({ type: "playlist", room: "r", seq: ++seq, at: AT, change: "added", items, version: 4 });
    expect(store.count.value).toBe(3);
    store.event(played({ item: "in", position: 0, at: AT + 1_000 }));
    expect([...store.open.value]).toEqual(["F"]);
  });
});
