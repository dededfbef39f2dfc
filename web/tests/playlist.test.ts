import { describe, expect, it } from "vitest";
import type { Item, RoomEvent } from "../src/contract";
import { describePlaylist } from "../src/room/describe";
import { worthTelling } from "../src/room/learned_duration";
import { problemOf, readPasted } from "../src/room/pasted";
import { applyPlaylist } from "../src/room/playlist_order";
import {
  dropPlace,
  foldersAbove,
  foldersFor,
  type Part,
  partAt,
  playablesIn,
  stepped,
  treeOf,
} from "../src/room/playlist_tree";
import { mayUndoList } from "../src/room/rights";

const item = (id: string, position: number, change: Partial<Item> = {}): Item => ({
  id,
  title: id.toUpperCase(),
  kind: "url",
  url: `https://a.org/${id}.mp4`,
  parent: null,
  position,
  added_by: { id: "u", username: "Ann" },
  ...change,
});
const folder = (id: string, position: number, parent: string | null = null) =>
  item(id, position, { kind: "folder", url: null, parent });
const ids = (items: readonly Item[] | null) => items?.map((one) => one.id).join("");

/** a, F(x, G(y), z), E(), b */
const ITEMS = [
  item("b", 40),
  folder("E", 30),
  item("z", 30, { parent: "F" }),
  item("y", 0, { parent: "G" }),
  folder("G", 20, "F"),
  item("x", 10, { parent: "F" }),
  folder("F", 20),
  item("a", 10),
];
const TREE = treeOf(ITEMS);
const get = (id: string) => ITEMS.find((one) => one.id === id) as Item;

describe("playlist events", () => {
  const list = [item("a", 0), item("b", 1), item("c", 2)];

  it("add, edit, move, remove and clear", () => {
    expect(ids(applyPlaylist(list, { change: "added", item: item("d", 3) }))).toBe("abcd");
    expect(applyPlaylist(list, { change: "edited", item: item("b", 1, { title: "New" }) })?.[1]?.title).toBe(
      "New",
    );
    const moved = [item("c", 0), item("a", 1), item("b", 2)];
    expect(ids(applyPlaylist(list, { change: "moved", items: moved }))).toBe("cab");
    expect(ids(applyPlaylist(list, { change: "moved", item: item("c", -1) }))).toBe("cab");
    expect(ids(applyPlaylist(list, { change: "removed", item: item("b", 1) }))).toBe("ac");
    expect(ids(applyPlaylist(list, { change: "cleared" }))).toBe("");
  });

  it.each(["added", "edited", "moved", "removed"] as const)(
    "that name nothing (%s) were too large: the list is read again",
    (change) => {
      expect(applyPlaylist(list, { change })).toBeNull();
    },
  );

  const told = (event: Partial<Extract<RoomEvent, { type: "playlist" }>>) =>
    describePlaylist(
      {
        type: "playlist",
        room: "r",
        seq: 1,
        at: 0,
        change: "added",
        version: 2,
        by: { id: "u", username: "Ann" },
        ...event,
      },
      list,
    );

  it("are told in a sentence, which counts only what is new", () => {
    expect(told({ item: item("d", 3) })).toBe("Ann added “D”");
    expect(told({ items: [...list, item("d", 3), item("e", 4)] })).toBe("Ann added 2 videos");
    expect(told({ item: folder("F", 9) })).toBe("Ann added the folder “F”");
    expect(told({ change: "removed", item: item("b", 1) })).toBe("Ann removed “B”");
    expect(told({ change: "added", items: list, undo: true })).toBe("Ann took back a change of the playlist");
    expect(told({ change: "moved", item: item("b", 1) })).toBe("Ann moved “B”");
    expect(told({ change: "edited", item: item("b", 1, { title: "New" }) })).toBe("Ann changed “New”");
  });

  it("are not told where a player found a length: nobody did anything", () => {
    expect(told({ change: "edited", item: item("b", 1, { duration: 90 }) })).toBeNull();
  });

  it("may be taken back by those who could have done the contrary", () => {
    const mask = (bit: number) =>
      ({
        role: "member",
        state: "active",
        permissions: String(1n << BigInt(bit)),
        user: { id: "u" },
      }) as Parameters<typeof mayUndoList>[0];
    expect(mayUndoList(mask(1), { change: "removed", by: "u" })).toBe(true);
    expect(mayUndoList(mask(1), { change: "removed", by: "other" })).toBe(false);
    expect(mayUndoList(mask(3), { change: "removed", by: "other" })).toBe(true);
    expect(mayUndoList(null, { change: "added", by: "u" })).toBe(false);
  });
});

describe("folders", () => {
  it("hold what is in them in its order, and are played depth first", () => {
    expect(ids(TREE.get(null) ?? null)).toBe("aFEb");
    expect(ids(playablesIn(TREE, null))).toBe("axyzb");
    expect(ids(playablesIn(TREE, "F"))).toBe("xyz");
    expect(ids(foldersAbove(ITEMS, "y"))).toBe("FG");
  });

  it("take in anything but themselves and what they are in", () => {
    const listed = (moved: string | null) =>
      foldersFor(TREE, moved).map(({ item: { id }, depth }) => `${id}${depth}`);
    expect(listed(null)).toEqual(["F0", "G1", "E0"]);
    expect(listed("F")).toEqual(["E0"]);
    expect(listed("G")).toEqual(["F0", "E0"]);
  });

  it("end a walk through parents that lead in a ring", () => {
    expect(foldersAbove([folder("P", 0, "Q"), folder("Q", 0, "P")], "P").length).toBeLessThan(3);
  });
});

