/** What opens over the room: add a video, go live, invite, settings, leave. */

import type { Signal } from "@preact/signals";
import { useState } from "preact/hooks";
import { serverOf } from "../format";
import { api, type NewStream } from "../net/api";
import { sentenceOf } from "../net/problem";
import { Confirm, CopyField, Dialog, Field } from "../ui/basics";
import { go } from "../ui/router";
import { AddDialog } from "./add_dialog";
import { InviteDialog } from "./invite_dialog";
import type { RoomStore } from "./room_store";
import { RoomSettingsDialog } from "./settings_dialog";

export type DialogName = "none" | "add" | "live" | "invite" | "settings" | "leave";

export function Dialogs({ store, dialog }: { store: RoomStore; dialog: Signal<DialogName> }) {
  const onClose = () => {
    dialog.value = "none";
  };
  switch (dialog.value) {
    case "add":
      return <AddDialog store={store} onClose={onClose} />;
    case "live":
      return <GoLive store={store} onClose={onClose} />;
    case "invite":
      return <InviteDialog store={store} onClose={onClose} />;
    case "settings":
      return <RoomSettingsDialog store={store} onClose={onClose} />;
    case "leave":
      return <Leave store={store} onClose={onClose} />;
    default:
      return null;
  }
}

function GoLive({ store, onClose }: { store: RoomStore; onClose: () => void }) {
  const [title, setTitle] = useState("");
  const [stream, setStream] = useState<NewStream | null>(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const onSubmit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      setStream(await api.createRoomStream(store.id, title.trim()));
    } catch (error) {
      setProblem(sentenceOf(error));
    } finally {
      setBusy(false);
    }
  };
  if (stream === null) {
    return (
      <Dialog title="Go live" onClose={onClose}>
        <form class="stack" onSubmit={(event) => void onSubmit(event)}>
          <p class="muted">
            You get an address and a key for OBS, or any encoder that speaks RTMP. Whoever has the key can
            publish.
          </p>
          <Field
            label="Title"
            value={title}
            autoFocus
            maxLength={200}
            placeholder="Live with us"
            onInput={(event) => setTitle(event.currentTarget.value)}
          />
          {problem && (
            <p class="form-error" role="alert">
              {problem}
            </p>
          )}
          <button type="submit" class="primary wide" disabled={busy}>
            {busy ? "Making a key…" : "Get address and key"}
          </button>
        </form>
      </Dialog>
    );
  }
  const live = store.live.value.get(stream.stream) ?? false;
  const item = stream.item ?? store.items.value.find((known) => known.stream === stream.stream) ?? null;
  const onScreen = item !== null && store.state.value?.item === item.id;
  return (
    <Dialog title="Go live" onClose={onClose}>
      <div class="stack">
        <p class="muted">Copy the key now: it is shown this once.</p>
        <CopyField label="Server" value={serverOf(stream.rtmp_url, stream.stream_key)} />
        <CopyField label="Stream key" value={stream.stream_key} secret />
        <p class="muted">
          In OBS: Settings, Stream, Service “Custom…”. Video H.264, audio AAC, a key frame every 2 seconds.
        </p>
        <p class={`live-status${live ? " on" : ""}`} role="status">
          <i aria-hidden="true" />{" "}
          {live ? "Your stream has arrived. You are live." : "Waiting for your encoder…"}
        </p>
        <div class="row end">
          <button type="button" onClick={onClose}>
            Close
          </button>
          {item !== null && store.can("CHANGE_CURRENT_MOVIE") && (
            <button
              type="button"
              class="primary"
              disabled={onScreen}
              onClick={() => {
                void store.playItem(item.id);
                if (live) onClose();
              }}
            >
              {onScreen ? "On the screen" : "Put it on the screen"}
            </button>
          )}
        </div>
      </div>
    </Dialog>
  );
}

function Leave({ store, onClose }: { store: RoomStore; onClose: () => void }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const locked = store.room.value?.has_password ?? false;
  const onYes = async () => {
    setBusy(true);
    try {
      await api.leaveRoom(store.id);
      go("/");
    } catch (error) {
      setProblem(sentenceOf(error));
      setBusy(false);
    }
  };
  return (
    <Confirm
      title="Leave the room?"
      yes={busy ? "Leaving…" : "Leave"}
      no="Stay"
      busy={busy}
      problem={problem}
      onYes={() => void onYes()}
      onClose={onClose}
    >
      <p>
        You are no member any more.{" "}
        {locked ? "To come back you need the link and the password." : "With the link you may come back."} To
        be away only for now, just close the page.
      </p>
    </Confirm>
  );
}
