import { describe, expect, it } from "vitest";
import text from "../../tests/data/sync_vectors.json?raw";
import type { PlaybackState } from "../src/contract";
import { Clock, SleepDetector, type TimeSample } from "../src/sync/clock";
import { Controller } from "../src/sync/controller";
import { holding, jumps, positionAt, type Timeline } from "../src/sync/timeline";

// The same file holds the simulation's copy of this code: see tests/data/README.md.
const vectors = JSON.parse(text);

/** What a player is where a vector does not say otherwise. */
const WELL = {
  position: null,
  paused: false,
  seeking: false,
  buffering: false,
  ended: false,
  ready_state: 4,
  rate: 1,
  earliest: 0,
  latest: Number.POSITIVE_INFINITY,
};

// biome-ignore lint/suspicious/noExplicitAny: the file's shape is the other side's
type Case = any;
const named = (cases: Case[]): [string, Case][] => cases.map((one) => [one.name, one]);

/** Times are epoch ms, of which a double holds a quarter of a microsecond. */
const NEAR = 1e-6;

function near(found: unknown, wanted: unknown, where: string): void {
  if (typeof found === "number" && typeof wanted === "number") {
    if (Math.abs(found - wanted) > NEAR) expect(found, where).toBe(wanted);
  } else if (found !== wanted) {
    expect(found, where).toBe(wanted);
  }
}

function lineOf(state: Record<string, unknown> | null, liveDelayMs = 3_000): Timeline | null {
  return state === null ? null : { state: { mode: "sequential", ...state } as PlaybackState, liveDelayMs };
}

describe("controller", () => {
  it.each(named(vectors.controller))("%s", (_name, one) => {
    const controller = new Controller();
    for (const [number, call] of one.calls.entries()) {
      const where = `call ${number}`;
      if (call.call === "setTimeline") {
        controller.setTimeline(lineOf(call.state, call.live_delay_ms), call.now);
        near(controller.startAt(call.now), call.start_at, where);
      } else if (call.call === "reset") controller.reset(call.now);
      else if (call.call === "resync") controller.resync(call.now);
      else {
        const { ready_state: readyState, ...rest } = { ...WELL, ...call.player };
        const status = { ...rest, readyState };
        const found = controller.decide(status, call.now);
        const actions = found.actions.map((a) => [a.kind, "rate" in a ? a.rate : "to" in a ? a.to : null]);
        near(found.phase, call.answer.phase, where);
        near(found.error, call.answer.error, where);
        near(actions.length, call.answer.actions.length, where);
        for (const [at, [kind, value]] of call.answer.actions.entries()) {
          near(actions[at]?.[0], kind, where);
          near(actions[at]?.[1], value, where);
        }
        near(controller.startAt(call.now), call.start_at, where);
        near(controller.seekCost, call.seek_cost, where);
        near(controller.startLead, call.start_lead, where);
      }
    }
  });
});

describe("clock", () => {
  it.each(named(vectors.clock))("%s", (_name, one) => {
    const clock = new Clock();
    for (const [number, call] of one.calls.entries()) {
      const where = `call ${number}`;
      if (call.call === "reset") {
        clock.reset();
        continue;
      }
      near(clock.add(call.sample as TimeSample), call.used, where);
      near(clock.nextIn, call.next_in, where);
      near(clock.delay, call.delay, where);
      near(clock.drift, call.drift, where);
      near(clock.samples, call.samples, where);
      near(clock.serverAt(call.at), call.server, where);
    }
  });

  it("notices sleep", () => {
    const detector = new SleepDetector();
    for (const { monotonic, wall, slept } of vectors.sleep)
      expect(detector.look(monotonic, wall)).toBe(slept);
  });
});

describe("timeline", () => {
  it.each(named(vectors.timeline))("%s", (_name, one) => {
    const line = lineOf(one.state) as Timeline;
    const moved = lineOf(one.moved) as Timeline;
    near(positionAt(line, one.now), one.position, "position");
    expect(holding(line, one.now)).toBe(one.holding);
    expect(jumps(line, line, one.now)).toBe(one.jumps_to_self);
    expect(jumps(line, moved, one.now)).toBe(one.jumps_to_moved);
    expect(jumps(null, line, one.now)).toBe(one.jumps_from_none);
  });
});
