/** The bar under the picture: play, seek, sound, drift, danmaku, speed, full screen. */

import { useRef, useState } from "preact/hooks";
import { clockTime, drift, driftGrade, speed } from "../format";
import type { Socket } from "../net/socket";
import { preferences } from "../preferences";
import type { SyncEngine } from "../sync/engine";
import { positionAt } from "../sync/timeline";
import { IconButton } from "../ui/basics";
import { useBeat } from "../ui/beat";
import { Icon } from "../ui/icons";
import { useOutside } from "../ui/menu";
import type { Actions } from "./actions";
import type { RoomStore } from "./room_store";

const REFRESH_MS = 250;
const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 2];
const NOT_ALLOWED = "Only those who may control playback can do this";

interface Props {
  store: RoomStore;
  socket: Socket;
  engine: SyncEngine;
  actions: Actions;
  onFullscreen: () => void;
}

export function Controls({ store, socket, engine, actions, onFullscreen }: Props) {
  // Each part beats for itself: a part whose props stay the same is not rendered again with its parent.
  useBeat(REFRESH_MS);
  const state = store.state.value;
  if (state === null) return null;
  const { video } = engine;
  const free = engine.free.value;
  const may = actions.mayPlay;
  const playing = free ? !video.paused : state.playing;
  const mayChoose = store.can("CHANGE_CURRENT_MOVIE");
  const many = store.count.value > 1;
  return (
    <div class="controls">
      <SeekBar store={store} engine={engine} actions={actions} />
      <div class="controls-row">
        <IconButton
          icon={playing ? "pause" : "play"}
          label={
            playing
              ? "Pause for everybody (K)"
              : state.hold && !free
                ? "Play without waiting (K)"
                : "Play for everybody (K)"
          }
          disabled={!may}
          title={may ? undefined : NOT_ALLOWED}
          onClick={() => actions.toggle()}
        />
        {many && (
          <IconButton
            icon="next"
            class="wide-only"
            label="Next in the playlist"
            disabled={!mayChoose}
            onClick={() => void store.command({ action: "next" })}
          />
        )}
        <Volume video={video} />
        <Time store={store} engine={engine} actions={actions} />
        <span class="spacer" />
        <SyncBadge store={store} socket={socket} engine={engine} />
        <IconButton
          icon="danmaku"
          label={preferences.danmaku.value ? "Hide flying comments (D)" : "Show flying comments (D)"}
          aria-pressed={preferences.danmaku.value}
          class={preferences.danmaku.value ? "on" : "off"}
          onClick={() => (preferences.danmaku.value = !preferences.danmaku.value)}
        />
        <Settings store={store} actions={actions} engine={engine} />
        <IconButton
          icon={document.fullscreenElement ? "unfull" : "full"}
          label="Full screen (F)"
          onClick={onFullscreen}
        />
      </div>
    </div>
  );
}

function bounds(store: RoomStore, engine: SyncEngine): { from: number; to: number } {
  const { earliest, latest } = engine.range();
  if (store.state.peek()?.live) return { from: earliest, to: latest };
  const known = store.current.peek()?.duration ?? 0;
  return { from: 0, to: latest > 0 ? latest : known };
}

