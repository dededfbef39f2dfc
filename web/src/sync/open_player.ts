/** Picks the player for a source; the big ones are fetched only when something wants them. */

import { FilePlayer } from "./file_player";
import type { Player, PlayerEvents, Source } from "./player";

export async function openPlayer(
  video: HTMLVideoElement,
  source: Source,
  events: PlayerEvents,
): Promise<Player | null> {
  if (source.kind === "file") return new FilePlayer(video, source.url, events);
  if (source.kind === "hls") {
    const { HlsPlayer } = await import("./hls_player");
    if (HlsPlayer.supported()) return new HlsPlayer(video, source, events);
    if (video.canPlayType("application/vnd.apple.mpegurl")) {
      const { NativeHlsPlayer } = await import("./native_hls_player");
      return new NativeHlsPlayer(video, source, events);
    }
  } else {
    const { FlvPlayer } = await import("./flv_player");
    if (FlvPlayer.supported()) return new FlvPlayer(video, source, events);
  }
  events.failed({ detail: "This browser cannot play this kind of video.", retrying: false });
  return null;
}
