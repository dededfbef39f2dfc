/** HLS by hls.js: files as they are, live with program date-time as the axis. */

import Hls, { ErrorTypes, Events, type HlsConfig } from "hls.js";
import workerUrl from "hls.js/dist/hls.worker.js?url";
import {
  emptyVideo,
  type LoadFailure,
  type Player,
  type PlayerEvents,
  type Source,
  withToken,
} from "./player";

type HlsSource = Extract<Source, { kind: "hls" }>;

const RETRY_MS = 2_000;
/** Keeps the picture for a rewind within the default DVR window. */
const LIVE_BACK_BUFFER_S = 120;

export class HlsPlayer implements Player {
  private hls: Hls | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private token: string | undefined;
  private recovered = 0;

  constructor(
    readonly video: HTMLVideoElement,
    private readonly source: HlsSource,
    private readonly events: PlayerEvents,
  ) {
    this.token = source.token;
    if (source.live) video.addEventListener("ended", this.onEnded);
    this.open();
  }

  static supported(): boolean {
    return Hls.isSupported();
  }

  offset(): number | null {
    if (!this.source.live) return 0;
    const details = this.hls?.latestLevelDetails;
    if (!details?.hasProgramDateTime) return null;
    // Program date-time is slewed by the packager, so the fragment under the playhead tells, not the first.
    const now = this.video.currentTime;
    let base: { programDateTime: number | null; start: number } | undefined;
    for (const fragment of details.fragments) {
      if (fragment.programDateTime === null) continue;
      if (base !== undefined && fragment.start > now) break;
      base = fragment;
    }
    if (base === undefined || base.programDateTime === null) return null;
    return base.programDateTime / 1000 - base.start;
  }

  range(): { earliest: number; latest: number } {
    if (!this.source.live) {
      const { duration } = this.video;
      return { earliest: 0, latest: Number.isFinite(duration) && duration > 0 ? duration : 0 };
    }
    const offset = this.offset();
    const details = this.hls?.latestLevelDetails;
    if (offset === null || !details) return { earliest: 0, latest: 0 };
    return { earliest: details.fragmentStart + offset, latest: details.edge + offset };
  }

  duration(): number | null {
    const details = this.hls?.latestLevelDetails;
    // A list that still grows has an end for the element all the same: only the list itself knows.
    return this.source.live || !details || details.live ? null : details.totalduration;
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
    this.video.removeEventListener("ended", this.onEnded);
    this.hls?.destroy();
    this.hls = null;
    emptyVideo(this.video);
  }

  private config(): Partial<HlsConfig> {
    const config: Partial<HlsConfig> = {
      workerPath: workerUrl,
      // The room decides where everybody is: the player's own chasing would fight it.
      maxLiveSyncPlaybackRate: 1,
      liveSyncOnStallIncrease: 0,
      backBufferLength: this.source.live ? LIVE_BACK_BUFFER_S : 60,
      xhrSetup: (xhr, url) => {
        const wanted = this.authorised(url);
        if (wanted !== url) xhr.open("GET", wanted, true);
      },
    };
    if (this.source.live && this.source.liveDelayMs) {
      config.liveSyncDuration = this.source.liveDelayMs / 1000;
      config.liveMaxLatencyDuration = Number.POSITIVE_INFINITY;
    }
    return config;
  }

  /** Parts and segments have unguessable names; only playlists ask for the token. */
  private authorised(url: string): string {
    if (!this.token || !new URL(url, location.href).pathname.endsWith(".m3u8")) return url;
    return withToken(url, this.token);
  }

  private open(): void {
    this.hls?.destroy();
    const hls = new Hls(this.config());
    this.hls = hls;
    let fresh = true;
    hls.on(Events.LEVEL_LOADED, (_event, { details }) => {
      if (this.hls !== hls) return;
      // What has ended before we came is over: the next one is waited for.
      if (this.source.live && !details.live && fresh) this.onEnded();
      else this.events.loaded();
      fresh = false;
    });
    hls.on(Events.ERROR, (_event, data) => {
      if (!data.fatal || this.hls !== hls) return;
      if (data.type === ErrorTypes.MEDIA_ERROR && this.recovered < 2) {
        this.recovered += 1;
        hls.recoverMediaError();
        return;
      }
      this.fail(data.type, data.response?.code);
    });
    hls.loadSource(this.source.url);
    hls.attachMedia(this.video);
  }

  private fail(type: ErrorTypes, status: number | undefined): void {
    const failure = describe(type, status, this.source.live);
    if (failure.retrying) this.openLater();
    this.events.failed(failure);
  }

  private readonly onEnded = () => {
    this.hls?.destroy();
    this.hls = null;
    this.openLater();
    this.events.failed({ detail: "The stream has ended. Waiting for it to come back.", retrying: true });
  };

  private openLater(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.open();
    }, RETRY_MS);
  }
}

function describe(type: ErrorTypes, status: number | undefined, live: boolean): LoadFailure {
  if (type === ErrorTypes.MEDIA_ERROR) {
    return {
      detail: "This browser cannot decode the video. H.264 with AAC plays everywhere.",
      retrying: live,
    };
  }
  if (status === 401 || status === 403) return { detail: "You may not watch this stream.", retrying: false };
  if (live) {
    const detail =
      status === 404 ? "Nobody is live on this stream yet." : "The stream is out of reach for a moment.";
    return { detail, retrying: true };
  }
  if (status === 404) return { detail: "There is no video at this address.", retrying: false };
  return {
    detail: "The video could not be fetched. Its server may not allow other sites to play it.",
    retrying: false,
  };
}
