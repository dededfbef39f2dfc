/** What somebody did, as a sentence: "Ann paused at 12:03". */

import type { Item, PlaybackState, Room, RoomEvent } from "../contract";
import { clockTime, speed } from "../format";
import type { Phase } from "../sync/controller";
import { positionAt } from "../sync/timeline";

const MODES: Record<PlaybackState["mode"], string> = {
  sequential: "plays one after the other",
  repeat_one: "repeats one",
  repeat_all: "repeats all",
  shuffle: "shuffles",
};

/** A sentence for a change of playback, or null when there is nothing to tell. */
export function describePlayback(
  before: PlaybackState | null,
  after: PlaybackState,
  by: string | null,
  titleOf: (item: string) => string | undefined,
): string | null {
  const who = by ?? "The room";
  if (before === null || before.revision >= after.revision) return null;
  if (before.item !== after.item) {
    if (after.item === null) return by === null ? "The playlist has ended" : `${who} stopped playback`;
    const title = titleOf(after.item);
    return by === null
      ? `Next: ${title ?? "another video"}`
      : `${who} chose ${title ? `“${title}”` : "another video"}`;
  }
  if (before.mode !== after.mode)
    return `${who} ${by === null ? "now " : "set the playlist: "}${MODES[after.mode]}`;
  if (before.rate !== after.rate) return `${who} set the speed to ${speed(after.rate)}`;
  const place = after.live ? "" : ` at ${clockTime(after.position)}`;
  if (before.playing && !after.playing) {
    return by === null && !after.live ? `Paused${place}` : `${who} paused${place}`;
  }
  const expected = positionAt({ state: before, liveDelayMs: 0 }, after.at);
  const moved = Math.abs(expected - after.position) > 1.5;
  if (!before.playing && after.playing && !moved) return `${who} pressed play`;
  if (moved) return after.live ? `${who} jumped` : `${who} jumped to ${clockTime(after.position)}`;
  return before.playing === after.playing ? null : `${who} pressed play`;
}

/** A sentence for a change of the playlist. */
export function describePlaylist(
  event: Extract<RoomEvent, { type: "playlist" }>,
  known: Item | undefined,
): string | null {
  const who = event.by?.username;
  if (!who) return null;
  const title = (event.item ?? known)?.title;
  const what = title ? `“${title}”` : "a video";
  switch (event.change) {
    case "added":
      return event.items && event.items.length > 1
        ? `${who} added ${event.items.length} videos`
        : `${who} added ${what}`;
    case "removed":
      return `${who} removed ${what}`;
    case "cleared":
      return `${who} cleared the playlist`;
    default:
      return null;
  }
}

/** A sentence for a change of the room itself, or null when it says nothing to those in it. */
export function describeSettings(before: Room | null, after: Room, by: string | undefined): string | null {
  const who = by ?? "The room";
  if (before === null) return null;
  if (before.name !== after.name) return `${who} renamed the room to “${after.name}”`;
  if (!before.has_password && after.has_password) return `${who} set a password`;
  if (before.has_password && !after.has_password) return `${who} removed the password`;
  return `${who} changed the room’s settings`;
}

/** Where the room is when this player cannot be there; null where it can. */
export function describeElsewhere(phase: Phase, playing: boolean, byFlv: boolean): string | null {
  if (phase === "gone" && byFlv)
    return `The room is ${playing ? "" : "paused "}at a moment that FLV cannot go back to.`;
  if (phase === "gone") return `The room is ${playing ? "" : "paused "}at a moment that is no longer kept.`;
  if (phase === "not_yet" && !playing) return "The room is paused at a moment that has not arrived here.";
  return null;
}
