/** The front page: make a room, join one, see which are open. */

import { useEffect, useState } from "preact/hooks";
import type { Room } from "../contract";
import { session } from "../net/account";
import { api, type RoomDraft } from "../net/api";
import { sentenceOf } from "../net/problem";
import type { Preset } from "../permissions";
import { PRESETS } from "../room/presets";
import { Field, Spinner } from "../ui/basics";
import { Header } from "../ui/header";
import { Icon } from "../ui/icons";
import { go, invitationIn, routeOf } from "../ui/router";
import { SignIn, Tabs } from "../ui/sign_in";

export function Landing() {
  const signedIn = session.value !== null;
  useEffect(() => {
    document.title = "Matinee: watch together";
  }, []);
  return (
    <div class="page">
      <Header />
      <main class="landing">
        <section class="hero">
          <h1>
            Watch together,
            <br />
            on the <em>same frame</em>.
          </h1>
          <p>
            Make a room, paste a video link or go live from OBS, and send the invite. Everybody sees the same
            moment, wherever they are.
          </p>
          <ul class="promises">
            <li>
              <Icon name="sync" /> Kept in step to a few milliseconds
            </li>
            <li>
              <Icon name="live" /> Files, HLS and your own live stream
            </li>
            <li>
              <Icon name="danmaku" /> Chat, and comments that fly over the picture
            </li>
          </ul>
        </section>
        <section class="card hero-card" aria-label="Start">
          {signedIn ? <StartForm /> : <Welcome />}
        </section>
        <RoomLists signedIn={signedIn} />
      </main>
    </div>
  );
}

function Welcome() {
  return (
    <>
      <h2>Come in</h2>
      <p class="muted">A name is enough. An account keeps your rooms and your name.</p>
      <SignIn />
    </>
  );
}

function StartForm() {
  const [tab, setTab] = useState<"make" | "join">("make");
  return (
    <>
      <Tabs
        label="What to do"
        value={tab}
        options={[
          ["make", "Make a room"],
          ["join", "Join a room"],
        ]}
        onChange={setTab}
      />
      {tab === "make" ? <MakeRoom /> : <JoinRoom />}
    </>
  );
}

function MakeRoom() {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [hidden, setHidden] = useState(false);
  const [preset, setPreset] = useState<Preset>("together");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const onSubmit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      const draft: RoomDraft = { name: name.trim(), preset };
      if (password) draft.password = password;
      if (hidden) draft.hidden = true;
      const room = await api.createRoom(draft);
      go(`/r/${room.id}`);
    } catch (error) {
      setProblem(sentenceOf(error));
      setBusy(false);
    }
  };
  return (
    <form class="stack" onSubmit={(event) => void onSubmit(event)}>
      <Field
        label="Name of the room"
        value={name}
        required
        maxLength={64}
        placeholder="Friday film night"
        onInput={(event) => setName(event.currentTarget.value)}
      />
      <fieldset class="choices">
        <legend>Who may control playback</legend>
        {PRESETS.map(([key, title, text]) => (
          <label key={key}>
            <input type="radio" name="preset" checked={preset === key} onChange={() => setPreset(key)} />
            <span>
              <b>{title}</b>
              <small>{text}</small>
            </span>
          </label>
        ))}
      </fieldset>
      <details class="options">
        <summary>Password and visibility</summary>
        <div class="stack">
          <Field
            label="Password"
            type="password"
            value={password}
            maxLength={256}
            autocomplete="new-password"
            hint="Empty: everybody with the link may come in."
            onInput={(event) => setPassword(event.currentTarget.value)}
          />
          <label class="check">
            <input
              type="checkbox"
              checked={hidden}
              onChange={(event) => setHidden(event.currentTarget.checked)}
            />
            Keep it out of the list of rooms
          </label>
        </div>
      </details>
      {problem && (
        <p class="form-error" role="alert">
          {problem}
        </p>
      )}
      <button type="submit" class="primary wide" disabled={busy}>
        {busy ? "Making the room…" : "Make the room"}
      </button>
    </form>
  );
}

function JoinRoom() {
  const [link, setLink] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const onSubmit = (event: Event) => {
    event.preventDefault();
    const path = roomPathOf(link.trim());
    if (path === null) setProblem("That is neither an invite link nor a room's code.");
    else go(path);
  };
  return (
    <form class="stack" onSubmit={onSubmit}>
      <Field
        label="Invite link or code"
        value={link}
        required
        placeholder={`${location.origin}/r/…`}
        error={problem ?? undefined}
        onInput={(event) => {
          setLink(event.currentTarget.value);
          setProblem(null);
        }}
      />
      <button type="submit" class="primary wide">
        Join
      </button>
    </form>
  );
}

/** Where a link or a code leads, with the invitation that is in it; null: to no room. */
function roomPathOf(text: string): string | null {
  if (/^[A-Za-z0-9_-]+$/.test(text)) return `/r/${text}`;
  try {
    const url = new URL(text);
    const route = routeOf(url.pathname);
    const invitation = invitationIn(url.search);
    if (route.page !== "room") return null;
    return `/r/${route.id}${invitation === null ? "" : `?invitation=${invitation}`}`;
  } catch {
    return null;
  }
}

function RoomLists({ signedIn }: { signedIn: boolean }) {
  const [mine, setMine] = useState<Room[] | null>(null);
  const [open, setOpen] = useState<Room[] | null>(null);
  const [search, setSearch] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    if (!signedIn) return;
    api.myRooms().then(
      (page) => setMine(page.items),
      () => setMine([]),
    );
  }, [signedIn]);
  useEffect(() => {
    if (!signedIn) return;
    let current = true;
    const timer = setTimeout(
      () => {
        api.rooms(search.trim()).then(
          (page) => {
            if (!current) return;
            setOpen(page.items);
            setProblem(null);
          },
          (error) => current && setProblem(sentenceOf(error)),
        );
      },
      search ? 250 : 0,
    );
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [signedIn, search]);
  if (!signedIn) return null;
  return (
    <section class="rooms">
      {mine !== null && mine.length > 0 && (
        <>
          <h2>Your rooms</h2>
          <RoomGrid rooms={mine} />
        </>
      )}
      <div class="rooms-head">
        <h2>Open rooms</h2>
        <input
          type="search"
          aria-label="Search rooms"
          placeholder="Search"
          value={search}
          onInput={(event) => setSearch(event.currentTarget.value)}
        />
      </div>
      {problem ? (
        <p class="empty">{problem}</p>
      ) : open === null ? (
        <div class="empty">
          <Spinner label="Loading rooms" />
        </div>
      ) : open.length === 0 ? (
        <p class="empty">
          {search ? "No room has that in its name." : "No open rooms yet. Make the first one."}
        </p>
      ) : (
        <RoomGrid rooms={open} />
      )}
    </section>
  );
}

function RoomGrid({ rooms }: { rooms: Room[] }) {
  return (
    <ul class="room-grid">
      {rooms.map((room) => (
        <li key={room.id}>
          <a href={`/r/${room.id}`}>
            <span class="room-name">{room.name}</span>
            <span class="room-by">
              {typeof room.creator === "object" ? `by ${room.creator.username}` : "Open it"}
              {room.has_password && (
                <span class="tag">
                  <Icon name="lock" size={13} /> Password
                </span>
              )}
              {room.hidden && <span class="tag">Hidden</span>}
            </span>
          </a>
        </li>
      ))}
    </ul>
  );
}
