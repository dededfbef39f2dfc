/** `/r/{room}`: who are you, what is the password, then the room. */

import { useEffect, useState } from "preact/hooks";
import { session } from "../net/account";
import type { Socket } from "../net/socket";
import { openSocket } from "../room/room_socket";
import { RoomStore } from "../room/room_store";
import { RoomView } from "../room/room_view";
import { Field, Spinner } from "../ui/basics";
import { Header } from "../ui/header";
import { Icon } from "../ui/icons";
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
    store.enter();
    setLink({ socket, store });
    return close;
  }, [id]);
  if (link === null) return <Waiting />;
  return <Door {...link} />;
}

function Door({ socket, store }: { socket: Socket; store: RoomStore }) {
  const entry = store.entry.value;
  switch (entry.step) {
    case "in":
      return <RoomView store={store} socket={socket} />;
    case "password":
      return <PasswordPrompt store={store} wrong={entry.wrong} />;
    case "out":
      return (
        <Outside>
          <Icon name="alert" size={36} />
          <h1>{entry.title}</h1>
          <p class="muted">{entry.detail}</p>
          {entry.account && <SignIn first="login" guest={false} />}
          {entry.again && (
            <button type="button" class="primary wide" onClick={() => store.enter()}>
              {entry.again}
            </button>
          )}
          <a class={`button wide${entry.again || entry.account ? "" : " primary"}`} href="/">
            To the front page
          </a>
        </Outside>
      );
    default:
      return <Waiting />;
  }
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

function PasswordPrompt({ store, wrong }: { store: RoomStore; wrong: boolean }) {
  const [password, setPassword] = useState("");
  return (
    <Outside>
      <Icon name="lock" size={32} />
      <h1>{store.room.value?.name ?? "This room has a password"}</h1>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          store.enter(password);
        }}
      >
        <Field
          label="Password of the room"
          type="password"
          value={password}
          required
          autoFocus
          autocomplete="off"
          error={wrong ? "That is not the password." : undefined}
          onInput={(event) => setPassword(event.currentTarget.value)}
        />
        <button type="submit" class="primary wide">
          Come in
        </button>
      </form>
    </Outside>
  );
}
