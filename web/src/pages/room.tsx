/** `/r/{room}`: who are you, what is the password, may you come in, then the room. */

import { useEffect, useState } from "preact/hooks";
import { session } from "../net/account";
import { api } from "../net/api";
import type { Socket } from "../net/socket";
import { attempt } from "../room/attempt";
import type { Entry } from "../room/door";
import { openSocket } from "../room/room_socket";
import { RoomStore } from "../room/room_store";
import { RoomView } from "../room/room_view";
import { Field, Spinner } from "../ui/basics";
import { useBeat } from "../ui/beat";
import { Header } from "../ui/header";
import { Icon } from "../ui/icons";
import { forgetInvitation, go, invitationIn } from "../ui/router";
import { SignIn } from "../ui/sign_in";

export function RoomPage({ id }: { id: string }) {
  const user = session.value?.user.id;
  if (user === undefined) return <Doorstep />;
  // Another person means another socket: what one may see is not the other's.
  return <Connected key={`${id} ${user}`} id={id} />;
}

function Connected({ id }: { id: string }) {
  const [link, setLink] = useState<{ socket: Socket; store: RoomStore } | null>(null);
  useEffect(() => {
    const { socket, close } = openSocket();
    const store = new RoomStore(id, socket);
    void store.fetchRoom();
    const invitation = invitationIn(location.search);
    store.enter(invitation === null ? {} : { invitation });
    setLink({ socket, store });
    return close;
  }, [id]);
  if (link === null) return <Waiting />;
  return <Door {...link} />;
}

function Door({ socket, store }: { socket: Socket; store: RoomStore }) {
  const entry = store.entry.value;
  const inside = entry.step === "in";
  // Whoever copies the address of the room he is in does not give his own invitation away.
  useEffect(() => {
    if (inside) forgetInvitation();
  }, [inside]);
  switch (entry.step) {
    case "in":
      return <RoomView store={store} socket={socket} />;
    case "password":
      return <PasswordPrompt store={store} problem={entry.problem} />;
    case "pending":
      return <Pending store={store} />;
    case "out":
      return <Out key={entry.title} store={store} entry={entry} />;
    default:
      return <Waiting />;
  }
}

function Out({ store, entry }: { store: RoomStore; entry: Extract<Entry, { step: "out" }> }) {
  return (
    <Outside>
      <Icon name="alert" size={36} />
      <h1>{entry.title}</h1>
      <p class="muted">{entry.detail}</p>
      {entry.account && <SignIn first="login" guest={false} />}
      {entry.again && (
        <Again
          text={entry.again}
          seconds={entry.againIn ?? 0}
          onAgain={() => {
            if (entry.uninvited) forgetInvitation();
            store.enter();
          }}
        />
      )}
      <a class={`button wide${entry.again || entry.account ? "" : " primary"}`} href="/">
        To the front page
      </a>
    </Outside>
  );
}

/** The way back, and how long it is shut still. */
function Again({ text, seconds, onAgain }: { text: string; seconds: number; onAgain: () => void }) {
  const [until] = useState(() => performance.now() + seconds * 1000);
  useBeat(500);
  const left = Math.ceil((until - performance.now()) / 1000);
  const clock = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
  return (
    <button type="button" class="primary wide" disabled={left > 0} onClick={onAgain}>
      {left > 0 ? `${text} · ${clock}` : text}
    </button>
  );
}

function Outside({ children }: { children: preact.ComponentChildren }) {
  return (
    <div class="page">
      <Header />
      <main class="narrow">
        <section class="card door">{children}</section>
      </main>
    </div>
  );
}

function Waiting() {
  return (
    <div class="page">
      <Header />
      <main class="waiting">
        <Spinner label="Going into the room" />
      </main>
    </div>
  );
}

/** Turns into the room by itself when somebody says yes. */
function Pending({ store }: { store: RoomStore }) {
  const name = store.room.value?.name;
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    document.title = "Waiting to be let in · Matinee";
  }, []);
  const onStop = async () => {
    setBusy(true);
    if (await attempt(api.leaveRoom(store.id))) go("/");
    else setBusy(false);
  };
  return (
    <Outside>
      <Icon name="door" size={34} />
      <h1>Waiting for somebody to let you in</h1>
      <p class="muted" role="status">
        You have asked to come into {name ? `“${name}”` : "this room"}. Leave this page open: it turns into
        the room as soon as somebody who runs it says yes.
      </p>
      <p class="door-wait" aria-hidden="true">
        <i />
        <i />
        <i />
      </p>
      <button type="button" class="wide" disabled={busy} onClick={() => void onStop()}>
        Stop waiting
      </button>
    </Outside>
  );
}

function Doorstep() {
  useEffect(() => {
    document.title = "You are invited · Matinee";
  }, []);
  return (
    <Outside>
      <Icon name="film" size={32} />
      <h1>You are invited to watch together</h1>
      <p class="muted">Behind this link is a room. Say who you are, and come in: a name is enough.</p>
      <SignIn />
    </Outside>
  );
}

function PasswordPrompt({ store, problem }: { store: RoomStore; problem: string | null }) {
  const [password, setPassword] = useState("");
  return (
    <Outside>
      <Icon name="lock" size={32} />
      <h1>{store.room.value?.name ?? "This room has a password"}</h1>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          store.enter({ password });
        }}
      >
        <Field
          label="Password of the room"
          type="password"
          value={password}
          required
          autoFocus
          autocomplete="off"
          error={problem ?? undefined}
          onInput={(event) => setPassword(event.currentTarget.value)}
        />
        <button type="submit" class="primary wide">
          Come in
        </button>
      </form>
    </Outside>
  );
}
