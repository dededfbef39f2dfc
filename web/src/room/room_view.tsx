/** The room, once one is in: picture, and beside it (on a phone: under it) the talk, the list, the people. */

import { useSignal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { people } from "../format";
import type { Socket } from "../net/socket";
import { localNow } from "../sync/engine";
import { Header } from "../ui/header";
import { Icon, type IconName } from "../ui/icons";
import { ChatPanel } from "./chat_panel";
import { type DialogName, Dialogs } from "./dialogs";
import { MembersPanel } from "./members_panel";
import { PlaylistPanel, PlayOrderButtons } from "./playlist_panel";
import type { RoomStore } from "./room_store";
import { Stage } from "./stage";

type PanelName = "chat" | "playlist" | "members";

export function RoomView({ store, socket }: { store: RoomStore; socket: Socket }) {
  const dialog = useSignal<DialogName>("none");
  const [panel, setPanel] = useState<PanelName>("chat");
  const name = store.room.value?.name ?? "";
  const item = store.current.value;
  const unread = useUnread(store, panel === "chat");
  useEffect(() => {
    document.title = item ? `${item.title} · ${name || "Matinee"}` : name || "Matinee";
  }, [item?.title, name, item]);
  const online = Math.max(
    store.viewers.value,
    [...store.members.value.values()].filter((member) => member.online).length,
    1,
  );
  const tabs: [PanelName, string, IconName, number][] = [
    ["chat", "Chat", "chat", unread],
    ["playlist", "Playlist", "list", store.items.value.length],
    ["members", "People", "people", online],
  ];
  return (
    <div class="page room">
      <Header
        actions={
          <button type="button" class="invite" onClick={() => (dialog.value = "invite")}>
            <Icon name="link" size={17} /> <span>Invite</span>
          </button>
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
            {store.items.value.length > 1 && <PlayOrderButtons store={store} />}
          </div>
        </div>
        <aside class="side" aria-label="Chat, playlist and people">
          <div class="side-tabs" role="tablist">
            {tabs.map(([key, text, icon, count]) => (
              <button
                type="button"
                key={key}
                role="tab"
                id={`tab-${key}`}
                aria-selected={panel === key}
                aria-controls="side-panel"
                onClick={() => setPanel(key)}
              >
                <Icon name={icon} size={18} />
                <span>{text}</span>
                {count > 0 && (
                  <small class={key === "chat" ? "unread" : ""}>{count > 99 ? "99+" : count}</small>
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
  if (item && typeof item.added_by === "object") parts.unshift(`Added by ${item.added_by.username}`);
  return parts.join(" · ");
}

/** Messages that came while another panel was open. */
function useUnread(store: RoomStore, open: boolean): number {
  const count = store.chat.value.filter((entry) => entry.kind === "message").length;
  const [seen, setSeen] = useState(count);
  useEffect(() => {
    if (open) setSeen(count);
  }, [open, count]);
  return open ? 0 : Math.max(0, count - seen);
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
