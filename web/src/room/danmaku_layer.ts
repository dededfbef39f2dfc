/** Danmaku over the picture: text nodes moved by the compositor, so they cost the page nothing while they fly. */

import type { Danmaku } from "../contract";
import { CROSSING_MS, Lanes, STANDING_MS } from "./lanes";

const SIZES = { small: 0.82, normal: 1, large: 1.3 } as const;
const MOST_AT_ONCE = 120;
const COLOR = /^#[0-9a-f]{6}$/i;

export class DanmakuLayer {
  private readonly lanes = new Lanes();
  private shown = 0;
  private enabled = true;
  private readonly observer: ResizeObserver;

  constructor(private readonly host: HTMLElement) {
    this.observer = new ResizeObserver(() => this.measure());
    this.observer.observe(host);
    this.measure();
  }

  setEnabled(enabled: boolean): void {
    this.enabled = enabled;
    if (!enabled) {
      this.host.replaceChildren();
      this.shown = 0;
      this.lanes.clear();
    }
  }

  show(danmaku: Danmaku, mine: boolean): void {
    if (!this.enabled || this.shown >= MOST_AT_ONCE || document.hidden) return;
    const { host } = this;
    const stage = host.clientWidth;
    if (stage === 0) return;
    const text = document.createElement("span");
    text.className = mine ? "danmaku mine" : "danmaku";
    text.textContent = danmaku.text;
    text.style.color = COLOR.test(danmaku.color) ? danmaku.color : "#ffffff";
    text.style.fontSize = `${this.fontSize() * (SIZES[danmaku.size] ?? 1)}px`;
    host.append(text);
    const width = text.offsetWidth;
    const now = performance.now();
    const standing = danmaku.mode === "top" || danmaku.mode === "bottom";
    const lane = standing
      ? this.lanes.stand(now, danmaku.mode as "top" | "bottom")
      : this.lanes.scroll(now, width, stage);
    if (lane === null) {
      text.remove();
      return;
    }
    this.shown += 1;
    const offset = `${lane * this.laneHeight() + 6}px`;
    if (danmaku.mode === "bottom") text.style.bottom = `calc(${offset} + 56px)`;
    else text.style.top = offset;
    const animation = standing
      ? text.animate([{ opacity: 1 }, { opacity: 1, offset: 0.9 }, { opacity: 0 }], STANDING_MS)
      : text.animate(
          [{ transform: `translateX(${stage}px)` }, { transform: `translateX(${-width}px)` }],
          CROSSING_MS,
        );
    if (standing) text.style.left = `${Math.max(0, (stage - width) / 2)}px`;
    const done = () => {
      if (!text.isConnected) return;
      text.remove();
      this.shown -= 1;
    };
    animation.onfinish = done;
    animation.oncancel = done;
  }

  destroy(): void {
    this.observer.disconnect();
    this.host.replaceChildren();
  }

  private fontSize(): number {
    return Math.max(15, Math.min(30, this.host.clientHeight / 20));
  }

  private laneHeight(): number {
    return this.fontSize() * 1.55;
  }

  private measure(): void {
    const height = this.host.clientHeight * 0.72;
    this.lanes.resize(Math.max(1, Math.floor(height / this.laneHeight())));
  }
}
