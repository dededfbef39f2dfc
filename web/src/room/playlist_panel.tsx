/** The playlist: add, choose, rename, order, remove. */

import type { Signal } from "@preact/signals";
import { useState } from "preact/hooks";
import type { Item } from "../contract";
import { clockTime } from "../format";
import { api } from "../net/api";
import { sentenceOf } from "../net/problem";
import { Confirm, Dialog, Field, IconButton } from "../ui/basics";
import { Icon } from "../ui/icons";
import { Menu } from "../ui/menu";
import { attempt } from "./attempt";
import type { DialogName } from "./dialogs";
import { neighbour } from "./playlist_order";
import type { RoomStore } from "./room_store";
import { StreamDialog } from "./stream_dialog";

interface Props {
  store: RoomStore;
  dialog: Signal<DialogName>;
}

export function PlaylistPanel({ store, dialog }: Props) {
  const items = store.items.value;
  const [editing, setEditing] = useState<Item | null>(null);
  const [managed, setManaged] = useState<Item | null>(null);
  const [clearing, setClearing] = useState(false);
  const [dragged, setDragged] = useState<string | null>(null);
  const [over, setOver] = useState<string | null>(null);
  const mayAdd = store.can("ADD_MOVIE");
  const mayOrder = store.can("REORDER_PLAYLIST");
  const mayClear = store.can("CLEAR_PLAYLIST");
  const drop = (before: string | null) => {
    const id = dragged;
    setDragged(null);
    setOver(null);
    if (id !== null && id !== before) void attempt(api.moveItem(store.id, id, before));
  };
  if (!store.can("VIEW_PLAYLIST")) return <p class="panel empty">The playlist is not shown to you here.</p>;
  return (
    <div class="panel playlist">
      <div class="panel-actions">
        <button
          type="button"
          class="primary"
          disabled={!mayAdd}
          title={mayAdd ? undefined : "You may not add videos here"}
          onClick={() => (dialog.value = "add")}
        >
          <Icon name="plus" size={17} /> Add video
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
        {mayClear && items.length > 0 && (
          <Menu
            label="Playlist menu"
            icon="more"
            entries={[{ label: "Clear the playlist", danger: true, act: () => setClearing(true) }]}
          />
        )}
      </div>
      {items.length === 0 ? (
        <div class="empty">
          <Icon name="list" size={28} />
          <span>{mayAdd ? "The playlist is empty. Add the first video." : "The playlist is empty."}</span>
        </div>
      ) : (
        <ol class="items">
          {items.map((item) => (
            <li
              key={item.id}
              class={`${store.state.value?.item === item.id ? "current" : ""}${over === item.id ? " drop-before" : ""}${
                dragged === item.id ? " dragged" : ""
              }`}
              draggable={mayOrder}
              onDragStart={(event) => {
                event.dataTransfer?.setData("text/plain", item.title);
                setDragged(item.id);
              }}
              onDragEnd={() => {
                setDragged(null);
                setOver(null);
              }}
              onDragOver={(event) => {
                if (dragged === null) return;
                event.preventDefault();
                setOver(item.id);
              }}
              onDrop={(event) => {
                event.preventDefault();
                drop(item.id);
              }}
            >
              <Row
                store={store}
                item={item}
                onEdit={() => setEditing(item)}
                onManage={() => setManaged(item)}
              />
            </li>
          ))}
          {dragged !== null && (
            <li
              class="drop-end"
              onDragOver={(event) => {
                event.preventDefault();
                setOver("end");
              }}
              onDrop={(event) => {
                event.preventDefault();
                drop(null);
              }}
            >
              Put it last
            </li>
          )}
        </ol>
      )}
      {managed && <StreamDialog store={store} item={managed} onClose={() => setManaged(null)} />}
      {editing && <EditDialog store={store} item={editing} onClose={() => setEditing(null)} />}
      {clearing && (
        <Confirm
          title="Clear the playlist?"
          yes="Clear it"
          no="Keep it"
          onClose={() => setClearing(false)}
          onYes={() => {
            setClearing(false);
            void attempt(api.clearPlaylist(store.id));
          }}
        >
          <p>All {items.length} videos go, for everybody. What plays now stops.</p>
        </Confirm>
      )}
    </div>
  );
}

function isMine(store: RoomStore, item: Item): boolean {
  const by = typeof item.added_by === "object" ? item.added_by.id : item.added_by;
  return by === store.you.value?.user?.id;
}

