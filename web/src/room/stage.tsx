/** The picture with everything that lies over it. */

import type { Signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Socket } from "../net/socket";
import { preferences } from "../preferences";
import type { SyncEngine } from "../sync/engine";
import { Spinner } from "../ui/basics";
import { Icon } from "../ui/icons";
import { Actions } from "./actions";
import { Controls } from "./controls";
import { DanmakuLayer } from "./danmaku_layer";
import { describeElsewhere } from "./describe";
import type { DialogName } from "./dialogs";
import { HoldNotice, ToldNotice } from "./notices";
import type { RoomStore } from "./room_store";
import { useEngine } from "./use_engine";

const HIDE_MS = 3_000;

export interface StageProps {
  store: RoomStore;
  socket: Socket;
  dialog: Signal<DialogName>;
}

export function Stage({ store, socket, dialog }: StageProps) {
  const video = useRef<HTMLVideoElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  const engine = useEngine(video, store, socket);
  const layer = useDanmaku(store);
  const [awake, stir] = useAwake();
  const actions = engine === null ? null : new Actions(store, engine);
  useShortcuts(store, actions, frame, video);
  const item = store.current.value;
  const playing = store.state.value?.playing ?? false;

  useEffect(() => {
    if (video.current !== null) video.current.volume = preferences.volume.value;
  }, [preferences.volume.value]);

  return (
    <div
      class={`stage${awake || !playing || item === null ? " awake" : ""}`}
      ref={frame}
      onPointerMove={stir}
      onPointerDown={stir}
      onFocusIn={stir}
    >
      {/* biome-ignore lint/a11y/useMediaCaption: subtitles come with the item where it has some. */}
      <video
        ref={video}
        playsInline
        disableRemotePlayback
        aria-label={item?.title ?? "Video"}
        onClick={(event) => {
          if ((event as unknown as PointerEvent).pointerType === "mouse") actions?.toggle();
        }}
        onDblClick={() => toggleFullscreen(frame.current, video.current)}
      >
        {(item?.subtitles ?? []).map((track) => (
          <track
            key={track.url}
            kind="subtitles"
            src={track.url}
            srclang={track.language}
            label={track.title}
          />
        ))}
      </video>
      <div class="danmaku-layer" ref={layer} aria-hidden="true" />
      {item === null ? (
        <NothingPlays store={store} dialog={dialog} />
      ) : (
        engine && (
          <>
            <Overlay store={store} engine={engine} />
            <HoldNotice store={store} engine={engine} />
          </>
        )
      )}
      <ToldNotice store={store} />
      {engine && actions && item !== null && (
        <Controls
          store={store}
          socket={socket}
          engine={engine}
          actions={actions}
          onFullscreen={() => toggleFullscreen(frame.current, video.current)}
        />
      )}
    </div>
  );
}

function NothingPlays({ store, dialog }: Pick<StageProps, "store" | "dialog">) {
  const some = store.items.value.length > 0;
  const add = store.can("ADD_MOVIE");
  return (
    <div class="stage-center">
      <Icon name="film" size={44} />
      <h2>{some ? "Nothing is playing" : "The screen is yours"}</h2>
      <p>
        {some
          ? store.can("CHANGE_CURRENT_MOVIE")
            ? "Choose something from the playlist."
            : "Whoever may control will start something soon."
          : add
            ? "Paste a link to a video, or go live from OBS."
            : "Whoever may add videos will start something soon."}
      </p>
      <div class="row">
        {add && (
          <button type="button" class="primary" onClick={() => (dialog.value = "add")}>
            <Icon name="plus" size={18} /> Add a video
          </button>
        )}
        {add && store.can("PUBLISH_LIVE") && (
          <button type="button" onClick={() => (dialog.value = "live")}>
            <Icon name="live" size={18} /> Go live
          </button>
        )}
      </div>
    </div>
  );
}