function SeekBar({ store, engine, actions }: Pick<Props, "store" | "engine" | "actions">) {
  useBeat(REFRESH_MS);
  const [dragged, setDragged] = useState<number | null>(null);
  const { from, to } = bounds(store, engine);
  const here = dragged ?? engine.position() ?? engine.target() ?? from;
  const length = Math.max(0, to - from);
  const share = length > 0 ? Math.min(1, Math.max(0, (here - from) / length)) : 0;
  const live = store.state.value?.live ?? false;
  const label = live
    ? `${clockTime(Math.max(0, to - here))} behind the newest picture`
    : `${clockTime(here)} of ${clockTime(to)}`;
  const commit = (value: number) => {
    setDragged(null);
    actions.seek(value);
  };
  return (
    <div
      class="seek"
      style={{ "--at": `${share * 100}%`, "--loaded": `${buffered(engine, from, length) * 100}%` }}
    >
      <input
        type="range"
        aria-label="Position"
        aria-valuetext={label}
        min={from}
        max={to > from ? to : from + 1}
        step="any"
        value={Math.min(Math.max(here, from), to)}
        disabled={!actions.mayPlay || length <= 0}
        onInput={(event) => setDragged(event.currentTarget.valueAsNumber)}
        onChange={(event) => commit(event.currentTarget.valueAsNumber)}
        onKeyDown={(event) => {
          const step = { ArrowLeft: -5, ArrowDown: -5, ArrowRight: 5, ArrowUp: 5, PageDown: -30, PageUp: 30 }[
            event.key
          ];
          if (step === undefined) return;
          event.preventDefault();
          event.stopPropagation();
          actions.seekBy(step);
        }}
      />
      {dragged !== null && (
        <output class="seek-hint">{live ? `−${clockTime(to - dragged)}` : clockTime(dragged)}</output>
      )}
    </div>
  );
}

function buffered(engine: SyncEngine, from: number, length: number): number {
  const { video } = engine;
  const position = engine.position();
  if (length <= 0 || position === null) return 0;
  const offset = position - video.currentTime;
  for (let i = 0; i < video.buffered.length; i++) {
    if (video.buffered.start(i) <= video.currentTime + 0.1 && video.buffered.end(i) >= video.currentTime) {
      return Math.min(1, (video.buffered.end(i) + offset - from) / length);
    }
  }
  return 0;
}

function Time({ store, engine, actions }: Pick<Props, "store" | "engine" | "actions">) {
  useBeat(REFRESH_MS);
  const state = store.state.value;
  if (state?.live) {
    const delay = store.settings.value.live_delay_ms ?? 3_000;
    const here = engine.position() ?? positionAt({ state, liveDelayMs: delay }, engine.now());
    const behind = engine.now() / 1000 - here;
    const atEdge = state.playing && behind < delay / 1000 + 2;
    return (
      <button
        type="button"
        class={`live-chip${atEdge ? " at-edge" : ""}`}
        disabled={atEdge || !actions.mayPlay}
        onClick={() => actions.goLive()}
        title={atEdge ? "At the live moment" : "Back to the live moment"}
      >
        <i aria-hidden="true" /> <span>LIVE</span>
        {atEdge ? "" : `−${clockTime(behind)}`}
      </button>
    );
  }
  const { to } = bounds(store, engine);
  const here = engine.position() ?? engine.target() ?? 0;
  return (
    <span class="time">
      {clockTime(Math.min(here, to || here))}
      <span class="muted"> / {to > 0 ? clockTime(to) : "–:––"}</span>
    </span>
  );
}

function Volume({ video }: { video: HTMLVideoElement }) {
  useBeat(REFRESH_MS);
  const silent = video.muted || preferences.volume.value === 0;
  return (
    <span class="volume">
      <IconButton
        icon={silent ? "muted" : "volume"}
        label={silent ? "Sound on (M)" : "Sound off (M)"}
        onClick={() => {
          if (preferences.volume.value === 0) preferences.volume.value = 1;
          else video.muted = !video.muted;
        }}
      />
      <input
        type="range"
        aria-label="Volume"
        min={0}
        max={1}
        step={0.05}
        value={video.muted ? 0 : preferences.volume.value}
        style={{ "--at": `${(video.muted ? 0 : preferences.volume.value) * 100}%` }}
        onInput={(event) => {
          video.muted = false;
          preferences.volume.value = event.currentTarget.valueAsNumber;
        }}
      />
    </span>
  );
}

