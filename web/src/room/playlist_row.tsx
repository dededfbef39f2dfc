/** The playlist's lines: a video, or a folder with what is in it; chosen, opened, dragged, and moved by keys. */

import type { Signal } from "@preact/signals";
import type { TargetedDragEvent, TargetedKeyboardEvent } from "preact";
import { useEffect } from "preact/hooks";
import type { Item } from "../contract";
import { clockTime, counted } from "../format";
import { api } from "../net/api";
import { positionAt } from "../sync/timeline";
import { useBeat } from "../ui/beat";
import { Icon } from "../ui/icons";
import { Menu, type MenuEntry } from "../ui/menu";
import { attempt } from "./attempt";
import { dropPlace, foldersFor, type Part, partAt, playablesIn, stepped } from "./playlist_tree";
import type { RoomStore } from "./room_store";

/** What opens over the playlist, and of which item. */
export type Asked =
  | { what: "add" | "folder"; item: Item | null }
  | { what: "stream" | "edit" | "move" | "remove"; item: Item }
  | { what: "history" | "clear" };

/** What is dragged, and the part of the line it is held over. */
export interface Drag {
  id: string;
  over: { id: string; part: Part } | null;
}

interface Shared {
  store: RoomStore;
  drag: Signal<Drag | null>;
  /** Read out by screen readers. */
  spoken: Signal<string>;
  onAsk: (asked: Asked) => void;
}

/** A closed folder opens for what is held over it so long. */
const OPEN_AFTER_MS = 600;

/** What is in a folder, or at the top. */
export function Branch({ parent, ...shared }: Shared & { parent: Item | null }) {
  const items = shared.store.tree.value.get(parent?.id ?? null) ?? [];
  return (
    <ul aria-label={parent ? `In ${parent.title}` : "Playlist"}>
      {items.map((item) => (
        <Line key={item.id} item={item} {...shared} />
      ))}
      {parent !== null && items.length === 0 && <li class="nothing">Nothing is in this folder.</li>}
    </ul>
  );
}

function Line({ item, ...shared }: Shared & { item: Item }) {
  const { store, drag } = shared;
  const folder = item.kind === "folder";
  const open = folder && store.open.value.has(item.id);
  const mayOrder = store.can("REORDER_PLAYLIST");
  const over = drag.value?.over?.id === item.id ? drag.value.over.part : null;
  const waits = folder && !open && over === "onto";
  useEffect(() => {
    if (!waits) return;
    const timer = setTimeout(() => store.setOpen(item.id, true), OPEN_AFTER_MS);
    return () => clearTimeout(timer);
  }, [waits, item.id, store]);
  const placeFor = (part: Part) => {
    const dragged = drag.peek()?.id;
    if (dragged === undefined) return null;
    return dropPlace(store.tree.peek(), store.items.peek(), dragged, item, part, open);
  };
  const onDragOver = (event: TargetedDragEvent<HTMLElement>) => {
    const held = drag.peek();
    if (held === null) return;
    const box = event.currentTarget.getBoundingClientRect();
    const part = partAt(item, (event.clientY - box.top) / box.height);
    const allowed = placeFor(part) !== null;
    if (allowed) event.preventDefault();
    const now = allowed ? { id: item.id, part } : null;
    if (held.over?.id !== now?.id || held.over?.part !== now?.part) drag.value = { ...held, over: now };
  };
  const onDrop = (event: TargetedDragEvent<HTMLElement>) => {
    const held = drag.peek();
    if (held === null) return;
    event.preventDefault();
    const place = held.over && placeFor(held.over.part);
    drag.value = null;
    if (place) void attempt(api.moveItem(store.id, held.id, place));
  };
  const onKeyDown = (event: TargetedKeyboardEvent<HTMLElement>) => {
    if ((event.target as HTMLElement).closest(".menu")) return;
    const step = event.altKey ? ({ ArrowUp: -1, ArrowDown: 1 } as const)[event.key] : undefined;
    if (step !== undefined && mayOrder) {
      event.preventDefault();
      void move(shared, item, step);
    } else if (folder && !event.altKey && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
      event.preventDefault();
      event.stopPropagation();
      store.setOpen(item.id, event.key === "ArrowRight");
    }
  };
  const marks = [
    store.state.value?.item === item.id ? "current" : "",
    over === null ? "" : `drop-${over}`,
    drag.value?.id === item.id ? "dragged" : "",
  ];
  return (
    <li>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the keys belong to the button in it; dragging has its menu. */}
      <div
        class={`line ${marks.join(" ")}`}
        draggable={mayOrder}
        onDragStart={(event) => {
          event.dataTransfer?.setData("text/plain", item.title);
          drag.value = { id: item.id, over: null };
        }}
        onDragEnd={() => (drag.value = null)}
        onDragOver={onDragOver}
        onDrop={onDrop}
        onKeyDown={onKeyDown}
      >
        {folder ? (
          <FolderButton store={store} item={item} open={open} mayOrder={mayOrder} />
        ) : (
          <VideoButton store={store} item={item} mayOrder={mayOrder} />
        )}
        <Menu label={`Actions for ${item.title}`} icon="more" entries={entriesFor(shared, item)} />
      </div>
      {open && <Branch parent={item} {...shared} />}
    </li>
  );
}