function Overlay({ store, engine }: { store: RoomStore; engine: SyncEngine }) {
  const failure = engine.failure.value;
  const { phase, buffering, readyState } = engine.status.value;
  const blocked = engine.blocked.value;
  const byFlv = preferences.livePlayer.value === "flv";
  const elsewhere = describeElsewhere(phase, store.state.value?.playing ?? false, byFlv);
  const held = store.state.value?.hold != null && !engine.free.value;
  const loading = buffering || (phase === "waiting" && readyState < 2) || (phase === "not_yet" && !elsewhere);
  if (failure !== null) {
    return (
      <div class="stage-center">
        {failure.retrying ? <Spinner label="Waiting" /> : <Icon name="alert" size={40} />}
        <h2>{failure.detail}</h2>
        <p>{failure.retrying ? "It starts by itself as soon as it is there." : store.current.value?.url}</p>
        {!failure.retrying && (
          <button type="button" onClick={() => engine.syncNow()}>
            Try again
          </button>
        )}
      </div>
    );
  }
  if (blocked === "tap") {
    return (
      <button type="button" class="stage-center tap" onClick={() => engine.unblock()}>
        <span class="big-play">
          <Icon name="play" size={38} />
        </span>
        <h2>Tap to join in</h2>
      </button>
    );
  }
  if (phase === "gave_up") {
    return (
      <div class="stage-center">
        <Icon name="alert" size={40} />
        <h2>This device could not keep up with the room</h2>
        <p>Jumping there three times did not help, so it was paused here. The others go on.</p>
        <button type="button" class="primary" onClick={() => engine.syncNow()}>
          <Icon name="sync" size={18} /> Sync now
        </button>
      </div>
    );
  }
  return (
    <>
      {loading && !held && (
        <div class="stage-center quiet">
          <Spinner label="Loading" />
        </div>
      )}
      {blocked === "muted" && (
        <button type="button" class="sound-chip" onClick={() => engine.unblock()}>
          <Icon name="muted" size={18} /> Tap for sound
        </button>
      )}
      {elsewhere && (
        <p class="stage-note" role="status">
          {elsewhere}
        </p>
      )}
    </>
  );
}

function useDanmaku(store: RoomStore) {
  const host = useRef<HTMLDivElement>(null);
  const layer = useRef<DanmakuLayer | null>(null);
  useEffect(() => {
    if (host.current === null) return;
    const made = new DanmakuLayer(host.current);
    layer.current = made;
    store.onDanmaku = (danmaku) => made.show(danmaku, danmaku.user.id === store.you.peek()?.user?.id);
    return () => {
      store.onDanmaku = null;
      made.destroy();
    };
  }, [store]);
  const on = preferences.danmaku.value;
  useEffect(() => layer.current?.setEnabled(on), [on]);
  return host;
}

/** Controls go when nobody moves. */
function useAwake(): [boolean, () => void] {
  const [awake, setAwake] = useState(true);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const stir = () => {
    setAwake(true);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setAwake(false), HIDE_MS);
  };
  return [awake, stir];
}

function useShortcuts(
  store: RoomStore,
  actions: Actions | null,
  frame: { current: HTMLElement | null },
  video: { current: HTMLVideoElement | null },
): void {
  useEffect(() => {
    if (actions === null) return;
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
      const target = event.target as HTMLElement;
      if (target.closest("input, textarea, select, [contenteditable], [role=menu]")) return;
      if (event.key === " " && target.closest("button, a, summary")) return;
      const act: Record<string, () => void> = {
        " ": () => actions.toggle(),
        k: () => actions.toggle(),
        ArrowLeft: () => actions.seekBy(-5),
        ArrowRight: () => actions.seekBy(5),
        j: () => actions.seekBy(-10),
        l: () => actions.seekBy(10),
        f: () => toggleFullscreen(frame.current, video.current),
        m: () => {
          if (video.current) video.current.muted = !video.current.muted;
        },
        u: () => {
          if (store.can("PLAY_CONTROL") && (store.state.peek()?.undoable ?? 0) > 0) void store.undo();
        },
        d: () => {
          preferences.danmaku.value = !preferences.danmaku.value;
        },
      };
      const chosen = act[event.key];
      if (chosen === undefined || event.repeat) return;
      event.preventDefault();
      chosen();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [store, actions, frame, video]);
}

function toggleFullscreen(frame: HTMLElement | null, video: HTMLVideoElement | null): void {
  if (document.fullscreenElement) void document.exitFullscreen();
  else if (frame?.requestFullscreen) void frame.requestFullscreen().catch(() => undefined);
  // An iPhone makes only the video itself full-screen.
  else (video as { webkitEnterFullscreen?: () => void } | null)?.webkitEnterFullscreen?.();
}
