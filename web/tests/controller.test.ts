import { describe, expect, it } from "vitest";
import type { PlaybackState } from "../src/contract";
import {
  type Action,
  Controller,
  FIRM_RATE,
  GENTLE_RATE,
  MAX_SEEKS,
  type PlayerStatus,
} from "../src/sync/controller";
import { positionAt, type Timeline } from "../src/sync/timeline";

const T0 = 1_700_000_000_000;

function timeline(change: Partial<PlaybackState> = {}): Timeline {
  const state: PlaybackState = {
    item: "a",
    playing: true,
    position: 100,
    rate: 1,
    at: T0,
    revision: 1,
    live: false,
    mode: "sequential",
    ...change,
  };
  return { state, liveDelayMs: 3_000 };
}

function player(change: Partial<PlayerStatus> = {}): PlayerStatus {
  return {
    position: 100,
    paused: false,
    seeking: false,
    buffering: false,
    ended: false,
    readyState: 4,
    rate: 1,
    earliest: 0,
    latest: 3_600,
    ...change,
  };
}

/** A controller well past the beginning, with a player off by `error` s at `now`. */
function underway(line = timeline()) {
  const controller = new Controller();
  controller.setTimeline(line, T0);
  let now = T0;
  for (; now < T0 + 3_000; now += 100) controller.decide(player({ position: positionAt(line, now) }), now);
  const at = (error: number, change: Partial<PlayerStatus> = {}) =>
    controller.decide(player({ position: positionAt(line, now) + error, ...change }), now);
  return { controller, at, wait: (ms: number) => (now += ms), now: () => now };
}

const kinds = (actions: Action[]) => actions.map((action) => action.kind);
const rateOf = (actions: Action[]) => actions.find((action) => action.kind === "rate")?.rate;

describe("correction", () => {
  it("leaves 20 ms alone", () => {
    const { at } = underway();
    expect(at(0.019).actions).toEqual([]);
    expect(at(-0.019).actions).toEqual([]);
  });

  it.each([0.03, 0.06, 0.119])("slows down within 6 % when %f s ahead, speeds up when behind", (error) => {
    const ahead = rateOf(underway().at(error).actions);
    const behind = rateOf(underway().at(-error).actions);
    expect(ahead).toBeLessThan(1);
    expect(ahead).toBeGreaterThanOrEqual(1 - GENTLE_RATE - 1e-9);
    expect(behind).toBeGreaterThan(1);
    expect(behind).toBeLessThanOrEqual(1 + GENTLE_RATE + 1e-9);
  });

  it.each([0.13, 0.5, 2.9])("goes to 15 percent at most when %f s off", (error) => {
    const rate = rateOf(underway().at(error).actions);
    expect(rate).toBeLessThan(1 - GENTLE_RATE);
    expect(rate).toBeGreaterThanOrEqual(1 - FIRM_RATE - 1e-9);
  });

  it("goes on to 5 ms once begun, so that it does not flutter at the edge", () => {
    const { at } = underway();
    at(0.03);
    expect(rateOf(at(0.015, { rate: 1 }).actions)).toBeLessThan(1);
    expect(rateOf(at(0.004, { rate: 0.98 }).actions)).toBe(1);
    expect(at(0.015).actions).toEqual([]);
  });

  it("corrects around the room's own rate", () => {
    const { at } = underway(timeline({ rate: 1.5 }));
    const rate = rateOf(at(-0.1, { rate: 1.5 }).actions);
    expect(rate).toBeGreaterThan(1.5);
    expect(rate).toBeLessThanOrEqual(1.5 * (1 + GENTLE_RATE) + 1e-9);
  });

  it("seeks beyond three seconds, to where the room will be when the seek is done", () => {
    const { controller, at, now } = underway();
    controller.seekCost = 0.4;
    const seek = at(-5).actions.find((action) => action.kind === "seek");
    expect(seek?.to).toBeCloseTo(positionAt(timeline(), now()) + 0.4, 6);
  });

  it("cools down after a seek: no second one at once", () => {
    const { at, wait } = underway();
    expect(kinds(at(-5).actions)).toContain("seek");
    wait(500);
    at(-5);
    wait(500);
    expect(kinds(at(-5).actions)).not.toContain("seek");
    wait(4_000);
    expect(kinds(at(-5).actions)).toContain("seek");
  });

  it.each([
    ["seeking", { seeking: true }],
    ["buffering", { buffering: true }],
    ["short of data", { readyState: 2 }],
  ])("does nothing while the player is %s", (_name, change) => {
    expect(underway().at(-3, change).actions).toEqual([]);
  });

  it("pauses and says why after three seeks in a row that did not help", () => {
    const { at, wait } = underway();
    let seeks = 0;
    let last = at(-5);
    for (let i = 0; i < 200 && last.phase !== "gave_up"; i++) {
      if (kinds(last.actions).includes("seek")) seeks += 1;
      wait(200);
      last = at(-5);
    }
    expect(seeks).toBe(MAX_SEEKS);
    expect(kinds(last.actions)).toEqual(["pause"]);
    expect(at(-5, { paused: true })).toMatchObject({ phase: "gave_up", actions: [] });
  });

  it("tries again when a person asks for it", () => {
    const { controller, at, wait, now } = underway();
    for (let i = 0; i < 200; i++) {
      at(-5);
      wait(200);
    }
    controller.resync(now());
    expect(kinds(at(-5, { paused: true }).actions)).toEqual(["seek"]);
  });

  it("does not count seeks that helped", () => {
    const { at, wait } = underway();
    for (let i = 0; i < 6; i++) {
      wait(5_000);
      expect(kinds(at(-5).actions)).toContain("seek");
      wait(100);
      at(0);
      wait(300);
      at(0);
    }
  });

  it("does not chase past the live edge, where there is nothing to play", () => {
    const line = timeline({ live: true, position: T0 / 1000 - 3 });
    const { at, now } = underway(line);
    const target = positionAt(line, now());
    const { actions } = at(-1.5, { latest: target - 1.5 + 0.05, earliest: target - 100 });
    expect(actions).toEqual([]);
  });
});

