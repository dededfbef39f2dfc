/**
 * The permission bits of the one 64-bit space, what roles start with, and what a mask allows.
 *
 * Masks are decimal strings on the wire: 2^53 is not enough.
 */

import type { RoomRole } from "./contract";

export const BITS = {
  SEND_CHAT: 0,
  ADD_MOVIE: 1,
  DELETE_MOVIE_SELF: 2,
  DELETE_MOVIE_ANY: 3,
  EDIT_MOVIE_SELF: 4,
  EDIT_MOVIE_ANY: 5,
  REORDER_PLAYLIST: 6,
  CLEAR_PLAYLIST: 7,
  PLAY_CONTROL: 10,
  CHANGE_CURRENT_MOVIE: 11,
  CHANGE_PLAYBACK_RATE: 12,
  SEND_DANMAKU: 13,
  PUBLISH_LIVE: 14,
  APPROVE_MEMBER: 20,
  KICK_MEMBER: 21,
  BAN_MEMBER: 22,
  SET_MEMBER_PERMISSIONS: 23,
  MANAGE_ADMIN: 24,
  SET_ROOM_SETTINGS: 30,
  SET_ROOM_PASSWORD: 31,
  DELETE_CHAT: 32,
  VIEW_STATS: 33,
  EXPORT_DATA: 34,
  DELETE_ROOM: 35,
  VIEW_PLAYLIST: 40,
  VIEW_MEMBER_LIST: 41,
  VIEW_CHAT_HISTORY: 42,
  USE_WEBRTC: 50,
} as const;

export type Permission = keyof typeof BITS;

/** The mask that holds these and no others. */
export function maskOf(...permissions: Permission[]): bigint {
  return permissions.reduce((mask, name) => mask | (1n << BigInt(BITS[name])), 0n);
}

/** A mask from the wire; what is none is 0. */
export function readMask(mask: string | undefined): bigint {
  return mask !== undefined && /^\d{1,20}$/.test(mask) ? BigInt(mask) : 0n;
}

/** Whether a mask holds a permission; what is no mask holds none. */
export function allows(mask: string | undefined, permission: Permission): boolean {
  return ((readMask(mask) >> BigInt(BITS[permission])) & 1n) === 1n;
}

const EVERYTHING = maskOf(...(Object.keys(BITS) as Permission[]));
const MEMBER = maskOf(
  "SEND_CHAT",
  "SEND_DANMAKU",
  "ADD_MOVIE",
  "DELETE_MOVIE_SELF",
  "EDIT_MOVIE_SELF",
  "VIEW_PLAYLIST",
  "VIEW_MEMBER_LIST",
  "VIEW_CHAT_HISTORY",
);

/** What a role may where the room says nothing of its own. */
export const SITE_DEFAULTS: Record<RoomRole, bigint> = {
  guest: maskOf("VIEW_PLAYLIST"),
  member: MEMBER,
  admin: EVERYTHING & ~maskOf("MANAGE_ADMIN", "EXPORT_DATA", "DELETE_ROOM"),
  creator: EVERYTHING,
};

export type Preset = "together" | "host_only" | "lecture";

const TALKING_GUEST = maskOf(
  "VIEW_PLAYLIST",
  "SEND_CHAT",
  "SEND_DANMAKU",
  "VIEW_MEMBER_LIST",
  "VIEW_CHAT_HISTORY",
);

/** Everything that moves the room. */
export const STEERING = maskOf(
  "PLAY_CONTROL",
  "CHANGE_CURRENT_MOVIE",
  "CHANGE_PLAYBACK_RATE",
  "REORDER_PLAYLIST",
);

export const PRESET_DEFAULTS: Record<Preset, { member: bigint; guest: bigint }> = {
  together: { member: MEMBER | STEERING, guest: TALKING_GUEST },
  host_only: { member: MEMBER, guest: TALKING_GUEST },
  lecture: { member: MEMBER & ~maskOf("ADD_MOVIE", "SEND_DANMAKU"), guest: maskOf("VIEW_PLAYLIST") },
};
