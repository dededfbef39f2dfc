/** The permission bits of the one 64-bit space, and what a mask allows. Masks are decimal strings: 2^53 is not enough. */

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
  KICK_MEMBER: 21,
  SET_ROOM_SETTINGS: 30,
  SET_ROOM_PASSWORD: 31,
  DELETE_CHAT: 32,
  DELETE_ROOM: 35,
  VIEW_PLAYLIST: 40,
  VIEW_MEMBER_LIST: 41,
  VIEW_CHAT_HISTORY: 42,
} as const;

export type Permission = keyof typeof BITS;

/** Whether a mask holds a permission; what is no mask holds none. */
export function allows(mask: string | undefined, permission: Permission): boolean {
  if (mask === undefined || !/^\d{1,20}$/.test(mask)) return false;
  return ((BigInt(mask) >> BigInt(BITS[permission])) & 1n) === 1n;
}