/** Up or down a place, and say so. */
async function move({ store, spoken }: Shared, item: Item, step: -1 | 1): Promise<void> {
  const place = stepped(store.tree.peek(), item, step);
  const end = step < 0 ? "first" : "last";
  if (place === null) spoken.value = `${item.title} is the ${end} one already`;
  else if (await attempt(api.moveItem(store.id, item.id, place)))
    spoken.value = `${item.title} moved ${step < 0 ? "up" : "down"}`;
}

const ORDER_KEYS = "Alt+ArrowUp Alt+ArrowDown";

function FolderButton({
  store,
  item,
  open,
  mayOrder,
}: {
  store: RoomStore;
  item: Item;
  open: boolean;
  mayOrder: boolean;
}) {
  const inside = playablesIn(store.tree.value, item.id);
  const holds = !open && inside.some((other) => other.id === store.state.value?.item);
  const lengths = inside.map((other) => other.duration ?? 0);
  const whole = lengths.every((length) => length > 0) ? lengths.reduce((sum, length) => sum + length, 0) : 0;
  return (
    <button
      type="button"
      class="item folder"
      aria-expanded={open}
      aria-keyshortcuts={mayOrder ? ORDER_KEYS : undefined}
      onClick={() => store.setOpen(item.id, !open)}
    >
      <span class={`item-mark${holds ? " holds" : ""}`} aria-hidden="true">
        <Icon name={open ? "folder_open" : "folder"} size={17} />
      </span>
      <span class="item-text">
        <span class="item-title">{item.title}</span>
        <span class="item-about">
          {inside.length === 0 ? "Empty" : counted(inside.length, "video")}
          {whole > 0 && ` · ${clockTime(whole)}`}
          {holds && " · playing"}
        </span>
      </span>
      <span class={`turn${open ? " open" : ""}`} aria-hidden="true">
        <Icon name="right" size={15} />
      </span>
    </button>
  );
}

function VideoButton({ store, item, mayOrder }: { store: RoomStore; item: Item; mayOrder: boolean }) {
  const state = store.state.value;
  const current = state?.item === item.id;
  const mayChoose = store.can("CHANGE_CURRENT_MOVIE");
  return (
    <button
      type="button"
      class="item"
      disabled={!mayChoose && !mayOrder}
      aria-disabled={!mayChoose}
      aria-current={current ? "true" : undefined}
      aria-keyshortcuts={mayOrder ? ORDER_KEYS : undefined}
      title={mayChoose ? `Play “${item.title}” for everybody` : item.title}
      onClick={() => mayChoose && void store.playItem(item.id)}
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
        <About store={store} item={item} current={current} />
      </span>
    </button>
  );
}

