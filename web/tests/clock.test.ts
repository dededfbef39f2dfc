import { describe, expect, it } from "vitest";
import {
  Clock,
  QUICK_INTERVAL_MS,
  SleepDetector,
  STEADY_INTERVAL_MS,
  type TimeSample,
} from "../src/sync/clock";

/** An exchange begun at local `t0` with a server `ahead` ms ahead, `out` and `back` ms on the way. */
function exchange(t0: number, ahead: number, out: number, back: number): TimeSample {
  const t1 = t0 + out + ahead;
  return { t0, t1, t2: t1, t3: t0 + out + back };
}

describe("the clock", () => {
  it("finds the server's time over an even way", () => {
    const clock = new Clock();
    clock.add(exchange(1_000, 3_600_000, 20, 20));
    expect(clock.serverAt(5_000)).toBeCloseTo(3_605_000, 6);
    expect(clock.delay).toBe(40);
  });

  it("goes by the sample with the least delay, however many worse ones there are", () => {
    const clock = new Clock();
    for (let i = 0; i < 4; i++) clock.add(exchange(i * 100, 500, 10, 110));
    clock.add(exchange(400, 500, 4, 4));
    for (let i = 5; i < 9; i++) clock.add(exchange(i * 100, 500, 120, 15));
    expect(clock.serverAt(2_000)).toBeCloseTo(2_500, 0);
  });

  it("is better for ten fairly quick samples than for one", () => {
    const one = new Clock();
    const ten = new Clock();
    const ways = [26, 34, 25, 38, 29, 33, 27, 36, 31, 28];
    one.add(exchange(0, 500, 25, 34));
    for (const [i, up] of ways.entries()) ten.add(exchange(i * 100, 500, up, ways[(i + 3) % 10] as number));
    expect(Math.abs(one.offsetAt(0) - 500)).toBeGreaterThan(4);
    expect(Math.abs(ten.offsetAt(0) - 500)).toBeLessThan(2);
  });

  it("is never further off than half the least delay", () => {
    const clock = new Clock();
    for (let i = 0; i < 8; i++) clock.add(exchange(i * 100, 500, 10 + i, 40));
    expect(Math.abs(clock.offsetAt(0) - 500)).toBeLessThanOrEqual(clock.delay / 2);
  });

  it("asks quickly eight times, then every ten seconds", () => {
    const clock = new Clock();
    for (let i = 0; i < 8; i++) {
      expect(clock.nextIn).toBe(QUICK_INTERVAL_MS);
      clock.add(exchange(i * 100, 0, 5, 5));
    }
    expect(clock.nextIn).toBe(STEADY_INTERVAL_MS);
  });

  it("follows a server whose clock runs 50 ppm faster between the samples", () => {
    const clock = new Clock();
    for (let t = 0; t <= 300_000; t += 10_000) clock.add(exchange(t, 1_000 + t * 50e-6, 5, 5));
    expect(clock.drift * 1e6).toBeCloseTo(50, 0);
    expect(clock.serverAt(600_000)).toBeCloseTo(601_030, 0);
  });

  it("takes no slope worth the name from a short look at an uneven way", () => {
    const clock = new Clock();
    for (let t = 0; t < 1_000; t += 120) clock.add(exchange(t, 1_000, t < 500 ? 20 : 60, t < 500 ? 60 : 20));
    expect(Math.abs(clock.drift)).toBeLessThan(20e-6);
  });

  it("believes no clock to be off by more than 200 ppm", () => {
    const clock = new Clock();
    for (let t = 0; t < 30_000; t += 1_000) clock.add(exchange(t, 1_000 + t * 1e-3, 5, 5));
    expect(clock.drift).toBe(200e-6);
  });

  it("refuses an answer that came before its question, or is no number", () => {
    const clock = new Clock();
    expect(clock.add({ t0: 100, t1: 0, t2: 0, t3: 50 })).toBe(false);
    expect(clock.add({ t0: 100, t1: Number.NaN, t2: 0, t3: 150 })).toBe(false);
    expect(clock.ready).toBe(false);
  });

  it("starts over after a reset", () => {
    const clock = new Clock();
    clock.add(exchange(0, 1_000, 1, 1));
    clock.reset();
    clock.add(exchange(10_000, 9_000, 50, 50));
    expect(clock.offsetAt(10_000)).toBeCloseTo(9_000, 6);
  });
});

describe("sleep", () => {
  it("is noticed when the wall clock went on and the monotonic one did not", () => {
    const sleep = new SleepDetector();
    expect(sleep.look(1_000, 50_000)).toBe(false);
    expect(sleep.look(2_000, 51_010)).toBe(false);
    expect(sleep.look(3_000, 90_000)).toBe(true);
    expect(sleep.look(4_000, 91_000)).toBe(false);
  });
});
