/** What is known of a live stream, in words for people. */

import { clockTime, people } from "./format";
import type { StreamInfo } from "./net/api";

const CODECS: readonly [string, string][] = [
  ["avc", "H.264"],
  ["hvc1", "H.265"],
  ["hev1", "H.265"],
  ["av01", "AV1"],
  ["vp09", "VP9"],
  ["mp4a", "AAC"],
  ["opus", "Opus"],
];

/** "avc1.64001f" → "H.264". */
export function codecName(codec: string): string {
  return CODECS.find(([start]) => codec.toLowerCase().startsWith(start))?.[1] ?? codec;
}

/** 2,480 → "2.5 Mbit/s", 640 → "640 kbit/s". */
export function bitrate(kbps: number): string {
  return kbps >= 1_000 ? `${(kbps / 1_000).toFixed(1)} Mbit/s` : `${Math.round(kbps)} kbit/s`;
}

/** Names and values; what is not known, or not for the reader, is left out. `now` is epoch ms. */
export function streamFacts(info: StreamInfo, now: number): [string, string][] {
  const { live, statistics, publisher, viewers } = info;
  const facts: [string, string][] = [];
  if (live?.video_codec) {
    const size = live.width && live.height ? `${live.width} × ${live.height}` : null;
    const rate = statistics?.fps || live.fps;
    const fps = rate ? `${Number(rate.toFixed(rate < 100 ? 2 : 0))} fps` : null;
    facts.push(["Picture", [codecName(live.video_codec), size, fps].filter(Boolean).join(" · ")]);
  }
  if (live?.audio_codec) {
    const rate = live.sample_rate ? `${Number((live.sample_rate / 1000).toFixed(1))} kHz` : null;
    const channels = live.channels === 1 ? "mono" : live.channels === 2 ? "stereo" : null;
    facts.push(["Sound", [codecName(live.audio_codec), rate, channels].filter(Boolean).join(" · ")]);
  }
  const kbps = statistics?.bitrate_kbps ?? live?.bitrate_kbps;
  if (live && kbps) facts.push(["Bitrate", bitrate(kbps)]);
  if (statistics) facts.push(["Trouble", trouble(statistics)]);
  if (publisher) {
    facts.push(["On for", clockTime((now - publisher.since) / 1000)]);
    facts.push([
      "From",
      [encoderName(publisher.encoder), publisher.protocol.toUpperCase()].filter(Boolean).join(", "),
    ]);
  }
  if (viewers !== undefined) facts.push(["Watching", people(viewers)]);
  return facts;
}

/** Encoders call themselves "FMLE/3.0 (compatible; …)" and mean what stands after it. */
function encoderName(text: string): string {
  return /\(compatible; ([^)]+)\)/.exec(text)?.[1] ?? text;
}

function trouble({ gaps, repairs, refused }: NonNullable<StreamInfo["statistics"]>): string {
  const parts: string[] = [];
  if (gaps > 0) parts.push(`${gaps} lost`);
  if (repairs > 0) parts.push(`${repairs} ${repairs === 1 ? "timestamp" : "timestamps"} repaired`);
  if (refused > 0) parts.push(`${refused} ${refused === 1 ? "frame" : "frames"} refused`);
  return parts.join(", ") || "none";
}
