/** A room's live stream, for whoever runs it: how it arrives, a new key, an end to it. */

import { useEffect, useState } from "preact/hooks";
import type { Item } from "../contract";
import { serverOf } from "../format";
import { api, type NewStream, type StreamInfo } from "../net/api";
import { sentenceOf } from "../net/problem";
import { Confirm, CopyField, Dialog } from "../ui/basics";
import { Icon } from "../ui/icons";
import { StreamHealth } from "../ui/stream_health";
import { toast } from "../ui/toasts";
import type { RoomStore } from "./room_store";

const REFRESH_MS = 3_000;

export function StreamDialog({
  store,
  item,
  onClose,
}: {
  store: RoomStore;
  item: Item;
  onClose: () => void;
}) {
  const stream = item.stream ?? "";
  const [info, setInfo] = useState<StreamInfo | null>(null);
  const [made, setMade] = useState<NewStream | null>(null);
  const [asked, setAsked] = useState<"rotate" | "delete" | null>(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const live = store.live.value.get(stream) ?? false;
  useEffect(() => {
    let gone = false;
    const look = () =>
      api.stream(stream).then(
        (answer) => !gone && setInfo(answer),
        () => undefined,
      );
    void look();
    const timer = setInterval(look, REFRESH_MS);
    return () => {
      gone = true;
      clearInterval(timer);
    };
  }, [stream, live]);

  const act = async (work: () => Promise<void>) => {
    setBusy(true);
    setProblem(null);
    try {
      await work();
      setAsked(null);
    } catch (error) {
      setProblem(sentenceOf(error));
    } finally {
      setBusy(false);
    }
  };
  const back = () => {
    setAsked(null);
    setProblem(null);
  };
  if (asked === "rotate") {
    return (
      <Confirm
        title="Make a new key?"
        yes="Make a new key"
        busy={busy}
        problem={problem}
        onYes={() => void act(async () => setMade(await api.rotateKey(stream)))}
        onClose={back}
      >
        <p>The old key works no more. Whoever is live with it stays live until they stop.</p>
      </Confirm>
    );
  }
  if (asked === "delete") {
    return (
      <Confirm
        title="Delete the stream?"
        yes="Delete it"
        no="Keep it"
        busy={busy}
        problem={problem}
        onYes={() =>
          void act(async () => {
            await api.deleteStream(stream);
            onClose();
          })
        }
        onClose={back}
      >
        <p>It goes from the playlist, its key works no more, and whoever is live on it is cut off.</p>
      </Confirm>
    );
  }
  return (
    <Dialog title={item.title || "Live stream"} onClose={onClose}>
      <div class="stack">
        <p class={`live-status${live ? " on" : ""}`} role="status">
          <i aria-hidden="true" /> {live ? "Live" : "Nobody is live on it"}
        </p>
        {info && <StreamHealth info={info} />}
        {made ? (
          <>
            <CopyField label="Server" value={serverOf(made.rtmp_url, made.stream_key)} />
            <CopyField label="New stream key" value={made.stream_key} secret />
            <p class="muted">Copy it now: it is shown this once.</p>
          </>
        ) : (
          <p class="muted">The key was shown when the stream was made. If it is lost, make a new one.</p>
        )}
        {problem && (
          <p class="form-error" role="alert">
            {problem}
          </p>
        )}
        <div class="pairs">
          <button type="button" disabled={busy} onClick={() => setAsked("rotate")}>
            <Icon name="sync" size={16} /> New key
          </button>
          <button
            type="button"
            disabled={busy || !live}
            title={live ? "With the same key the encoder may come back" : "Nobody is live on it"}
            onClick={() =>
              void act(async () => {
                await api.stopStream(stream);
                toast("The stream was stopped. With the same key the encoder may come back.");
              })
            }
          >
            <Icon name="stop" size={16} /> Stop it
          </button>
          <a class="button" href={`/s/${stream}`} target="_blank" rel="noopener">
            <Icon name="film" size={16} /> Its page
          </a>
          <button type="button" class="danger-text" disabled={busy} onClick={() => setAsked("delete")}>
            <Icon name="trash" size={16} /> Delete…
          </button>
        </div>
      </div>
    </Dialog>
  );
}
