/**
 * The server's clock as seen from here, NTP-style, without asking anybody for the time.
 *
 * Local times are milliseconds of a monotonic clock (`performance.timeOrigin + performance.now()`), so a wall
 * clock that is an hour wrong, or set while we run, moves nothing. Server times are epoch milliseconds.
 */

export interface TimeSample {
  /** Local time when the question left. */
  t0: number;
  /** Server time when it arrived there. */
  t1: number;
  /** Server time when the answer left. */
  t2: number;
  /** Local time when the answer came back. */
  t3: number;
}

interface Point {
  /** Local time in the middle of the exchange. */
  at: number;
  /** Server minus local. */
  offset: number;
  /** Time on the wire, both ways. */
  delay: number;
}

/** Quick samples after a (re)connect, and the pause between them. */
export const QUICK_SAMPLES = 8;
export const QUICK_INTERVAL_MS = 120;
export const STEADY_INTERVAL_MS = 10_000;
/** Local and wall clock parting by more than this between two looks means that the machine slept. */
export const SLEEP_GAP_MS = 1_000;

/** Older samples say nothing any more: clocks drift, and the drift drifts. */
const WINDOW_MS = 15 * 60_000;
/** Quartz clocks part by tens of ppm: a slope is believed as far as the samples insist on it. */
const DRIFT_SIGMA = 50e-6;
const MAX_DRIFT = 200e-6;
/** What is left of an exchange's error when nothing waited anywhere: timers, interrupts, ways not quite alike. */
const FLOOR_MS = 0.5;
const FLOOR_SHARE = 0.03;
/** The least delay seen is taken to lie above the least possible by its distance from the third least, at most all. */
const TYPICAL = 2;

/** Server minus local: `offset` at `at`, changing by `drift`. */
interface Line {
  at: number;
  offset: number;
  drift: number;
  /** Round trip of the quickest sample. */
  delay: number;
}

export class Clock {
  private points: Point[] = [];
  private line: Line | null = null;
  private taken = 0;

  /** Take one exchange in; answers whether it is plausible and was used. */
  add(sample: TimeSample): boolean {
    const delay = sample.t3 - sample.t0 - (sample.t2 - sample.t1);
    const offset = (sample.t1 - sample.t0 + (sample.t2 - sample.t3)) / 2;
    if (!Number.isFinite(delay) || !Number.isFinite(offset) || delay < -1 || sample.t3 < sample.t0)
      return false;
    const point = { at: (sample.t0 + sample.t3) / 2, offset, delay: Math.max(0, delay) };
    this.taken += 1;
    this.points.push(point);
    this.points = this.points.filter((p) => point.at - p.at <= WINDOW_MS);
    this.line = fit(this.points);
    return true;
  }

  /** Forget everything: after sleep the old samples tell nothing. */
  reset(): void {
    this.points = [];
    this.line = null;
    this.taken = 0;
  }

  /** Whether there is anything to go by. */
  get ready(): boolean {
    return this.line !== null;
  }

  /** Whether the quick samples are all in. */
  get settled(): boolean {
    return this.taken >= QUICK_SAMPLES;
  }

  get samples(): number {
    return this.taken;
  }

  /** Round trip of the best sample, ms; half of it bounds the clock's error. */
  get delay(): number {
    return this.line?.delay ?? 0;
  }

  /** Parts per one by which the server's clock runs faster than ours. */
  get drift(): number {
    return this.line?.drift ?? 0;
  }

  /** Server minus local at a local time, ms. */
  offsetAt(local: number): number {
    return this.line === null ? 0 : this.line.offset + this.line.drift * (local - this.line.at);
  }

  /** Server time at a local time, epoch ms. */
  serverAt(local: number): number {
    return local + this.offsetAt(local);
  }

  /** Pause before the next sample, ms. */
  get nextIn(): number {
    return this.settled ? STEADY_INTERVAL_MS : QUICK_INTERVAL_MS;
  }
}

/**
 * The line through all samples, each as heavy as its delay makes it credible.
 *
 * A sample that took `e` ms longer than it had to may have waited on either way, all shares alike: its offset
 * has the variance e²/12. So the quickest decide, and ten fairly quick ones beat the single quickest.
 */
function fit(points: readonly Point[]): Line {
  const delays = points.map((p) => p.delay).sort((a, b) => a - b);
  const least = delays[0] ?? 0;
  const missed = Math.min((delays[Math.min(TYPICAL, delays.length - 1)] ?? 0) - least, least);
  const first = points[0] ?? { at: 0, offset: 0, delay: 0 };
  const floor = FLOOR_MS + FLOOR_SHARE * least;
  const weigh = (p: Point) => weight(p.delay - least + missed, floor);
  let all = 0;
  let at = 0;
  let offset = 0;
  for (const p of points) {
    const w = weigh(p);
    all += w;
    at += w * (p.at - first.at);
    offset += w * (p.offset - first.offset);
  }
  at = first.at + at / all;
  offset = first.offset + offset / all;
  let upper = 0;
  let lower = 1 / (DRIFT_SIGMA * DRIFT_SIGMA);
  for (const p of points) {
    const w = weigh(p);
    upper += w * (p.at - at) * (p.offset - offset);
    lower += w * (p.at - at) * (p.at - at);
  }
  const drift = Math.max(-MAX_DRIFT, Math.min(upper / lower, MAX_DRIFT));
  return { at, offset, drift, delay: least };
}

function weight(excess: number, floor: number): number {
  return 1 / ((excess * excess) / 12 + floor * floor);
}

/** Tells sleep from waking hours: feed it both clocks now and then. */
export class SleepDetector {
  private gap: number | null = null;

  /** True once after the two clocks parted since the last look. */
  look(monotonic: number, wall: number): boolean {
    const gap = wall - monotonic;
    const slept = this.gap !== null && Math.abs(gap - this.gap) > SLEEP_GAP_MS;
    this.gap = gap;
    return slept;
  }
}
