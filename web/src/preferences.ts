/** What this browser remembers of how its user likes things. */

import { effect, type Signal, signal } from "@preact/signals";

function remembered<T extends string | number | boolean>(name: string, initial: T): Signal<T> {
  const key = `matinee.${name}`;
  let start = initial;
  try {
    const text = localStorage.getItem(key);
    const value: unknown = text === null ? null : JSON.parse(text);
    if (typeof value === typeof initial) start = value as T;
  } catch {
    // Without storage everything starts as it comes.
  }
  const held = signal<T>(start);
  let first = true;
  effect(() => {
    const text = JSON.stringify(held.value);
    if (first) {
      first = false;
      return;
    }
    try {
      localStorage.setItem(key, text);
    } catch {
      // See above.
    }
  });
  return held;
}

export const preferences = {
  volume: remembered<number>("volume", 1),
  danmaku: remembered<boolean>("danmaku", true),
  danmakuColor: remembered<string>("danmakuColor", "#ffffff"),
  danmakuMode: remembered<string>("danmakuMode", "scroll"),
  danmakuSize: remembered<string>("danmakuSize", "normal"),
  /** How live streams reach this browser in a room. */
  livePlayer: remembered<string>("livePlayer", "hls"),
};
