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

/** The sample with the least delay is looked for among this many. */
const WINDOW = 16;
/** Drift is a slope over this long; two quartz clocks part by tens of ppm, never by more than MAX_DRIFT. */
const DRIFT_WINDOW_MS = 15 * 60_000;
const DRIFT_MIN_SPAN_MS = 60_000;
const DRIFT_MIN_POINTS = 6;
const MAX_DRIFT = 200e-6;

export class Clock {
  private points: Point[] = [];
  private best: Point | null = null;
  private slope = 0;
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
    this.points = this.points.filter((p) => point.at - p.at <= DRIFT_WINDOW_MS);
    this.best = this.points.slice(-WINDOW).reduce((a, b) => (b.delay <= a.delay ? b : a));
    this.slope = regress(this.points);
    return true;
  }

  /** Forget everything: after sleep the old samples tell nothing. */
  reset(): void {
    this.points = [];
    this.best = null;
    this.slope = 0;
    this.taken = 0;
  }

  /** Whether there is anything to go by. */
  get ready(): boolean {
    return this.best !== null;
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
    return this.best?.delay ?? 0;
  }

  /** Parts per one by which the server's clock runs faster than ours. */
  get drift(): number {
    return this.slope;
  }

  /** Server minus local at a local time, ms. */
  offsetAt(local: number): number {
    return this.best === null ? 0 : this.best.offset + this.slope * (local - this.best.at);
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

/** Slope of offset over time through the cleanest half of the points, 0 while there is too little to say. */
function regress(points: readonly Point[]): number {
  const byDelay = [...points].sort((a, b) => a.delay - b.delay);
  const clean = byDelay.slice(0, Math.max(DRIFT_MIN_POINTS, Math.ceil(points.length / 2)));
  if (clean.length < DRIFT_MIN_POINTS) return 0;
  const times = clean.map((p) => p.at);
  if (Math.max(...times) - Math.min(...times) < DRIFT_MIN_SPAN_MS) return 0;
  const meanAt = times.reduce((a, b) => a + b, 0) / clean.length;
  const meanOffset = clean.reduce((a, p) => a + p.offset, 0) / clean.length;
  let upper = 0;
  let lower = 0;
  for (const p of clean) {
    upper += (p.at - meanAt) * (p.offset - meanOffset);
    lower += (p.at - meanAt) ** 2;
  }
  const slope = lower > 0 ? upper / lower : 0;
  return Math.abs(slope) <= MAX_DRIFT ? slope : 0;
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