describe("the first two seconds", () => {
  it("take one measured seek already above 0.4 s", () => {
    const controller = new Controller();
    controller.setTimeline(timeline({ at: T0 - 10_000 }), T0);
    const here = (error: number, now: number) =>
      player({ position: positionAt(timeline({ at: T0 - 10_000 }), now) + error });
    expect(kinds(controller.decide(here(-5, T0), T0).actions)).toEqual(["seek"]);
    controller.decide(here(-0.5, T0 + 200), T0 + 200);
    expect(kinds(controller.decide(here(-0.5, T0 + 500), T0 + 500).actions)).toEqual(["seek"]);
    controller.decide(here(-0.5, T0 + 700), T0 + 700);
    expect(kinds(controller.decide(here(-0.5, T0 + 1_000), T0 + 1_000).actions)).toEqual(["rate"]);
  });

  it("finish a landing off to 8 ms", () => {
    const controller = new Controller();
    controller.setTimeline(timeline(), T0);
    const off = player({ position: positionAt(timeline(), T0 + 500) + 0.015 });
    expect(rateOf(controller.decide(off, T0 + 500).actions)).toBeLessThan(1);
  });

  it("teach what a seek costs", () => {
    const controller = new Controller();
    const line = timeline({ at: T0 - 10_000 });
    controller.seekCost = 0.1;
    controller.setTimeline(line, T0);
    controller.decide(player({ position: 0 }), T0);
    for (const ms of [300, 600]) {
      controller.decide(player({ position: positionAt(line, T0 + ms) - 0.2 }), T0 + ms);
    }
    expect(controller.seekCost).toBeCloseTo(0.1 + 0.7 * 0.2, 6);
  });
});

describe("scheduled start", () => {
  const line = timeline({ at: T0 + 500 });

  it("is held for, at its place", () => {
    const controller = new Controller();
    controller.setTimeline(line, T0);
    expect(controller.decide(player({ position: 100, paused: false }), T0)).toMatchObject({
      phase: "holding",
      actions: [{ kind: "pause" }],
    });
    expect(controller.decide(player({ position: 40, paused: true }), T0 + 10).actions).toEqual([
      { kind: "seek", to: 100 },
    ]);
  });

  it("plays when its moment comes, earlier by what starting costs", () => {
    const controller = new Controller();
    controller.startLead = 0.1;
    controller.setTimeline(line, T0);
    const ready = player({ paused: true });
    expect(controller.startAt(T0)).toBe(T0 + 400);
    expect(controller.decide(ready, T0 + 399).actions).toEqual([]);
    expect(controller.decide(ready, T0 + 400).actions).toEqual([{ kind: "play" }]);
  });
});

describe("a room that stands still", () => {
  const still = timeline({ playing: false, position: 42 });

  it("pauses the player at the place everyone stops at", () => {
    const controller = new Controller();
    controller.setTimeline(still, T0);
    expect(controller.decide(player({ position: 42.4 }), T0).actions).toEqual([
      { kind: "pause" },
      { kind: "seek", to: 42 },
    ]);
    expect(controller.decide(player({ position: 42, paused: true }), T0 + 100).actions).toEqual([]);
  });

  it("does not fight a player that cannot stand there", () => {
    const controller = new Controller();
    controller.setTimeline(still, T0);
    let seeks = 0;
    for (let i = 0; i < 20; i++) {
      const { actions } = controller.decide(player({ position: 43, paused: true }), T0 + i * 100);
      seeks += kinds(actions).filter((kind) => kind === "seek").length;
    }
    expect(seeks).toBeLessThanOrEqual(2);
  });

  it("stays quiet without an item", () => {
    const controller = new Controller();
    controller.setTimeline(timeline({ item: null }), T0);
    expect(controller.decide(player(), T0)).toEqual({ actions: [], phase: "idle", error: null });
  });
});

