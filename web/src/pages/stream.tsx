/** `/s/{stream}`: one live stream, played by itself, as near to the publisher as the way of delivery allows. */

import { useEffect, useRef, useState } from "preact/hooks";
import { people } from "../format";
import { api, playTokenOf, type StreamInfo } from "../net/api";
import { Problem, sentenceOf } from "../net/problem";
import { preferences } from "../preferences";
import { openPlayer } from "../sync/open_player";
import { type LoadFailure, type Player, type Source, withToken } from "../sync/player";
import { CopyField, Spinner } from "../ui/basics";
import { Header } from "../ui/header";
import { Icon } from "../ui/icons";
import { Tabs } from "../ui/sign_in";
import { StreamHealth } from "../ui/stream_health";

type Way = "flv" | "hls";

const RETRY_MS = 3_000;
const REFRESH_MS = 5_000;
/** More than this behind what has arrived, and the player goes forward to it. */
const FALLEN_BEHIND_S = { flv: 2.5, hls: 8 };
const REMAIN_S = { flv: 0.4, hls: 1 };

export function StreamPage({ id }: { id: string }) {
  const video = useRef<HTMLVideoElement>(null);
  const current = useRef<Player | null>(null);
  const restricted = useRef(false);
  const [way, setWay] = useState<Way>(typeof MediaSource === "undefined" ? "hls" : "flv");
  const [info, setInfo] = useState<StreamInfo | null>(null);
  const [watching, setWatching] = useState<number | null>(null);
  const [failure, setFailure] = useState<LoadFailure | null>(null);
  const [playing, setPlaying] = useState(false);
  const [muted, setMuted] = useState(false);

  useEffect(() => {
    const element = video.current;
    if (element === null) return;
    let gone = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const start = async () => {
      let token: string | undefined;
      try {
        const answer = await api.stream(id);
        if (gone) return;
        setInfo(answer);
        token = playTokenOf(answer);
        restricted.current = token !== undefined;
      } catch (error) {
        if (gone) return;
        if (error instanceof Problem && error.code === "not_found") {
          setFailure({ detail: "There is no such stream.", retrying: false });
          return;
        }
        const signIn = error instanceof Problem && error.code === "unauthenticated";
        if (!signIn && error instanceof Problem && error.code !== "stream_offline") {
          setFailure({ detail: sentenceOf(error), retrying: true });
          timer = setTimeout(() => void start(), RETRY_MS);
          return;
        }
        // Public streams play without anybody being signed in; the player finds out.
      }
      const source: Source =
        way === "flv"
          ? { kind: "flv", url: `/live/${id}.flv`, live: true, token }
          : { kind: "hls", url: `/live/${id}/index.m3u8`, live: true, token };
      const opened = await openPlayer(element, source, {
        failed: (reason) => !gone && setFailure(reason),
        loaded: () => !gone && setFailure(null),
      });
      if (gone) opened?.destroy();
      else current.current = opened;
    };
    void start();
    const chase = setInterval(() => catchUp(element, way), 1_000);
    const off = new AbortController();
    const onReady = () => void begin(element, setMuted);
    element.addEventListener("canplay", onReady, { signal: off.signal });
    element.addEventListener("playing", () => setPlaying(true), { signal: off.signal });
    element.addEventListener("emptied", () => setPlaying(false), { signal: off.signal });
    return () => {
      gone = true;
      clearTimeout(timer);
      clearInterval(chase);
      off.abort();
      current.current?.destroy();
      current.current = null;
    };
  }, [id, way]);

  useEffect(() => {
    const look = () => {
      // Seen or not, a player that connects again brings a token, and it lives for minutes.
      if (document.hidden && !restricted.current) return;
      api.stream(id).then(
        (answer) => {
          setInfo(answer);
          const fresh = playTokenOf(answer);
          restricted.current = fresh !== undefined;
          if (fresh !== undefined) current.current?.setToken(fresh);
        },
        () => undefined,
      );
    };
    const timer = setInterval(look, REFRESH_MS);
    return () => clearInterval(timer);
  }, [id]);

  const token = info === null ? undefined : playTokenOf(info);
  const entered = info !== null;
  useEffect(() => {
    if (!entered) return;
    const events = new EventSource(withToken(`/live/${id}/events`, token));
    events.addEventListener("viewers", (event) => {
      const { count } = JSON.parse((event as MessageEvent<string>).data) as { count: number };
      setWatching(count);
    });
    return () => events.close();
    // Whoever is in stays in: a renewed token opens no second connection.
  }, [id, entered]);

  useEffect(() => {
    document.title = `${info?.title || "Live"} · Matinee`;
  }, [info]);

  const viewers = watching ?? info?.viewers ?? 0;
  return (
    <div class="page">
      <Header />
      <main class="stream-page">
        <div class="stage awake">
          {/* biome-ignore lint/a11y/useMediaCaption: a live stream has no captions to show. */}
          <video ref={video} playsInline controls={playing} aria-label={info?.title || "Live stream"} />
          {failure !== null ? (
            <div class="stage-center">
              {failure.retrying ? <Spinner label="Waiting" /> : <Icon name="alert" size={40} />}
              <h2>{failure.detail}</h2>
              {failure.retrying && <p>It starts by itself as soon as it is there.</p>}
            </div>
          ) : (
            !playing && (
              <div class="stage-center quiet">
                <Spinner label="Loading" />
              </div>
            )
          )}
          {muted && failure === null && (
            <button
              type="button"
              class="sound-chip"
              onClick={() => {
                if (video.current) {
                  video.current.muted = false;
                  void video.current.play().catch(() => undefined);
                }
                setMuted(false);
              }}
            >
              <Icon name="muted" size={18} /> Tap for sound
            </button>
          )}
        </div>
        <div class="now">
          <div class="now-text">
            <h1>{info?.title || "Live stream"}</h1>
            <p class="muted">
              {playing && failure === null ? "Live" : "Waiting for the picture"}
              {viewers > 0 ? ` · ${people(viewers)} watching` : ""}
            </p>
          </div>
          <Tabs
            label="How it is delivered"
            value={way}
            options={[
              ["flv", "FLV"],
              ["hls", "HLS"],
            ]}
            onChange={(value) => {
              setFailure(null);
              setPlaying(false);
              setWay(value);
            }}
          />
        </div>
        {info?.live && (
          <section class="card">
            <h2>How it arrives</h2>
            <StreamHealth info={{ ...info, viewers }} />
          </section>
        )}
        <section class="card">
          <h2>Watch elsewhere</h2>
          <CopyField label="This page" value={location.href} />
          <CopyField
            label="HLS address"
            value={(token && info?.urls?.hls) || `${location.origin}/live/${id}/index.m3u8`}
          />
          <CopyField
            label="FLV address"
            value={(token && info?.urls?.flv) || `${location.origin}/live/${id}.flv`}
          />
          {token !== undefined && (
            <p class="muted">
              The stream is private: an address has to be opened within a few minutes, and opens it to whoever
              has it.
            </p>
          )}
        </section>
      </main>
    </div>
  );
}

async function begin(element: HTMLVideoElement, onMuted: (muted: boolean) => void): Promise<void> {
  if (!element.paused) return;
  element.volume = preferences.volume.peek();
  try {
    await element.play();
  } catch (error) {
    if (!(error instanceof DOMException) || error.name !== "NotAllowedError") return;
    element.muted = true;
    onMuted(true);
    await element.play().catch(() => undefined);
  }
}

/** Nobody else to keep step with here: only do not fall far behind after a stall. */
function catchUp(element: HTMLVideoElement, way: Way): void {
  const { buffered } = element;
  if (element.paused || element.seeking || buffered.length === 0) return;
  const edge = buffered.end(buffered.length - 1);
  const start = buffered.start(buffered.length - 1);
  if (edge - element.currentTime > FALLEN_BEHIND_S[way] || element.currentTime < start - 0.1) {
    element.currentTime = Math.max(start, edge - REMAIN_S[way]);
  }
}
