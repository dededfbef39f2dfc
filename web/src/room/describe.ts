/** What somebody did, as a sentence: "Ann paused at 12:03". */

import type { Item, Member, PlaybackState, Room, RoomEvent } from "../contract";
import { clockTime, names, speed } from "../format";
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
  if ((after.undoable ?? 0) < (before.undoable ?? 0)) return `${who} took the last change back`;
  if (before.item !== after.item) {
    if (after.item === null) return by === null ? "The playlist has ended" : `${who} stopped playback`;
    const title = titleOf(after.item);
    return by === null
      ? `Next: ${title ?? "another video"}`
      : `${who} chose ${title ? `“${title}”` : "another video"}`;
  }
  if (before.mode !== after.mode)
    return `${who} ${by === null ? "now " : "set the playlist: "}${MODES[after.mode]}`;
  // That the room waits, and for whom, stands over the picture as long as it does.
  if (by === null && (before.hold || after.hold)) return null;
  if (before.hold && after.playing) return `${who} went on without ${names(before.hold.members)}`;
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

/** A sentence for a change of the playlist; `known`: what was on it before. */
export function describePlaylist(
  event: Extract<RoomEvent, { type: "playlist" }>,
  known: readonly Item[],
): string | null {
  const who = event.by?.username;
  if (!who) return null;
  if (event.undo) return `${who} took back a change of the playlist`;
  // Those that only made room for it come along with what was added.
  const fresh = (event.items ?? (event.item ? [event.item] : [])).filter(
    (item) => !known.some((other) => other.id === item.id),
  );
  switch (event.change) {
    case "added":
      return fresh.length > 1 ? `${who} added ${fresh.length} videos` : `${who} added ${named(fresh[0])}`;
    case "removed":
      return `${who} removed ${named(event.item ?? known.find((item) => item.id === event.items?.[0]?.id))}`;
    case "cleared":
      return `${who} cleared the playlist`;
    case "moved":
      return `${who} moved ${named(event.item ?? undefined)}`;
    case "edited":
      return onlyLearned(event.item, known) ? null : `${who} changed ${named(event.item ?? undefined)}`;
  }
}

/** Whether a length that nobody knew is all that is new: his player found it, he did nothing. */
function onlyLearned(item: Item | null | undefined, known: readonly Item[]): boolean {
  const before = known.find((other) => other.id === item?.id);
  if (!item || !before) return false;
  return !before.duration && !!item.duration && before.title === item.title && before.url === item.url;
}

function named(item: Item | undefined): string {
  if (item === undefined) return "a video";
  return `${item.kind === "folder" ? "the folder " : ""}“${item.title}”`;
}

/** A sentence for somebody who came, went or knocked. */
export function describeMember(
  event: Extract<RoomEvent, { type: "member" }>,
  before: Member | undefined,
): string | null {
  const { username } = event.member.user;
  if (event.change === "updated") {
    if (event.member.state === "pending" && before?.state !== "pending")
      return `${username} would like to come in`;
    return null;
  }
  if (before?.state === "pending" && event.change === "left") return null;
  if (event.change === "joined") return before?.online ? null : `${username} came in`;
  return event.removed ? `${username} was ${event.removed}` : `${username} left`;
}

/** A sentence for a change of the room itself, or null when it says nothing to those in it. */
export function describeSettings(before: Room | null, after: Room, by: string | undefined): string | null {
  const who = by ?? "The room";
  if (before === null) return null;
  const [owned, owns] = [before.creator, after.creator];
  if (typeof owned === "object" && typeof owns === "object" && owned.id !== owns.id)
    return `${who} handed the room over to ${owns.username}`;
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
