/** The playlist: folders and videos, added, ordered and chosen; what was played; a way back. */

import { type Signal, useSignal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import type { Item } from "../contract";
import { counted } from "../format";
import { api } from "../net/api";
import { Confirm, IconButton } from "../ui/basics";
import { Icon } from "../ui/icons";
import { Menu, type MenuEntry } from "../ui/menu";
import { attempt } from "./attempt";
import type { DialogName } from "./dialogs";
import { EditDialog, FolderDialog, HistoryDialog, MoveDialog } from "./playlist_dialogs";
import { type Asked, Branch, type Drag } from "./playlist_row";
import { playablesIn } from "./playlist_tree";
import { mayUndoList } from "./rights";
import type { RoomStore } from "./room_store";
import { StreamDialog } from "./stream_dialog";

const CHANGE_SHOWN_MS = 12_000;

interface Props {
  store: RoomStore;
  dialog: Signal<DialogName>;
}

export function PlaylistPanel({ store, dialog }: Props) {
  const [asked, setAsked] = useState<Asked | null>(null);
  const drag = useSignal<Drag | null>(null);
  const spoken = useSignal("");
  const items = store.items.value;
  const mayAdd = store.can("ADD_MOVIE");
  if (!store.can("VIEW_PLAYLIST")) return <p class="panel empty">The playlist is not shown to you here.</p>;
  const ask = (next: Asked) => {
    if (next.what === "add") {
      store.into.value = next.item?.id ?? null;
      dialog.value = "add";
    } else {
      setAsked(next);
    }
  };
  const moveLast = () => {
    const id = drag.peek()?.id;
    drag.value = null;
    if (id !== undefined) void attempt(api.moveItem(store.id, id, { parent: null, before: null }));
  };
  const menu: MenuEntry[] = [{ label: "Played before…", act: () => ask({ what: "history" }) }];
  if (mayAdd) menu.unshift({ label: "New folder…", act: () => ask({ what: "folder", item: null }) });
  if (store.can("CLEAR_PLAYLIST") && items.length > 0)
    menu.push({ label: "Clear the playlist", danger: true, act: () => ask({ what: "clear" }) });
  return (
    <div class="panel playlist">
      <div class="panel-actions">
        <button
          type="button"
          class="primary"
          disabled={!mayAdd}
          title={mayAdd ? undefined : "You may not add videos here"}
          onClick={() => ask({ what: "add", item: null })}
        >
          <Icon name="plus" size={17} /> Add videos
        </button>
        <button
          type="button"
          disabled={!mayAdd || !store.can("PUBLISH_LIVE")}
          title={store.can("PUBLISH_LIVE") ? undefined : "You may not go live here"}
          onClick={() => (dialog.value = "live")}
        >
          <Icon name="live" size={17} /> Go live
        </button>
        <span class="spacer" />
        <Menu label="Playlist menu" icon="more" entries={menu} />
      </div>
      {items.length === 0 ? (
        <div class="empty">
          <Icon name="list" size={28} />
          <span>{mayAdd ? "The playlist is empty. Add the first video." : "The playlist is empty."}</span>
        </div>
      ) : (
        <div class="items">
          <Branch store={store} parent={null} drag={drag} spoken={spoken} onAsk={ask} />
          {drag.value !== null && (
            // biome-ignore lint/a11y/noStaticElementInteractions: only what is dragged ends here; keys have the menu.
            <div
              class={`drop-end${drag.value.over === null ? " here" : ""}`}
              onDragOver={(event) => {
                event.preventDefault();
                if (drag.peek()?.over) drag.value = { id: drag.peek()?.id ?? "", over: null };
              }}
              onDrop={(event) => {
                event.preventDefault();
                moveLast();
              }}
            >
              Put it last, in no folder
            </div>
          )}
        </div>
      )}
      <p class="visually-hidden" role="status">
        {spoken}
      </p>
      <LastChange store={store} />
      <Questions store={store} asked={asked} onClose={() => setAsked(null)} />
    </div>
  );
}

function Questions({
  store,
  asked,
  onClose,
}: {
  store: RoomStore;
  asked: Asked | null;
  onClose: () => void;
}) {
  switch (asked?.what) {
    case "stream":
      return <StreamDialog store={store} item={asked.item} onClose={onClose} />;
    case "edit":
      return <EditDialog store={store} item={asked.item} onClose={onClose} />;
    case "move":
      return <MoveDialog store={store} item={asked.item} onClose={onClose} />;
    case "folder":
      return <FolderDialog store={store} parent={asked.item} onClose={onClose} />;
    case "history":
      return <HistoryDialog store={store} onClose={onClose} />;
    case "remove":
      return <RemoveFolder store={store} item={asked.item} onClose={onClose} />;
    case "clear":
      return (
        <Confirm
          title="Clear the playlist?"
          yes="Clear it"
          no="Keep it"
          onClose={onClose}
          onYes={() => {
            onClose();
            void attempt(api.clearPlaylist(store.id));
          }}
        >
          <p>
            {store.count.value === 1 ? "The only video goes" : `All ${store.count.value} videos go`}, for
            everybody, and the folders with them. What plays now stops.
          </p>
        </Confirm>
      );
    default:
      return null;
  }
}

function RemoveFolder({ store, item, onClose }: { store: RoomStore; item: Item; onClose: () => void }) {
  const inside = playablesIn(store.tree.value, item.id).length;
  return (
    <Confirm
      title={`Remove “${item.title}”?`}
      yes="Remove it"
      no="Keep it"
      onClose={onClose}
      onYes={() => {
        onClose();
        void attempt(api.removeItem(store.id, item.id));
      }}
    >
      <p>The folder goes with all that is in it: {counted(inside, "video")}.</p>
    </Confirm>
  );
}

/** What was done to the playlist last, with a way back for those who may. */
function LastChange({ store }: { store: RoomStore }) {
  const change = store.listChange.value;
  const [hidden, setHidden] = useState(0);
  useEffect(() => {
    if (change === null) return;
    const timer = setTimeout(() => setHidden(change.version), CHANGE_SHOWN_MS);
    return () => clearTimeout(timer);
  }, [change]);
  if (change === null || hidden >= change.version || !mayUndoList(store.you.value, change)) return null;
  return (
    <div class="last-change" role="status">
      <span>{change.text}</span>
      <button
        type="button"
        class="small"
        onClick={() => {
          setHidden(change.version);
          void store.undoList();
        }}
      >
        Undo
      </button>
    </div>
  );
}

export function PlayOrderButtons({ store }: { store: RoomStore }) {
  const may = store.can("CHANGE_CURRENT_MOVIE");
  return (
    <span class="play-order">
      <IconButton
        icon="previous"
        size={16}
        label="Previous in the playlist"
        disabled={!may}
        onClick={() => void store.command({ action: "previous" })}
      />
      <IconButton
        icon="next"
        size={16}
        label="Next in the playlist"
        disabled={!may}
        onClick={() => void store.command({ action: "next" })}
      />
    </span>
  );
}
