/** Binds a sync engine to the room: its state, its current item, its tokens. */

import { computed, effect } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { installDebugHook } from "../debug_hook";
import { api, playTokenOf } from "../net/api";
import type { Socket } from "../net/socket";
import { preferences } from "../preferences";
import { SyncEngine } from "../sync/engine";
import { type Source, sourceOf } from "../sync/player";
import { teachDurations } from "./learned_duration";
import { startReporting } from "./reporter";
import type { RoomStore } from "./room_store";

const LIVE_DELAY_MS = 3_000;

export function useEngine(
  video: { current: HTMLVideoElement | null },
  store: RoomStore,
  socket: Socket,
): SyncEngine | null {
  const [engine, setEngine] = useState<SyncEngine | null>(null);
  useEffect(() => {
    if (video.current === null) return;
    const made = new SyncEngine(video.current, socket.clock);
    const stops = [
      bind(made, store),
      startReporting(store, socket, made),
      teachDurations(store, made),
      installDebugHook(
        made,
        socket.clock,
        () => store.state.peek(),
        () => socket.state.peek(),
      ),
    ];
    setEngine(made);
    return () => {
      for (const stop of stops) stop();
      made.destroy();
      setEngine(null);
    };
  }, [video, store, socket]);
  return engine;
}

function bind(engine: SyncEngine, store: RoomStore): () => void {
  const delay = computed(() => store.settings.value.live_delay_ms ?? LIVE_DELAY_MS);
  const source = computed(() => {
    const item = store.current.value;
    if (item === null) return null;
    // The key names what would have to be loaded anew; a renamed item goes on playing.
    if (item.kind === "live" && item.stream) {
      return { key: `live ${item.id} ${preferences.livePlayer.value}`, stream: item.stream, url: "" };
    }
    return item.url ? { key: `url ${item.id} ${item.url}`, stream: null, url: item.url } : null;
  });
  let loaded: string | null = null;
  const stopSource = effect(() => {
    const wanted = source.value;
    if ((wanted?.key ?? null) === loaded) return;
    loaded = wanted?.key ?? null;
    if (wanted === null) void engine.load(null);
    else if (wanted.stream === null) void engine.load(sourceOf(wanted.url));
    else void loadLive(engine, store, wanted.stream, delay.peek(), () => loaded === wanted.key);
  });
  const stopState = effect(() => {
    const state = store.state.value;
    engine.setTimeline(state === null ? null : { state, liveDelayMs: delay.value });
  });
  const stopTokens = effect(() => {
    const stream = source.value?.stream;
    const token = stream ? store.tokens.value.get(stream) : undefined;
    if (token) engine.setToken(token);
  });
  const stopLive = effect(() => {
    const stream = source.value?.stream;
    if (stream && store.live.value.get(stream)) engine.retry();
  });
  return () => {
    for (const stop of [stopSource, stopState, stopTokens, stopLive]) stop();
  };
}

async function loadLive(
  engine: SyncEngine,
  store: RoomStore,
  stream: string,
  liveDelayMs: number,
  stillWanted: () => boolean,
): Promise<void> {
  void engine.load(null);
  let token = store.tokens.peek().get(stream);
  try {
    token = playTokenOf(await api.stream(stream)) ?? token;
  } catch {
    // Public streams need no token, and of a private one the player will say what is wrong.
  }
  if (!stillWanted()) return;
  if (token) store.takeToken({ stream, token });
  const source: Source =
    preferences.livePlayer.peek() === "flv"
      ? { kind: "flv", url: `/live/${stream}.flv`, live: true, token }
      : { kind: "hls", url: `/live/${stream}/index.m3u8`, live: true, token, liveDelayMs };
  await engine.load(source);
}
