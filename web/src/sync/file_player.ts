/** A plain file behind a URL, played by the browser itself. */

import { emptyVideo, lengthOf, mediaErrorSentence, type Player, type PlayerEvents } from "./player";

export class FilePlayer implements Player {
  private readonly abort = new AbortController();

  constructor(
    readonly video: HTMLVideoElement,
    private readonly url: string,
    events: PlayerEvents,
  ) {
    const { signal } = this.abort;
    video.addEventListener("loadedmetadata", () => events.loaded(), { signal });
    video.addEventListener(
      "error",
      () => events.failed({ detail: mediaErrorSentence(video.error), retrying: false }),
      { signal },
    );
    video.preload = "auto";
    video.src = url;
  }

  offset(): number {
    return 0;
  }

  range(): { earliest: number; latest: number } {
    const { duration } = this.video;
    return { earliest: 0, latest: Number.isFinite(duration) && duration > 0 ? duration : 0 };
  }

  duration(): number | null {
    return lengthOf(this.video);
  }

  setToken(): void {
    // A plain URL carries whatever it needs.
  }

  retry(): void {
    const at = this.video.currentTime;
    this.video.src = this.url;
    this.video.currentTime = at;
  }

  destroy(): void {
    this.abort.abort();
    emptyVideo(this.video);
  }
}
