/** The room, once one is in: picture, and beside it (on a phone: under it) the talk, the list, the people. */

import { type Signal, useSignal } from "@preact/signals";
import type { TargetedKeyboardEvent } from "preact";
import { useEffect, useState } from "preact/hooks";
import { people } from "../format";
import type { Socket } from "../net/socket";
import { localNow } from "../sync/engine";
import { Header } from "../ui/header";
import { Icon, type IconName } from "../ui/icons";
import { Menu, type MenuEntry } from "../ui/menu";
import { ChatPanel } from "./chat_panel";
import { type DialogName, Dialogs } from "./dialogs";
import { MembersPanel } from "./members_panel";
import { PlaylistPanel, PlayOrderButtons } from "./playlist_panel";
import type { RoomStore } from "./room_store";
import { mayOpenSettings } from "./settings_dialog";
import { Stage } from "./stage";
import { newestAt, unreadSince } from "./unread";

type PanelName = "chat" | "playlist" | "members";

export function RoomView({ store, socket }: { store: RoomStore; socket: Socket }) {
  const dialog = useSignal<DialogName>("none");
  const [panel, setPanel] = useState<PanelName>("chat");
  const name = store.room.value?.name ?? "";
  const item = store.current.value;
  const unread = useUnread(store, panel === "chat");
  useEffect(() => {
    const title = item ? `${item.title} · ${name || "Matinee"}` : name || "Matinee";
    document.title = unread > 0 ? `(${unread}) ${title}` : title;
  }, [item?.title, name, item, unread]);
  const online = Math.max(store.viewers.value, store.people.online.value, 1);
  const knocking = store.can("APPROVE_MEMBER") ? store.people.pending.value.length : 0;
  const tabs: [PanelName, string, IconName, number][] = [
    ["chat", "Chat", "chat", unread],
    ["playlist", "Playlist", "list", store.count.value],
    ["members", "People", "people", online],
  ];
  return (
    <div class="page room">
      <Header
        actions={
          <>
            <button type="button" class="invite" onClick={() => (dialog.value = "invite")}>
              <Icon name="link" size={17} /> <span>Invite</span>
            </button>
            <RoomMenu store={store} dialog={dialog} />
          </>
        }
      >
        <h1 class="room-title" title={name}>
          {name}
        </h1>
      </Header>
      <ConnectionBar socket={socket} />
      <main class="room-main">
        <div class="room-left">
          <Stage store={store} socket={socket} dialog={dialog} />
          <div class="now">
            <div class="now-text">
              <h2>{item?.title ?? "Nothing is playing"}</h2>
              <p class="muted">{nowLine(store, online)}</p>
            </div>
            {store.count.value > 1 && <PlayOrderButtons store={store} />}
          </div>
        </div>
        <aside class="side" aria-label="Chat, playlist and people">
          <div class="side-tabs" role="tablist" aria-label="Beside the picture" onKeyDown={onTabKey}>
            {tabs.map(([key, text, icon, count]) => (
              <button
                type="button"
                key={key}
                role="tab"
                id={`tab-${key}`}
                aria-selected={panel === key}
                aria-controls="side-panel"
                tabIndex={panel === key ? 0 : -1}
                onClick={() => setPanel(key)}
              >
                <Icon name={icon} size={18} />
                <span>{text}</span>
                {key === "members" && knocking > 0 ? (
                  <small class="unread" title={`${people(knocking)} would like to come in`}>
                    +{knocking > 99 ? "99" : knocking}
                    <span class="visually-hidden"> waiting to be let in</span>
                  </small>
                ) : (
                  count > 0 && (
                    <small class={key === "chat" ? "unread" : ""}>
                      {count > 99 ? "99+" : count}
                      {key === "chat" && <span class="visually-hidden"> unread</span>}
                    </small>
                  )
                )}
              </button>
            ))}
          </div>
          <div class="side-panel" id="side-panel" role="tabpanel" aria-labelledby={`tab-${panel}`}>
            {panel === "chat" && <ChatPanel store={store} />}
            {panel === "playlist" && <PlaylistPanel store={store} dialog={dialog} />}
            {panel === "members" && <MembersPanel store={store} onInvite={() => (dialog.value = "invite")} />}
          </div>
        </aside>
      </main>
      <Dialogs store={store} dialog={dialog} />
    </div>
  );
}

function nowLine(store: RoomStore, online: number): string {
  const item = store.current.value;
  const parts = [`${people(online)} here`];
  const watching = item?.stream ? (store.watching.value.get(item.stream) ?? 0) : 0;
  if (watching > 0) parts.push(`${watching} watching the stream`);
  if (item && typeof item.added_by === "object") parts.unshift(`Added by ${item.added_by.username}`);
  return parts.join(" · ");
}

function RoomMenu({ store, dialog }: { store: RoomStore; dialog: Signal<DialogName> }) {
  const entries: MenuEntry[] = [];
  if (mayOpenSettings(store))
    entries.push({ label: "Room settings…", act: () => (dialog.value = "settings") });
  if (store.you.value?.role !== "creator")
    entries.push({ label: "Leave the room…", act: () => (dialog.value = "leave") });
  return entries.length > 0 ? <Menu label="Room menu" icon="gear" entries={entries} /> : null;
}

/** Arrow keys walk along the tabs. */
function onTabKey(event: TargetedKeyboardEvent<HTMLElement>): void {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (step === undefined) return;
  event.preventDefault();
  event.stopPropagation();
  const tabs = [...event.currentTarget.querySelectorAll<HTMLButtonElement>("[role=tab]")];
  const at = tabs.indexOf(document.activeElement as HTMLButtonElement);
  const next = tabs[(at + step + tabs.length) % tabs.length];
  next?.focus();
  next?.click();
}

/** Messages that came while another panel was open, or the page was out of sight. */
function useUnread(store: RoomStore, open: boolean): number {
  const entries = store.log.entries.value;
  const [hidden, setHidden] = useState(document.hidden);
  const newest = newestAt(entries);
  const [seenAt, setSeenAt] = useState(newest);
  const looking = open && !hidden;
  useEffect(() => {
    const onChange = () => setHidden(document.hidden);
    document.addEventListener("visibilitychange", onChange);
    return () => document.removeEventListener("visibilitychange", onChange);
  }, []);
  useEffect(() => {
    if (looking) setSeenAt(newest);
  }, [looking, newest]);
  return looking ? 0 : unreadSince(entries, seenAt, store.you.value?.user?.id);
}

/** Says when the link is down; nothing moves when it comes and goes. */
function ConnectionBar({ socket }: { socket: Socket }) {
  const state = socket.state.value;
  const [late, setLate] = useState(false);
  const [, beat] = useState(0);
  useEffect(() => {
    setLate(false);
    if (state === "open") return;
    const shown = setTimeout(() => setLate(true), 1_200);
    const timer = setInterval(() => beat((n) => n + 1), 1_000);
    return () => {
      clearTimeout(shown);
      clearInterval(timer);
    };
  }, [state === "open"]);
  if (state === "open" || !late) return null;
  const seconds = Math.ceil(((socket.retryAt.value ?? 0) - localNow()) / 1000);
  return (
    <div class="connection" role="status">
      {state === "waiting" && seconds > 1
        ? `Connection lost. Next try in ${seconds} s.`
        : "Connection lost. Trying again…"}
      <button type="button" class="link" onClick={() => socket.reconnectNow()}>
        Try now
      </button>
    </div>
  );
}