function About({ store, item, current }: { store: RoomStore; item: Item; current: boolean }) {
  const live = item.stream ? store.live.value.get(item.stream) : undefined;
  const watching = item.stream ? (store.watching.value.get(item.stream) ?? 0) : 0;
  const by = typeof item.added_by === "object" ? ` · ${item.added_by.username}` : "";
  if (item.kind === "live") {
    return (
      <span class="item-about">
        <span class={live ? "live-word" : ""}>{live ? "Live now" : "Live, offline"}</span>
        {live && watching > 0 && ` · ${watching} watching`}
        {by}
      </span>
    );
  }
  if (current && item.duration) return <Progress store={store} length={item.duration} by={by} />;
  return (
    <span class="item-about">
      {item.duration ? clockTime(item.duration) : hostOf(item.url)}
      {by}
    </span>
  );
}

/** How far the room is with it. */
function Progress({ store, length, by }: { store: RoomStore; length: number; by: string }) {
  useBeat(1_000);
  const state = store.state.value;
  if (state === null) return null;
  const at = Math.min(length, positionAt({ state, liveDelayMs: 0 }, store.now()));
  return (
    <>
      <span class="item-about">
        {clockTime(at)} of {clockTime(length)}
        {by}
      </span>
      <span class="progress" aria-hidden="true" style={{ "--at": `${(at / length) * 100}%` }} />
    </>
  );
}

function entriesFor({ store, spoken, drag, onAsk }: Shared, item: Item): MenuEntry[] {
  const mine = isMine(store, item);
  const folder = item.kind === "folder";
  const tree = store.tree.value;
  const mayChoose = store.can("CHANGE_CURRENT_MOVIE");
  const mayEdit = store.can("EDIT_MOVIE_ANY") || (store.can("EDIT_MOVIE_SELF") && mine);
  const mayDelete = store.can("DELETE_MOVIE_ANY") || (store.can("DELETE_MOVIE_SELF") && mine);
  const mayOrder = store.can("REORDER_PLAYLIST");
  const mayAdd = store.can("ADD_MOVIE");
  const first = folder ? playablesIn(tree, item.id)[0] : item;
  const step = (label: string, by: -1 | 1): MenuEntry => ({
    label,
    disabled: !mayOrder || stepped(tree, item, by) === null,
    why: mayOrder ? "It is there already" : "You may not order the playlist",
    act: () => void move({ store, spoken, drag, onAsk }, item, by),
  });
  const somewhere = item.parent !== null || foldersFor(tree, item.id).length > 0;
  return [
    {
      label: folder ? "Play from its beginning" : "Play now",
      disabled: !mayChoose || first === undefined,
      why: mayChoose ? "Nothing is in it" : "You may not choose what is on",
      act: () => first && void store.playItem(first.id),
    },
    ...(folder && mayAdd
      ? [
          { label: "Add videos here…", act: () => onAsk({ what: "add" as const, item }) },
          { label: "New folder in it…", act: () => onAsk({ what: "folder" as const, item }) },
        ]
      : []),
    ...(item.stream != null && (mine || store.can("SET_ROOM_SETTINGS"))
      ? [{ label: "Stream…", act: () => onAsk({ what: "stream" as const, item }) }]
      : []),
    {
      label: folder ? "Rename…" : "Edit…",
      disabled: !mayEdit,
      why: "You may not change this one",
      act: () => onAsk({ what: "edit", item }),
    },
    step("Move up", -1),
    step("Move down", 1),
    ...(mayOrder && somewhere
      ? [{ label: "Move to…", act: () => onAsk({ what: "move" as const, item }) }]
      : []),
    {
      label: "Remove",
      disabled: !mayDelete,
      why: "You may not remove this one",
      danger: true,
      act: () => {
        if (folder && (tree.get(item.id)?.length ?? 0) > 0) onAsk({ what: "remove", item });
        else void attempt(api.removeItem(store.id, item.id));
      },
    },
  ];
}

function isMine(store: RoomStore, item: Item): boolean {
  const by = typeof item.added_by === "object" ? item.added_by.id : item.added_by;
  return by === store.you.value?.user?.id;
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
