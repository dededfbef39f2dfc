/** The playlist as folders within folders: what stands where, and where something may be put. Pure. */

import type { Item } from "../contract";

/** Items by the folder they are in (null: the top), in their order. What is in a folder that is gone is left out. */
export type Tree = ReadonlyMap<string | null, readonly Item[]>;

export interface Place {
  parent: string | null;
  /** The item to stand in front of; null: at the end. */
  before: string | null;
}

/** A folder, and in how many others it is. */
export interface Line {
  item: Item;
  depth: number;
}

export function treeOf(items: readonly Item[]): Tree {
  const tree = new Map<string | null, Item[]>();
  for (const item of items) {
    const siblings = tree.get(item.parent ?? null);
    if (siblings === undefined) tree.set(item.parent ?? null, [item]);
    else siblings.push(item);
  }
  for (const siblings of tree.values()) siblings.sort((a, b) => a.position - b.position);
  return tree;
}

/** All that is in a folder, and in the folders in it, in the order it is played; without the folders. */
export function playablesIn(tree: Tree, folder: string | null): Item[] {
  return (tree.get(folder) ?? []).flatMap((item) =>
    item.kind === "folder" ? playablesIn(tree, item.id) : [item],
  );
}

/** The folders an item is in, the outermost first. */
export function foldersAbove(items: readonly Item[], id: string): Item[] {
  const byId = new Map(items.map((item) => [item.id, item]));
  const above: Item[] = [];
  let folder = byId.get(byId.get(id)?.parent ?? "");
  while (folder !== undefined && !above.includes(folder)) {
    above.unshift(folder);
    folder = byId.get(folder.parent ?? "");
  }
  return above;
}

/** Folders that an item (null: something new) may be put into, as they are listed: none in itself. */
export function foldersFor(tree: Tree, moved: string | null): Line[] {
  const lines: Line[] = [];
  const walk = (parent: string | null, depth: number) => {
    for (const item of tree.get(parent) ?? []) {
      if (item.kind !== "folder" || item.id === moved) continue;
      lines.push({ item, depth });
      walk(item.id, depth + 1);
    }
  };
  walk(null, 0);
  return lines;
}

/** Where one goes to get up (-1) or down (1) a place among its siblings; null: it is at the end already. */
export function stepped(tree: Tree, item: Item, step: -1 | 1): Place | null {
  const parent = item.parent ?? null;
  const siblings = tree.get(parent) ?? [];
  const index = siblings.findIndex((other) => other.id === item.id);
  if (index < 0 || siblings[index + step] === undefined) return null;
  return { parent, before: siblings[step < 0 ? index - 1 : index + 2]?.id ?? null };
}

/** The part of a line that something is held over. */
export type Part = "above" | "onto" | "below";

/** `share`: how far down the line the pointer is, 0 to 1. Only folders take something in. */
export function partAt(item: Item, share: number): Part {
  if (item.kind === "folder") return share < 0.25 ? "above" : share > 0.75 ? "below" : "onto";
  return share < 0.5 ? "above" : "below";
}

/** Where what is let go over a line goes; null: nowhere (into itself), or where it is already. */
export function dropPlace(
  tree: Tree,
  items: readonly Item[],
  dragged: string,
  over: Item,
  part: Part,
  isOpen: boolean,
): Place | null {
  if (over.id === dragged || foldersAbove(items, over.id).some((folder) => folder.id === dragged))
    return null;
  const place = placeAt(tree, over, part, isOpen);
  // In front of itself is in front of what follows it.
  const siblings = tree.get(place.parent) ?? [];
  const index = siblings.findIndex((item) => item.id === dragged);
  if (index < 0) return place;
  const follower = siblings[index + 1]?.id ?? null;
  return place.before === dragged || place.before === follower ? null : place;
}

function placeAt(tree: Tree, over: Item, part: Part, isOpen: boolean): Place {
  const parent = over.parent ?? null;
  if (part === "above") return { parent, before: over.id };
  if (over.kind === "folder" && (part === "onto" || isOpen)) {
    // Under the title of an open folder is in front of the first in it; onto it is behind the last.
    const first = tree.get(over.id)?.[0]?.id ?? null;
    return { parent: over.id, before: part === "below" ? first : null };
  }
  const siblings = tree.get(parent) ?? [];
  return { parent, before: siblings[siblings.findIndex((item) => item.id === over.id) + 1]?.id ?? null };
}