describe("joining", () => {
  const line = timeline({ at: T0 - 10_000 });
  const join = () => {
    const controller = new Controller();
    controller.setTimeline(line, T0);
    const { actions } = controller.decide(player({ position: 0, paused: true }), T0);
    expect(kinds(actions)).toEqual(["seek"]);
    const to = actions[0]?.kind === "seek" ? actions[0].to : 0;
    return { controller, to, here: player({ position: to, paused: true }) };
  };

  it("aims ahead, waits there, and starts on the room's moment", () => {
    const { controller, to, here } = join();
    const at = controller.startAt(T0 + 100) ?? 0;
    expect(positionAt(line, at) + controller.startLead).toBeCloseTo(to, 6);
    expect(controller.decide({ ...here, seeking: true }, T0 + 100)).toMatchObject({
      phase: "holding",
      actions: [],
    });
    expect(controller.decide(here, T0 + 300)).toMatchObject({ phase: "holding", actions: [] });
    expect(kinds(controller.decide(here, at + 1).actions)).toEqual(["play"]);
    expect(controller.startAt(at + 1)).toBeNull();
  });

  it("learns from it what a seek costs", () => {
    const { controller, here } = join();
    controller.decide(here, T0 + 400);
    expect(controller.seekCost).toBeCloseTo(0.2 + 0.7 * 0.2, 6);
  });

  it("starts at its moment with or without data: some players load only then", () => {
    const { controller, here } = join();
    const bare = { ...here, readyState: 1 };
    const at = controller.startAt(T0) ?? 0;
    expect(controller.decide(bare, at - 50).actions).toEqual([]);
    expect(kinds(controller.decide(bare, at + 1).actions)).toEqual(["play"]);
  });

  it("waits where it stands when that is only a little ahead", () => {
    const controller = new Controller();
    controller.setTimeline(line, T0);
    const here = player({ position: positionAt(line, T0) + 0.6, paused: true });
    expect(controller.decide(here, T0)).toMatchObject({ phase: "holding", actions: [] });
    expect(controller.startAt(T0)).toBeCloseTo(T0 + 600 - controller.startLead * 1000, 3);
    expect(kinds(controller.decide(here, T0 + 600).actions)).toEqual(["play"]);
  });

  it("forgets its aim when the room goes elsewhere or stands still", () => {
    const { controller, here } = join();
    controller.setTimeline(timeline({ at: T0, position: 900, revision: 2 }), T0 + 100);
    expect(controller.startAt(T0 + 100)).toBeNull();
    expect(kinds(controller.decide(here, T0 + 100).actions)).toEqual(["seek"]);
    controller.setTimeline(timeline({ playing: false, position: 900, revision: 3 }), T0 + 200);
    controller.decide(here, T0 + 200);
    expect(controller.startAt(T0 + 200)).toBeNull();
  });

  it("waits where the room's moment has not arrived yet, and then starts there", () => {
    const line = timeline({ live: true, position: T0 / 1000 - 3 });
    const controller = new Controller();
    controller.setTimeline(line, T0);
    const first = T0 / 1000 - 1;
    const fresh = player({ paused: true, position: first, earliest: first, latest: first + 1 });
    expect(controller.decide(fresh, T0).phase).toBe("not_yet");
    expect(kinds(controller.decide(fresh, T0 + 2_000).actions)).toEqual(["play"]);
  });

  it("leaves a video alone that has ended before the room noticed", () => {
    const controller = new Controller();
    controller.setTimeline(timeline({ position: 3_590 }), T0);
    const ended = player({ position: 3_600, ended: true, paused: true });
    expect(controller.decide(ended, T0 + 20_000)).toMatchObject({ actions: [], phase: "ended" });
  });

  it("obeys a jump of the room at once, data or not", () => {
    const { controller, now } = underway();
    const line = timeline({ position: 900, at: now(), revision: 2 });
    controller.setTimeline(line, now());
    const stalled = player({ position: 103, readyState: 2, buffering: true });
    expect(kinds(controller.decide(stalled, now()).actions)).toEqual(["seek"]);
  });
});

describe("a live room that stands still", () => {
  const paused = timeline({ live: true, playing: false, position: T0 / 1000 - 300 });
  const place = paused.state.position;
  const look = (change: Partial<PlayerStatus>) => {
    const controller = new Controller();
    controller.setTimeline(paused, T0);
    return controller.decide(player({ paused: true, ...change }), T0);
  };

  it("is gone where its moment is older than what is kept", () => {
    const { phase, actions } = look({ earliest: place + 180, latest: place + 300, position: place + 200 });
    expect(phase).toBe("gone");
    expect(actions).toEqual([{ kind: "seek", to: place + 180 }]);
  });

  it("is not here yet where its moment is newer than what has come", () => {
    expect(look({ earliest: place - 90, latest: place - 4, position: place - 4 }).phase).toBe("not_yet");
  });

  it("is simply paused where the picture stands right, kept or not", () => {
    expect(look({ earliest: place + 180, latest: place + 300, position: place }).phase).toBe("paused");
    expect(look({ earliest: place - 90, latest: place + 30, position: place - 20 }).phase).toBe("paused");
  });
});
