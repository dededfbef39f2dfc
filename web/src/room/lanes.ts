/** Which lane a danmaku takes so that none runs into another. Pure: sizes and times in, lane out. */

export const CROSSING_MS = 8_000;
export const STANDING_MS = 4_500;

interface Occupant {
  /** When it began, ms. */
  at: number;
  width: number;
}

export class Lanes {
  private scrolling: (Occupant | null)[] = [];
  private top: (number | null)[] = [];
  private bottom: (number | null)[] = [];

  /** How many lanes fit; those that no longer do are forgotten. */
  resize(count: number): void {
    const toFit = <T>(lanes: (T | null)[]): (T | null)[] =>
      Array.from({ length: count }, (_, i) => lanes[i] ?? null);
    this.scrolling = toFit(this.scrolling);
    this.top = toFit(this.top);
    this.bottom = toFit(this.bottom);
  }

  clear(): void {
    const count = this.scrolling.length;
    this.scrolling = [];
    this.top = [];
    this.bottom = [];
    this.resize(count);
  }

  /** A lane for a text that crosses the stage, or null when all are taken. */
  scroll(now: number, width: number, stage: number): number | null {
    const lane = this.scrolling.findIndex((before) => before === null || clear(before, now, width, stage));
    if (lane < 0) return null;
    this.scrolling[lane] = { at: now, width };
    return lane;
  }

  /** A lane for a text that stands, from the top or from the bottom. */
  stand(now: number, where: "top" | "bottom"): number | null {
    const lanes = this[where];
    const lane = lanes.findIndex((until) => until === null || until <= now);
    if (lane < 0) return null;
    lanes[lane] = now + STANDING_MS;
    return lane;
  }
}

/** Whether a newcomer neither touches the one before at the right edge nor catches up with it before it is out. */
function clear(before: Occupant, now: number, width: number, stage: number): boolean {
  const gap = 24;
  const age = now - before.at;
  const entered = (age * (stage + before.width)) / CROSSING_MS - before.width;
  if (entered < gap) return false;
  const left = CROSSING_MS - age;
  if (left <= 0) return true;
  return (left * (stage + width)) / CROSSING_MS <= stage;
}
