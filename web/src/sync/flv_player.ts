/** FLV and MPEG-TS by mpegts.js. Live FLV knows the wall clock from the `onClock {dts, pdt}` script tags. */

import mpegts from "mpegts.js";
import { emptyVideo, lengthOf, type Player, type PlayerEvents, type Source, withToken } from "./player";

type FlvSource = Extract<Source, { kind: "flv" | "mpegts" }>;

const RETRY_MS = 2_000;
const BACK_BUFFER_S = 120;

// What goes wrong is told to the person, in words, by `failed`.
mpegts.LoggingControl.enableAll = false;

interface ClockTag {
  /** ms on the publisher's timeline. */
  dts: number;
  /** Epoch ms. */
  pdt: number;
}

export class FlvPlayer implements Player {
  private inner: mpegts.Player | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private clock: ClockTag | null = null;
  private token: string | undefined;

  constructor(
    readonly video: HTMLVideoElement,
    private readonly source: FlvSource,
    private readonly events: PlayerEvents,
  ) {
    this.token = source.kind === "flv" ? source.token : undefined;
    video.addEventListener("loadedmetadata", this.onLoaded);
    this.open();
  }

  static supported(): boolean {
    return mpegts.isSupported();
  }

  offset(): number | null {
    if (!this.live) return 0;
    const base = this.inner === null ? undefined : timestampBase(this.inner);
    if (this.clock === null || base === undefined) return null;
    return (this.clock.pdt - this.clock.dts + base) / 1000;
  }

  range(): { earliest: number; latest: number } {
    if (!this.live) {
      const { duration } = this.video;
      return { earliest: 0, latest: Number.isFinite(duration) && duration > 0 ? duration : 0 };
    }
    const offset = this.offset();
    const { buffered } = this.video;
    if (offset === null || buffered.length === 0) return { earliest: 0, latest: 0 };
    return { earliest: buffered.start(0) + offset, latest: buffered.end(buffered.length - 1) + offset };
  }

  duration(): number | null {
    return this.live ? null : lengthOf(this.video);
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
    this.close();
    this.video.removeEventListener("loadedmetadata", this.onLoaded);
    emptyVideo(this.video);
  }

  private get live(): boolean {
    return this.source.kind === "flv" && this.source.live;
  }

  private readonly onLoaded = () => this.events.loaded();

  private open(): void {
    this.close();
    const live = this.live;
    const inner = mpegts.createPlayer(
      {
        type: this.source.kind === "mpegts" ? "mse" : "flv",
        isLive: live,
        url: new URL(withToken(this.source.url, this.token), location.href).href,
      },
      {
        // Where the timeline begins is known only to the transmuxer, which therefore stays on this thread.
        enableWorker: false,
        enableStashBuffer: !live,
        // The room decides where everybody is: the player's own chasing would fight it.
        liveBufferLatencyChasing: false,
        liveSync: false,
        lazyLoad: !live,
        autoCleanupSourceBuffer: true,
        autoCleanupMaxBackwardDuration: BACK_BUFFER_S + 30,
        autoCleanupMinBackwardDuration: BACK_BUFFER_S,
      },
    );
    this.inner = inner;
    this.clock = null;
    inner.on(mpegts.Events.SCRIPTDATA_ARRIVED, (data: unknown) => {
      const tag = clockTag(data);
      if (tag !== null) this.clock = tag;
    });
    inner.on(mpegts.Events.LOADING_COMPLETE, () => {
      if (live) this.again("The stream has ended or its link broke; waiting for it to come back.");
    });
    inner.on(mpegts.Events.ERROR, (type: string, _detail: string, info: { code?: number } | undefined) => {
      if (type === mpegts.ErrorTypes.MEDIA_ERROR) {
        const detail = "This browser cannot decode the video. H.264 with AAC plays everywhere.";
        this.events.failed({ detail, retrying: false });
      } else if (info?.code === 401 || info?.code === 403) {
        this.events.failed({ detail: "You may not watch this stream.", retrying: false });
      } else if (live) {
        const offline = info?.code === 404;
        this.again(
          offline ? "Nobody is live on this stream yet." : "The stream is out of reach for a moment.",
        );
      } else {
        const detail = "The video could not be fetched. Its server may not allow other sites to play it.";
        this.events.failed({ detail, retrying: false });
      }
    });
    inner.attachMediaElement(this.video);
    inner.load();
  }

  private again(detail: string): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.open();
    }, RETRY_MS);
    this.events.failed({ detail, retrying: true });
  }

  private close(): void {
    this.inner?.destroy();
    this.inner = null;
  }
}

function clockTag(data: unknown): ClockTag | null {
  if (typeof data !== "object" || data === null || !("onClock" in data)) return null;
  const tag = data.onClock as Partial<ClockTag> | null;
  if (typeof tag?.dts !== "number" || typeof tag.pdt !== "number") return null;
  return { dts: tag.dts, pdt: tag.pdt };
}

/** The DTS that mpegts.js made the zero of the media timeline; it keeps that to itself, hence the reaching in. */
function timestampBase(player: mpegts.Player): number | undefined {
  const inside = player as unknown as {
    _player_engine?: {
      _transmuxer?: { _controller?: { _remuxer?: { getTimestampBase?: () => number | undefined } } };
    };
  };
  return inside._player_engine?._transmuxer?._controller?._remuxer?.getTimestampBase?.();
}
