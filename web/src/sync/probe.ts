/** How long a video is, asked before it is put on a playlist: the room needs it to go on to the next by itself. */

import { sourceOf } from "./player";

const PROBE_MS = 6_000;

/** Seconds, or null where the browser cannot tell in time. */
export function probeDuration(url: string): Promise<number | null> {
  const source = sourceOf(url);
  if (source.kind === "hls") return hlsDuration(url);
  if (source.kind !== "file") return Promise.resolve(null);
  return new Promise((resolve) => {
    const video = document.createElement("video");
    const done = () => {
      clearTimeout(timer);
      const { duration } = video;
      video.removeAttribute("src");
      video.load();
      resolve(Number.isFinite(duration) && duration > 0 ? duration : null);
    };
    const timer = setTimeout(done, PROBE_MS);
    video.addEventListener("loadedmetadata", done, { once: true });
    video.addEventListener("error", done, { once: true });
    video.preload = "metadata";
    video.muted = true;
    video.src = url;
  });
}

/** The sum of a finished playlist's segments; a multivariant one leads to its first rendition. */
async function hlsDuration(url: string, depth = 0): Promise<number | null> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(PROBE_MS) });
    if (!response.ok) return null;
    const text = await response.text();
    const variant = /^#EXT-X-STREAM-INF:.*\r?\n([^#\s].*)$/m.exec(text)?.[1];
    if (variant !== undefined)
      return depth > 0 ? null : hlsDuration(new URL(variant.trim(), response.url).href, 1);
    return playlistDuration(text);
  } catch {
    return null;
  }
}

/** Seconds of a media playlist that has ended; null of one that has not. */
export function playlistDuration(text: string): number | null {
  if (!/^#EXT-X-ENDLIST/m.test(text)) return null;
  let whole = 0;
  for (const match of text.matchAll(/^#EXTINF:([0-9.]+)/gm)) whole += Number(match[1]);
  return whole > 0 ? whole : null;
}