function Row({
  store,
  item,
  onEdit,
  onManage,
}: {
  store: RoomStore;
  item: Item;
  onEdit: () => void;
  onManage: () => void;
}) {
  const state = store.state.value;
  const current = state?.item === item.id;
  const mayChoose = store.can("CHANGE_CURRENT_MOVIE");
  const mayEdit = store.can("EDIT_MOVIE_ANY") || (store.can("EDIT_MOVIE_SELF") && isMine(store, item));
  const mayDelete = store.can("DELETE_MOVIE_ANY") || (store.can("DELETE_MOVIE_SELF") && isMine(store, item));
  const mayOrder = store.can("REORDER_PLAYLIST");
  const live = item.stream ? store.live.value.get(item.stream) : undefined;
  const watching = item.stream ? (store.watching.value.get(item.stream) ?? 0) : 0;
  const mayManage = item.stream != null && (isMine(store, item) || store.can("SET_ROOM_SETTINGS"));
  const items = store.items.value;
  const move = (step: -1 | 1) => {
    const before = neighbour(items, item.id, step);
    if (before !== undefined) void attempt(api.moveItem(store.id, item.id, before));
  };
  return (
    <>
      <button
        type="button"
        class="item"
        disabled={!mayChoose}
        aria-current={current ? "true" : undefined}
        title={mayChoose ? `Play “${item.title}” for everybody` : item.title}
        onClick={() => void store.playItem(item.id)}
      >
        <span class="item-mark" aria-hidden="true">
          {current ? (
            <Bars moving={state?.playing ?? false} />
          ) : (
            <Icon name={item.kind === "live" ? "live" : "play"} size={16} />
          )}
        </span>
        <span class="item-text">
          <span class="item-title">{item.title}</span>
          <span class="item-about">
            {item.kind === "live" ? (
              <>
                <span class={live ? "live-word" : ""}>{live ? "Live now" : "Live, offline"}</span>
                {live && watching > 0 && <span> · {watching} watching</span>}
              </>
            ) : (
              <span>{item.duration ? clockTime(item.duration) : hostOf(item.url)}</span>
            )}
            {typeof item.added_by === "object" && <span> · {item.added_by.username}</span>}
          </span>
        </span>
      </button>
      <Menu
        label={`Actions for ${item.title}`}
        icon="more"
        entries={[
          {
            label: "Play now",
            disabled: !mayChoose,
            why: "You may not choose what is on",
            act: () => void store.playItem(item.id),
          },
          ...(mayManage ? [{ label: "Stream…", act: onManage }] : []),
          { label: "Edit", disabled: !mayEdit, why: "You may not change this one", act: onEdit },
          {
            label: "Move up",
            disabled: !mayOrder || neighbour(items, item.id, -1) === undefined,
            act: () => move(-1),
          },
          {
            label: "Move down",
            disabled: !mayOrder || neighbour(items, item.id, 1) === undefined,
            act: () => move(1),
          },
          {
            label: "Remove",
            disabled: !mayDelete,
            why: "You may not remove this one",
            danger: true,
            act: () => void attempt(api.removeItem(store.id, item.id)),
          },
        ]}
      />
    </>
  );
}

function hostOf(url: string | null | undefined): string {
  try {
    return new URL(url ?? "").host;
  } catch {
    return "Video";
  }
}

function Bars({ moving }: { moving: boolean }) {
  return (
    <span class={`bars${moving ? " moving" : ""}`}>
      <i />
      <i />
      <i />
    </span>
  );
}

function EditDialog({ store, item, onClose }: { store: RoomStore; item: Item; onClose: () => void }) {
  const [title, setTitle] = useState(item.title);
  const [url, setUrl] = useState(item.url ?? "");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const onSubmit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    const change: { title?: string; url?: string } = {};
    if (title.trim() !== item.title) change.title = title.trim();
    if (item.kind === "url" && url.trim() !== item.url) change.url = url.trim();
    try {
      if (Object.keys(change).length > 0) await api.editItem(store.id, item.id, change);
      onClose();
    } catch (error) {
      setProblem(sentenceOf(error));
      setBusy(false);
    }
  };
  return (
    <Dialog title="Edit" onClose={onClose}>
      <form class="stack" onSubmit={(event) => void onSubmit(event)}>
        <Field
          label="Title"
          value={title}
          required
          maxLength={200}
          onInput={(e) => setTitle(e.currentTarget.value)}
        />
        {item.kind === "url" && (
          <Field
            label="Address"
            type="url"
            value={url}
            required
            maxLength={4096}
            onInput={(e) => setUrl(e.currentTarget.value)}
          />
        )}
        {problem && (
          <p class="form-error" role="alert">
            {problem}
          </p>
        )}
        <div class="row end">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={busy}>
            Save
          </button>
        </div>
      </form>
    </Dialog>
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
