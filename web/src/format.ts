/** How things are written for people. */

/** 75 → "1:15", 3675 → "1:01:15". */
export function clockTime(seconds: number): string {
  if (!Number.isFinite(seconds)) return "–:––";
  const whole = Math.max(0, Math.floor(seconds));
  const h = Math.floor(whole / 3600);
  const m = Math.floor((whole % 3600) / 60);
  const s = String(whole % 60).padStart(2, "0");
  return h > 0 ? `${h}:${String(m).padStart(2, "0")}:${s}` : `${m}:${s}`;
}

/** The time of day of a message. */
export function timeOfDay(ms: number, locale?: string): string {
  return new Date(ms).toLocaleTimeString(locale, { hour: "2-digit", minute: "2-digit" });
}

/** Date and time, as long as it takes. */
export function wholeTime(ms: number, locale?: string): string {
  return new Date(ms).toLocaleString(locale, { dateStyle: "medium", timeStyle: "medium" });
}

/** Day and time, without the seconds. */
export function dayAndTime(ms: number, locale?: string): string {
  return new Date(ms).toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" });
}

/** 12 → "+12 ms", −1,340 → "−1.34 s". */
export function drift(ms: number): string {
  const sign = ms > 0 ? "+" : ms < 0 ? "−" : "";
  const off = Math.abs(ms);
  if (off >= 60_000) return `${sign}${Math.round(off / 60_000)} min`;
  if (off >= 10_000) return `${sign}${Math.round(off / 1000)} s`;
  if (off >= 1_000) return `${sign}${(off / 1000).toFixed(2)} s`;
  return `${sign}${Math.round(off)} ms`;
}

/** How good a drift is, for its colour. */
export function driftGrade(ms: number): "good" | "fair" | "poor" {
  const off = Math.abs(ms);
  return off <= 60 ? "good" : off <= 300 ? "fair" : "poor";
}

/** 1 → "1×", 1.25 → "1.25×". */
export function speed(rate: number): string {
  return `${Number(rate.toFixed(2))}×`;
}

/** A name for a URL nobody named: its last path part, or its host. */
export function titleOfUrl(url: string): string {
  try {
    const parsed = new URL(url);
    const last = parsed.pathname.split("/").filter(Boolean).pop();
    if (last === undefined) return parsed.host;
    const plain = decodeURIComponent(last).replace(/\.[a-z0-9]{2,5}$/i, "");
    return plain.replaceAll(/[._]+/g, " ").trim() || parsed.host;
  } catch {
    return url;
  }
}

/** Up to two letters that stand for a name. */
export function initials(name: string): string {
  const words = name
    .trim()
    .split(/[\s_-]+/)
    .filter(Boolean);
  const letters = words.length > 1 ? [words[0], words[1]] : [words[0]];
  return letters
    .map((word) => [...(word ?? "?")][0] ?? "")
    .join("")
    .toUpperCase();
}

/** A hue that is always the same for the same id. */
export function hueOf(id: string): number {
  let hash = 0;
  for (const char of id) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) >>> 0;
  return (hash * 137) % 360;
}

/** "1 person", "3 people". */
export function people(count: number): string {
  return `${count} ${count === 1 ? "person" : "people"}`;
}

/** The publish address without the key, as an encoder's "server" field wants it. */
export function serverOf(rtmpUrl: string, key: string): string {
  return rtmpUrl.endsWith(`/${key}`) ? rtmpUrl.slice(0, -(key.length + 1)) : rtmpUrl.replace(/\/+$/, "");
}

/** "Ann", "Ann and Ben", "Ann, Ben and 3 others". */
export function names(people: readonly { username: string }[]): string {
  const [first, second, third] = people.map((person) => person.username);
  if (first === undefined) return "nobody";
  if (second === undefined) return first;
  if (third === undefined) return `${first} and ${second}`;
  if (people.length === 3) return `${first}, ${second} and ${third}`;
  return `${first}, ${second} and ${people.length - 2} others`;
}

/** How long something lasts still, in the two words that matter: "2 minutes", "3 days". */
export function timeLeft(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const units: [number, string][] = [
    [86_400, "day"],
    [3_600, "hour"],
    [60, "minute"],
  ];
  for (const [size, name] of units) {
    // Ninety minutes are two hours to nobody: the bigger word only where it is not far off.
    if (seconds >= 2 * size || (name === "minute" && seconds >= 90))
      return counted(Math.round(seconds / size), name);
  }
  return counted(seconds, "second");
}

/** "1 use", "3 uses". */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
