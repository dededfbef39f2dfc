/** The playlist as the events leave it: pure list work. */

import type { Item, RoomEvent } from "../contract";

/** By `position`, siblings of one parent together. */
export function inOrder(items: readonly Item[]): Item[] {
  return [...items].sort((a, b) => a.position - b.position);
}

/** Apply a playlist event; null when only a fresh list can tell. `items`, where there, are all that changed. */
export function applyPlaylist(
  items: readonly Item[],
  event: Pick<Extract<RoomEvent, { type: "playlist" }>, "change" | "item" | "items">,
): Item[] | null {
  const given = event.items ?? (event.item ? [event.item] : []);
  if (event.change === "cleared") return inOrder(event.items ?? []);
  if (given.length === 0) return null;
  if (event.change === "removed") {
    const gone = new Set(given.map((item) => item.id));
    return items.filter((item) => !gone.has(item.id));
  }
  return merge(items, given);
}

function merge(items: readonly Item[], given: readonly Item[]): Item[] {
  const byId = new Map(items.map((item) => [item.id, item]));
  for (const item of given) byId.set(item.id, item);
  return inOrder([...byId.values()]);
}
