import { describe, expect, it } from "vitest";
import {
  clockTime,
  drift,
  driftGrade,
  initials,
  names,
  serverOf,
  speed,
  timeLeft,
  titleOfUrl,
} from "../src/format";
import { Problem, sentenceOf } from "../src/net/problem";

describe("formats", () => {
  it.each([
    ["", "nobody"],
    ["Ann", "Ann"],
    ["Ann Ben", "Ann and Ben"],
    ["Ann Ben Cleo", "Ann, Ben and Cleo"],
    ["Ann Ben Cleo Dora", "Ann, Ben and 2 others"],
  ])("names %j as %s", (people, text) => {
    expect(
      names(
        people
          .split(" ")
          .filter(Boolean)
          .map((username) => ({ username })),
      ),
    ).toBe(text);
  });

  it.each([
    [-5, "0 seconds"],
    [1_000, "1 second"],
    [89_000, "89 seconds"],
    [90_000, "2 minutes"],
    [5_400_000, "90 minutes"],
    [7_200_000, "2 hours"],
    [86_400_000, "24 hours"],
    [7 * 86_400_000 - 10, "7 days"],
  ])("says of %d ms that %s are left", (ms, text) => {
    expect(timeLeft(ms)).toBe(text);
  });

  it.each([
    [0, "0:00"],
    [75.9, "1:15"],
    [3_675, "1:01:15"],
    [-3, "0:00"],
    [Number.NaN, "–:––"],
  ])("writes %d s as %s", (seconds, text) => {
    expect(clockTime(seconds)).toBe(text);
  });

  it.each([
    [0, "0 ms"],
    [12, "+12 ms"],
    [-340, "−340 ms"],
    [-1_340, "−1.34 s"],
    [25_000, "+25 s"],
    [600_000, "+10 min"],
  ])("writes a drift of %d ms as %s", (ms, text) => {
    expect(drift(ms)).toBe(text);
  });

  it("grades a drift by its size, whichever way", () => {
    expect([-60, 61, -301].map(driftGrade)).toEqual(["good", "fair", "poor"]);
  });

  it("names a video by its link", () => {
    expect(titleOfUrl("https://example.org/films/Big_Buck%20Bunny.mp4?x=1")).toBe("Big Buck Bunny");
    expect(titleOfUrl("https://example.org/")).toBe("example.org");
    expect(titleOfUrl("no link")).toBe("no link");
  });

  it("makes initials of any name", () => {
    expect(["Ann Lee", "bob", "李雷", "  "].map(initials)).toEqual(["AL", "B", "李", "?"]);
  });

  it("parts the publish address from the key", () => {
    expect(serverOf("rtmp://host:1935/live/abc", "abc")).toBe("rtmp://host:1935/live");
    expect(serverOf("rtmp://host:1935/live/", "abc")).toBe("rtmp://host:1935/live");
  });

  it("writes a speed without needless zeros", () => {
    expect([1, 1.25, 0.5].map(speed)).toEqual(["1×", "1.25×", "0.5×"]);
  });
});

describe("errors", () => {
  it("are sentences", () => {
    expect(sentenceOf(new Problem("forbidden", "only the host may do that"))).toBe(
      "Only the host may do that.",
    );
    expect(sentenceOf(new Problem("not_found", ""))).toBe("That does not exist, or is not for you to see.");
    expect(sentenceOf(new TypeError("x is undefined"))).not.toContain("undefined");
  });

  it("name the field that is wrong, and how long to wait", () => {
    const errors = [{ path: "body.username", detail: "too short" }];
    expect(sentenceOf(new Problem("invalid", "", 422, { errors }))).toBe("Username: too short.");
    expect(sentenceOf(new Problem("rate_limited", "", 429, { retryAfter: 2.2 }))).toContain("3 seconds");
  });
});
