import { describe, expect, it } from "vitest";
import type { PlaybackState } from "../src/contract";
import { allows } from "../src/permissions";
import { describePlayback } from "../src/room/describe";
import { CROSSING_MS, Lanes, STANDING_MS } from "../src/room/lanes";
import { holdSentence } from "../src/room/notices";
import { sourceOf, withToken } from "../src/sync/player";
import { playlistDuration } from "../src/sync/probe";
import { invitationIn, routeOf } from "../src/ui/router";

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

  it("is told of one who went back, and of one who waits no longer", () => {
    const hold = { since: at, until: at + 10_000, members: [{ id: "b", username: "Ben" }] };
    expect(
      describePlayback({ ...before, undoable: 3 }, { ...before, undoable: 2, revision: 5 }, "Ann", () => ""),
    ).toBe("Ann took the last change back");
    const held = { ...before, playing: false, hold };
    expect(describePlayback(held, { ...before, revision: 5 }, "Ann", () => "")).toBe(
      "Ann went on without Ben",
    );
  });

  it("is not told where the room waits, or ceases to, by itself: that stands over the picture", () => {
    const hold = { since: at, until: at + 10_000, members: [{ id: "b", username: "Ben" }] };
    expect(tell({ playing: false, hold }, null)).toBeNull();
    expect(
      describePlayback({ ...before, playing: false, hold }, { ...before, revision: 5 }, null, () => ""),
    ).toBeNull();
    expect(tell({ playing: false }, null)).toBe("Paused at 1:05");
  });

  it("is told once: an older state says nothing", () => {
    expect(tell({ revision: 4, playing: false })).toBeNull();
  });
});

describe("a room that waits", () => {
  const [ann, ben, cleo, dora] = ["Ann", "Ben", "Cleo", "Dora"].map((username, id) => ({
    id: String(id),
    username,
  }));
  const waiting = (...members: (typeof ann)[]) =>
    holdSentence({ since: 0, until: 1, members: members.filter((m) => m !== undefined) }, "0");

  it("names whom it waits for, oneself last", () => {
    expect(waiting(ben).title).toBe("Waiting for Ben…");
    expect(waiting(ben, ann).title).toBe("Waiting for Ben and you…");
    expect(waiting(ben, cleo, dora, ann).title).toBe("Waiting for Ben, Cleo and 2 others…");
  });

  it("says to the one it waits for that it is he", () => {
    expect(waiting(ann)).toEqual({
      title: "The room waits until you have loaded",
      without: "Go on without me",
    });
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

  it("may carry an invitation, if it is one", () => {
    expect(invitationIn("?invitation=aB3_-")).toBe("aB3_-");
    expect(invitationIn("?x=1")).toBeNull();
    expect(invitationIn("?invitation=%3Cb%3E")).toBeNull();
  });

  it("of finished HLS playlists tell their length", () => {
    expect(playlistDuration("#EXTM3U\n#EXTINF:4.5,\na.ts\n#EXTINF:2,x\nb.ts\n#EXT-X-ENDLIST\n")).toBe(6.5);
    expect(playlistDuration("#EXTM3U\n#EXTINF:4.5,\na.ts\n")).toBeNull();
  });
});
