/** What the sync engine needs of a player, whatever plays. */

export interface LoadFailure {
  /** A sentence for the person in front of it. */
  detail: string;
  /** Whether it may come right by itself: the player goes on trying. */
  retrying: boolean;
}

export interface Player {
  readonly video: HTMLVideoElement;
  /** Seconds to add to `video.currentTime` for the room's axis; null until it is known. */
  offset(): number | null;
  /** What can be sought to, on the room's axis. */
  range(): { earliest: number; latest: number };
  /** Seconds, of what has an end; null of what has none, or while nobody knows. */
  duration(): number | null;
  /** A fresh token for a private stream. */
  setToken(token: string): void;
  /** Try at once what is being retried later (the stream went live). */
  retry(): void;
  destroy(): void;
}

export interface PlayerEvents {
  failed(failure: LoadFailure): void;
  loaded(): void;
}

export type Source =
  | { kind: "file"; url: string }
  | { kind: "hls"; url: string; live: boolean; token?: string; liveDelayMs?: number }
  | { kind: "flv"; url: string; live: boolean; token?: string }
  | { kind: "mpegts"; url: string };

/** What plays a URL that somebody pasted, by the ending of its path. */
export function sourceOf(url: string): Source {
  let path = url;
  try {
    path = new URL(url, "http://localhost/").pathname;
  } catch {
    // Not a URL: the player will say so.
  }
  const ending = /\.([a-z0-9]+)$/i.exec(path)?.[1]?.toLowerCase();
  if (ending === "m3u8" || ending === "m3u") return { kind: "hls", url, live: false };
  if (ending === "flv") return { kind: "flv", url, live: false };
  if (ending === "ts" || ending === "m2ts" || ending === "mts") return { kind: "mpegts", url };
  return { kind: "file", url };
}

/** Put a play token on a URL; an empty token leaves it alone. */
export function withToken(url: string, token: string | undefined): string {
  if (!token || /[?&]token=/.test(url)) return url;
  const [head = "", hash] = url.split("#", 2);
  return `${head}${head.includes("?") ? "&" : "?"}token=${encodeURIComponent(token)}${hash ? `#${hash}` : ""}`;
}

/** What a media element's error means, said so that a person can do something about it. */
export function mediaErrorSentence(error: MediaError | null): string {
  switch (error?.code) {
    case 1:
      return "Loading was stopped.";
    case 2:
      return "The connection to the video broke while it was loading.";
    case 3:
      return "This browser cannot decode the video. H.264 with AAC plays everywhere.";
    default:
      return "This address does not lead to a video that the browser can play.";
  }
}

/** The element's duration where it is one: seconds. */
export function lengthOf({ duration }: HTMLVideoElement): number | null {
  return Number.isFinite(duration) && duration > 0 ? duration : null;
}

/** Remove what a player had put into the element, so that the next one starts clean. */
export function emptyVideo(video: HTMLVideoElement): void {
  video.removeAttribute("src");
  video.load();
}
