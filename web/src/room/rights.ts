/** What one may do to another member, and a member's own rights as a handful of switches. */

import type { Member, RoomSettings, You } from "../contract";
import { allows, maskOf, type Permission, readMask, SITE_DEFAULTS, STEERING } from "../permissions";

export type MemberAction =
  | "let_in"
  | "turn_away"
  | "make_admin"
  | "make_member"
  | "rights"
  | "make_owner"
  | "kick"
  | "ban"
  | "unban";

/** The actions that the server would let this person take on that member. */
export function actionsOn(you: You | null, member: Member): MemberAction[] {
  if (you === null || member.role === "creator" || member.user.id === you.user?.id) return [];
  const may = (permission: Permission) => allows(you.permissions, permission);
  if (member.state === "pending") {
    const asked: MemberAction[] = may("APPROVE_MEMBER") ? ["let_in", "turn_away"] : [];
    return may("BAN_MEMBER") ? [...asked, "ban"] : asked;
  }
  if (member.role === "admin" && !may("MANAGE_ADMIN")) return [];
  if (member.state === "banned") return may("BAN_MEMBER") ? ["unban"] : [];
  const actions: MemberAction[] = [];
  if (member.role === "member" && !member.user.guest && may("MANAGE_ADMIN")) actions.push("make_admin");
  if (member.role === "admin" || (member.role === "guest" && may("SET_MEMBER_PERMISSIONS")))
    actions.push("make_member");
  if (may("SET_MEMBER_PERMISSIONS")) actions.push("rights");
  if (you.role === "creator" && !member.user.guest) actions.push("make_owner");
  if (may("KICK_MEMBER")) actions.push("kick");
  if (may("BAN_MEMBER")) actions.push("ban");
  return actions;
}

type ListAct = "added" | "edited" | "moved" | "removed" | "cleared";

/** What it takes to take back one's own change of the playlist, and somebody else's. */
const UNDO_WANTS: Record<ListAct, [Permission, Permission]> = {
  added: ["DELETE_MOVIE_SELF", "DELETE_MOVIE_ANY"],
  edited: ["EDIT_MOVIE_SELF", "EDIT_MOVIE_ANY"],
  moved: ["REORDER_PLAYLIST", "REORDER_PLAYLIST"],
  removed: ["ADD_MOVIE", "DELETE_MOVIE_ANY"],
  cleared: ["CLEAR_PLAYLIST", "CLEAR_PLAYLIST"],
};

/** Whether the server would let this person take that change of the playlist back. */
export function mayUndoList(you: You | null, change: { change: ListAct; by: string }): boolean {
  const [own, ofOthers] = UNDO_WANTS[change.change];
  return allows(you?.permissions, you?.user?.id === change.by ? own : ofOthers);
}

export interface Right {
  label: string;
  bits: bigint;
}

export const RIGHTS: readonly Right[] = [
  { label: "Play, pause, seek and choose what is on", bits: STEERING },
  { label: "Add videos", bits: maskOf("ADD_MOVIE") },
  { label: "Go live", bits: maskOf("PUBLISH_LIVE") },
  { label: "Write in the chat", bits: maskOf("SEND_CHAT") },
  { label: "Comments over the picture", bits: maskOf("SEND_DANMAKU") },
  { label: "Delete messages of others", bits: maskOf("DELETE_CHAT") },
  { label: "Put people out", bits: maskOf("KICK_MEMBER") },
];

/** Whether a mask has all of a right. */
export function has(mask: bigint, right: Right): boolean {
  return (mask & right.bits) === right.bits;
}

/** The mask after switching a right on or off. */
export function switched(mask: bigint, right: Right, on: boolean): bigint {
  return on ? mask | right.bits : mask & ~right.bits;
}

/** How a member must differ from his role to end up with exactly these rights. */
export function differenceFor(
  member: Member,
  settings: RoomSettings,
  wanted: bigint,
): { added: string; removed: string } {
  const own = settings.role_defaults?.[member.role];
  const base = own === undefined ? SITE_DEFAULTS[member.role] : readMask(own);
  return { added: String(wanted & ~base), removed: String(base & ~wanted) };
}
