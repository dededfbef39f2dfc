/** The playlist as the events leave it: pure list work. */

import type { Item, RoomEvent } from "../contract";

/** By `position`, siblings of one parent together. */
export function inOrder(items: readonly Item[]): Item[] {
  return [...items].sort((a, b) => a.position - b.position);
}

/** Apply a playlist event; null when only a fresh list can tell. */
export function applyPlaylist(
  items: readonly Item[],
  event: Pick<Extract<RoomEvent, { type: "playlist" }>, "change" | "item" | "items">,
): Item[] | null {
  const given = event.items ?? (event.item ? [event.item] : []);
  switch (event.change) {
    case "cleared":
      return inOrder(event.items ?? []);
    case "removed": {
      if (given.length === 0) return null;
      const gone = new Set(given.map((item) => item.id));
      return items.filter((item) => !gone.has(item.id));
    }
    case "added":
    case "edited":
      return given.length === 0 ? null : merge(items, given);
    case "moved":
      // Every sibling's position may have changed: only the whole order says it.
      return event.items ? merge(items, event.items) : null;
  }
}

function merge(items: readonly Item[], given: readonly Item[]): Item[] {
  const byId = new Map(items.map((item) => [item.id, item]));
  for (const item of given) byId.set(item.id, item);
  return inOrder([...byId.values()]);
}

/** The item before which one must be put to go one place up or down; undefined: it is at the end already. */
export function neighbour(items: readonly Item[], id: string, step: -1 | 1): string | null | undefined {
  const index = items.findIndex((item) => item.id === id);
  if (index < 0) return undefined;
  if (step === -1) return index === 0 ? undefined : items[index - 1]?.id;
  if (index === items.length - 1) return undefined;
  return items[index + 2]?.id ?? null;
}