/** The drift in words, and under it what one can do about it. */
function SyncBadge({ store, socket, engine }: Pick<Props, "store" | "socket" | "engine">) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  useOutside(box, open, () => setOpen(false));
  const { phase, driftMs } = engine.status.value;
  const free = engine.free.value;
  const text = free
    ? "Free"
    : phase === "waiting"
      ? "Loading"
      : phase === "holding"
        ? "Starting"
        : phase === "gone"
          ? "Not kept"
          : phase === "not_yet"
            ? "Not here yet"
            : driftMs === null
              ? "–"
              : drift(driftMs);
  const grade = free ? "free" : driftMs === null ? "none" : driftGrade(driftMs);
  const steady = socket.clock.ready;
  return (
    <div class="popover-anchor" ref={box}>
      <button
        type="button"
        class={`badge ${grade}`}
        aria-expanded={open}
        aria-label={`Sync: ${text}`}
        onClick={() => setOpen(!open)}
      >
        <i aria-hidden="true" />
        <span>{text}</span>
      </button>
      {open && (
        <div class="popover" role="dialog" aria-label="Sync">
          <h3>In step with the room</h3>
          <dl>
            <dt>Difference</dt>
            <dd>{driftMs === null ? "–" : drift(driftMs)}</dd>
            <dt>Round trip</dt>
            <dd>{steady ? `${Math.max(1, Math.round(socket.clock.delay))} ms` : "measuring"}</dd>
          </dl>
          <button
            type="button"
            class="primary wide"
            onClick={() => {
              engine.syncNow();
              setOpen(false);
            }}
          >
            <Icon name="sync" size={16} /> Sync now
          </button>
          <label class="check">
            <input
              type="checkbox"
              checked={free}
              onChange={(event) => engine.setFree(event.currentTarget.checked)}
            />
            <span>
              Free mode
              <small>Watch at your own place. The room goes on without you.</small>
            </span>
          </label>
          {store.state.value?.live && (
            <label class="check">
              <input
                type="checkbox"
                checked={preferences.livePlayer.value === "flv"}
                onChange={(event) =>
                  (preferences.livePlayer.value = event.currentTarget.checked ? "flv" : "hls")
                }
              />
              <span>
                Play by FLV
                <small>Starts faster; cannot go back in time.</small>
              </span>
            </label>
          )}
        </div>
      )}
    </div>
  );
}

function Settings({ store, actions, engine }: Pick<Props, "store" | "actions" | "engine">) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  useOutside(box, open, () => setOpen(false));
  const state = store.state.value;
  const free = engine.free.value;
  const may = free || store.can("CHANGE_PLAYBACK_RATE");
  const rate = free ? engine.video.playbackRate : (state?.rate ?? 1);
  const undoable = state?.undoable ?? 0;
  return (
    <div class="popover-anchor" ref={box}>
      <IconButton
        icon="gear"
        label="Speed, order and undo"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      />
      {open && (
        <div class="popover" role="dialog" aria-label="Speed, order and undo">
          {!state?.live && (
            <>
              <h3>Speed {free ? "here" : "for everybody"}</h3>
              <div class="chips">
                {SPEEDS.map((value) => (
                  <button
                    type="button"
                    key={value}
                    aria-pressed={Math.abs(rate - value) < 0.01}
                    disabled={!may}
                    onClick={() => actions.rate(value)}
                  >
                    {speed(value)}
                  </button>
                ))}
              </div>
            </>
          )}
          <h3>When a video ends</h3>
          <div class="chips">
            {(
              [
                ["sequential", "Play the next"],
                ["repeat_one", "Repeat it"],
                ["repeat_all", "Repeat all"],
                ["shuffle", "Shuffle"],
              ] as const
            ).map(([mode, text]) => (
              <button
                type="button"
                key={mode}
                aria-pressed={state?.mode === mode}
                disabled={!store.can("PLAY_CONTROL")}
                onClick={() => void store.command({ action: "mode", mode })}
              >
                {text}
              </button>
            ))}
          </div>
          {store.can("PLAY_CONTROL") && (
            <button
              type="button"
              class="wide"
              disabled={undoable === 0}
              title={undoable === 0 ? "Nobody has changed anything yet" : "Undo (U)"}
              onClick={() => void store.undo()}
            >
              <Icon name="undo" size={16} /> Undo last change
              {undoable > 1 && <small class="muted">{undoable}</small>}
            </button>
          )}
        </div>
      )}
    </div>
  );
}