describe("moving", () => {
  it("by a step stays in the folder", () => {
    expect(stepped(TREE, get("G"), -1)).toEqual({ parent: "F", before: "x" });
    expect(stepped(TREE, get("x"), 1)).toEqual({ parent: "F", before: "z" });
    expect(stepped(TREE, get("G"), 1)).toEqual({ parent: "F", before: null });
    expect([stepped(TREE, get("a"), -1), stepped(TREE, get("b"), 1), stepped(TREE, get("y"), 1)]).toEqual([
      null,
      null,
      null,
    ]);
  });

  it("goes by the part of the line it is held over: only folders take in", () => {
    expect([0.1, 0.4, 0.6, 0.9].map((share) => partAt(get("a"), share))).toEqual([
      "above",
      "above",
      "below",
      "below",
    ]);
    expect([0.1, 0.5, 0.9].map((share) => partAt(get("F"), share))).toEqual(["above", "onto", "below"]);
  });

  it.each<[string, string, Part, boolean, unknown]>([
    ["b", "a", "above", false, { parent: null, before: "a" }],
    ["b", "a", "below", false, { parent: null, before: "F" }],
    ["a", "b", "below", false, { parent: null, before: null }],
    ["a", "F", "onto", false, { parent: "F", before: null }],
    ["a", "F", "below", false, { parent: null, before: "E" }],
    ["a", "F", "below", true, { parent: "F", before: "x" }],
    ["a", "E", "below", true, { parent: "E", before: null }],
    ["y", "z", "above", false, { parent: "F", before: "z" }],
    ["y", "b", "below", false, { parent: null, before: null }],
  ])("of %s to %s (%s, open: %s) leads to a place", (dragged, over, part, open, place) => {
    expect(dropPlace(TREE, ITEMS, dragged, get(over), part, open)).toEqual(place);
  });

  it.each<[string, string, Part]>([
    ["F", "F", "onto"],
    ["F", "y", "above"],
    ["F", "G", "onto"],
    ["a", "F", "above"],
    ["b", "E", "below"],
    ["y", "G", "onto"],
  ])("of %s to %s (%s) is none", (dragged, over, part) => {
    expect(dropPlace(TREE, ITEMS, dragged, get(over), part, false)).toBeNull();
  });
});

describe("what is pasted", () => {
  it("is a video a line, named by the rest of it or by its address", () => {
    const { videos, unread } = readPasted(
      "https://a.org/The_film.mp4\n\n  Pilot - https://a.org/1.mp4 \r\nhttps://a.org/2.mp4 | Part two\n",
    );
    expect(videos).toEqual([
      { url: "https://a.org/The_film.mp4", title: "The film" },
      { url: "https://a.org/1.mp4", title: "Pilot" },
      { url: "https://a.org/2.mp4", title: "Part two" },
    ]);
    expect(unread).toEqual([]);
  });

  it("may be an M3U playlist, which knows titles and lengths", () => {
    const text =
      "#EXTM3U\n#EXTINF:95.5 tvg-id=1,First, really\nhttps://a.org/1.mp4\n#EXTINF:-1,\nhttps://a.org/b.mp4";
    expect(readPasted(text).videos).toEqual([
      { url: "https://a.org/1.mp4", title: "First, really", duration: 95.5 },
      { url: "https://a.org/b.mp4", title: "b" },
    ]);
  });

  it("is refused with the lines that hold no address", () => {
    expect(problemOf(readPasted("not this"))).toBe(
      "That is no web address. It begins with https:// or http://.",
    );
    expect(problemOf(readPasted("https://a.org/1.mp4\nftp://x\nnor this"))).toMatch(
      /^Lines 2, 3 hold no web/,
    );
    expect(problemOf(readPasted("https://a.org/1.mp4"))).toBeNull();
  });
});

describe("a length that a player found", () => {
  const bare = item("a", 0);

  it("is told of a video that has none, once it is the one that has loaded", () => {
    expect(worthTelling(bare, "https://a.org/a.mp4", 95.12345)).toBe(95.123);
    expect(worthTelling(bare, "https://a.org/other.mp4", 95)).toBeNull();
    expect(worthTelling(item("a", 0, { duration: 90 }), "https://a.org/a.mp4", 95)).toBeNull();
    expect(worthTelling(item("a", 0, { kind: "live" }), "https://a.org/a.mp4", 95)).toBeNull();
    expect(worthTelling(null, null, 95)).toBeNull();
  });

  it("is one that a video can have", () => {
    for (const found of [null, 0.1, 8 * 86_400]) expect(worthTelling(bare, bare.url ?? "", found)).toBeNull();
  });
});
