/** HLS where only the browser itself plays it (iPhone): program date-time by `getStartDate()`. */

import {
  emptyVideo,
  lengthOf,
  mediaErrorSentence,
  type Player,
  type PlayerEvents,
  type Source,
  withToken,
} from "./player";

type HlsSource = Extract<Source, { kind: "hls" }>;

const RETRY_MS = 2_000;

export class NativeHlsPlayer implements Player {
  private readonly abort = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private token: string | undefined;

  constructor(
    readonly video: HTMLVideoElement,
    private readonly source: HlsSource,
    private readonly events: PlayerEvents,
  ) {
    this.token = source.token;
    const { signal } = this.abort;
    video.addEventListener("loadedmetadata", () => events.loaded(), { signal });
    video.addEventListener("error", () => this.fail(), { signal });
    this.open();
  }

  offset(): number | null {
    if (!this.source.live) return 0;
    const started = (this.video as { getStartDate?: () => Date }).getStartDate?.().getTime();
    return started === undefined || Number.isNaN(started) ? null : started / 1000;
  }

  range(): { earliest: number; latest: number } {
    const { seekable } = this.video;
    const offset = this.offset();
    if (offset === null || seekable.length === 0) return { earliest: 0, latest: 0 };
    return { earliest: seekable.start(0) + offset, latest: seekable.end(seekable.length - 1) + offset };
  }

  duration(): number | null {
    return this.source.live ? null : lengthOf(this.video);
  }

  setToken(token: string): void {
    this.token = token;
  }

  retry(): void {
    if (this.timer === undefined) return;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.open();
  }

  destroy(): void {
    clearTimeout(this.timer);
    this.abort.abort();
    emptyVideo(this.video);
  }

  private open(): void {
    this.video.src = withToken(this.source.url, this.token);
  }

  private fail(): void {
    if (this.source.live) {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => {
        this.timer = undefined;
        this.open();
      }, RETRY_MS);
      this.events.failed({ detail: "Nobody is live on this stream yet.", retrying: true });
    } else {
      this.events.failed({ detail: mediaErrorSentence(this.video.error), retrying: false });
    }
  }
}
