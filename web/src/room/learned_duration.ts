/** Tells the room how long a video is whose length nobody knew: once, by whoever is first of those who may. */

import { effect } from "@preact/signals";
import type { Item } from "../contract";
import { api } from "../net/api";
import type { SyncEngine } from "../sync/engine";
import type { RoomStore } from "./room_store";

const SHORTEST_S = 0.5;
const LONGEST_S = 7 * 86_400;
/** All pages learn it in the same moment: most of them hear of it before it is their turn. */
const SPREAD_MS = 3_000;

/** The length to tell of, s: of a video that has none yet, if it is one a video can have; else null. Pure. */
export function worthTelling(
  item: Item | null,
  loadedUrl: string | null,
  found: number | null,
): number | null {
  if (item?.kind !== "url" || item.duration || item.url !== loadedUrl) return null;
  return found !== null && found >= SHORTEST_S && found <= LONGEST_S ? Number(found.toFixed(3)) : null;
}

export function teachDurations(store: RoomStore, engine: SyncEngine): () => void {
  const told = new Set<string>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const look = () => worthTelling(store.current.peek(), engine.loaded.peek()?.url ?? null, engine.duration());
  const tell = () => {
    const item = store.current.peek();
    const duration = look();
    if (item === null || duration === null || !store.can("ADD_MOVIE") || told.has(item.id)) return;
    told.add(item.id);
    // Nobody asked for it: if the server does not want it now, somebody else's page tells it.
    api.learnDuration(store.id, item.id, duration).catch(() => undefined);
  };
  const stop = effect(() => {
    // What has loaded may be told before what is on the screen, or after.
    void engine.loaded.value;
    void store.current.value;
    clearTimeout(timer);
    if (look() !== null) timer = setTimeout(tell, Math.random() * SPREAD_MS);
  });
  return () => {
    clearTimeout(timer);
    stop();
  };
}
