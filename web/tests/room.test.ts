import { describe, expect, it } from "vitest";
import type { Item, PlaybackState } from "../src/contract";
import { allows } from "../src/permissions";
import { describePlayback } from "../src/room/describe";
import { CROSSING_MS, Lanes, STANDING_MS } from "../src/room/lanes";
import { applyPlaylist, neighbour } from "../src/room/playlist_order";
import { sourceOf, withToken } from "../src/sync/player";
import { playlistDuration } from "../src/sync/probe";
import { routeOf } from "../src/ui/router";

const item = (id: string, position: number): Item => ({
  id,
  title: id.toUpperCase(),
  kind: "url",
  parent: null,
  position,
  added_by: { id: "u", username: "Ann" },
});
const LIST = [item("a", 0), item("b", 1), item("c", 2)];
const ids = (items: readonly Item[] | null) => items?.map((i) => i.id).join("");

describe("the playlist", () => {
  it("takes what was added, edited, moved, removed and cleared", () => {
    expect(ids(applyPlaylist(LIST, { change: "added", item: item("d", 3) }))).toBe("abcd");
    expect(
      applyPlaylist(LIST, { change: "edited", item: { ...item("b", 1), title: "New" } })?.[1]?.title,
    ).toBe("New");
    const moved = [item("c", 0), item("a", 1), item("b", 2)];
    expect(ids(applyPlaylist(LIST, { change: "moved", items: moved }))).toBe("cab");
    expect(ids(applyPlaylist(LIST, { change: "removed", item: item("b", 1) }))).toBe("ac");
    expect(ids(applyPlaylist(LIST, { change: "cleared" }))).toBe("");
  });

  it("asks for the list where an event does not say the whole order", () => {
    expect(applyPlaylist(LIST, { change: "moved", item: item("c", 0) })).toBeNull();
  });

  it("knows before which item one goes to get up or down a place", () => {
    expect([neighbour(LIST, "b", -1), neighbour(LIST, "a", 1), neighbour(LIST, "b", 1)]).toEqual([
      "a",
      "c",
      null,
    ]);
    expect([neighbour(LIST, "a", -1), neighbour(LIST, "c", 1)]).toEqual([undefined, undefined]);
  });
});

describe("permission masks", () => {
  it("are read to the last of their 64 bits", () => {
    const mask = String((1n << 50n) | (1n << 42n) | 1n);
    expect(allows(mask, "SEND_CHAT")).toBe(true);
    expect(allows(mask, "VIEW_CHAT_HISTORY")).toBe(true);
    expect(allows(mask, "PLAY_CONTROL")).toBe(false);
    expect(allows("18446744073709551615", "DELETE_ROOM")).toBe(true);
  });

  it("allow nothing when they are no masks", () => {
    for (const mask of [undefined, "", "-1", "1e3", "abc"]) expect(allows(mask, "SEND_CHAT")).toBe(false);
  });
});

describe("what somebody did", () => {
  const at = 1_700_000_000_000;
  const before: PlaybackState = {
    item: "a",
    playing: true,
    position: 60,
    rate: 1,
    at,
    revision: 4,
    live: false,
    mode: "sequential",
  };
  const tell = (change: Partial<PlaybackState>, by: string | null = "Ann") =>
    describePlayback(
      before,
      { ...before, at: at + 5_000, position: 65, revision: 5, ...change },
      by,
      () => "Film",
    );

  it.each([
    [{ playing: false }, "Ann paused at 1:05"],
    [{ position: 600 }, "Ann jumped to 10:00"],
    [{ rate: 1.5 }, "Ann set the speed to 1.5×"],
    [{ item: "b", position: 0 }, "Ann chose “Film”"],
    [{ mode: "shuffle" as const }, "Ann set the playlist: shuffles"],
    [{}, null],
  ])("is told in a sentence: %j", (change, sentence) => {
    expect(tell(change)).toBe(sentence);
  });

  it("is told once: an older state says nothing", () => {
    expect(tell({ revision: 4, playing: false })).toBeNull();
  });
});

describe("danmaku lanes", () => {
  it("keep two texts of one moment apart", () => {
    const lanes = new Lanes();
    lanes.resize(3);
    expect([0, 0, 0, 0].map(() => lanes.scroll(0, 200, 800))).toEqual([0, 1, 2, null]);
  });

  it("are used again when the text before is in and cannot be caught", () => {
    const lanes = new Lanes();
    lanes.resize(1);
    lanes.scroll(0, 200, 800);
    expect(lanes.scroll(CROSSING_MS / 4, 200, 800)).toBe(0);
    expect(lanes.scroll(CROSSING_MS / 2, 3_000, 800)).toBeNull();
    expect(lanes.scroll(CROSSING_MS * 1.3, 3_000, 800)).toBe(0);
  });

  it("of standing texts are free after their time", () => {
    const lanes = new Lanes();
    lanes.resize(1);
    expect(lanes.stand(0, "top")).toBe(0);
    expect(lanes.stand(10, "top")).toBeNull();
    expect(lanes.stand(10, "bottom")).toBe(0);
    expect(lanes.stand(STANDING_MS, "top")).toBe(0);
  });
});

describe("addresses", () => {
  it.each([
    ["https://a.org/x.m3u8?k=1", "hls"],
    ["https://a.org/x.flv", "flv"],
    ["https://a.org/x.TS", "mpegts"],
    ["https://a.org/x.mp4", "file"],
    ["https://a.org/watch", "file"],
  ])("say what plays them: %s by %s", (url, kind) => {
    expect(sourceOf(url).kind).toBe(kind);
  });

  it("carry a token once", () => {
    expect(withToken("/live/a.flv", "t 1")).toBe("/live/a.flv?token=t%201");
    expect(withToken("/x.m3u8?a=1#h", "t")).toBe("/x.m3u8?a=1&token=t#h");
    expect(withToken("/x.m3u8?token=old", "t")).toBe("/x.m3u8?token=old");
    expect(withToken("/x.m3u8", undefined)).toBe("/x.m3u8");
  });

  it("lead to four pages and no others", () => {
    expect(
      ["/", "/r/abc", "/s/x_1", "/account", "/r/a.b", "/r", "/x", "/r/a/b"].map((p) => routeOf(p).page),
    ).toEqual(["landing", "room", "stream", "account", "missing", "missing", "missing", "missing"]);
  });

  it("of finished HLS playlists tell their length", () => {
    expect(playlistDuration("#EXTM3U\n#EXTINF:4.5,\na.ts\n#EXTINF:2,x\nb.ts\n#EXT-X-ENDLIST\n")).toBe(6.5);
    expect(playlistDuration("#EXTM3U\n#EXTINF:4.5,\na.ts\n")).toBeNull();
  });
});
