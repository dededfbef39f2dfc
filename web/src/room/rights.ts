/** What one may do to another member, and a member's own rights as a handful of switches. */

import type { Member, RoomSettings, You } from "../contract";
import { allows, maskOf, readMask, SITE_DEFAULTS, STEERING } from "../permissions";

export type MemberAction = "make_admin" | "make_member" | "rights" | "kick" | "ban" | "unban";

/** The actions that the server would let this person take on that member. */
export function actionsOn(you: You | null, member: Member): MemberAction[] {
  if (you === null || member.role === "creator" || member.user.id === you.user?.id) return [];
  const may = (permission: Parameters<typeof allows>[1]) => allows(you.permissions, permission);
  if (member.role === "admin" && !may("MANAGE_ADMIN")) return [];
  if (member.state === "banned") return may("BAN_MEMBER") ? ["unban"] : [];
  const actions: MemberAction[] = [];
  if (member.role === "member" && !member.user.guest && may("MANAGE_ADMIN")) actions.push("make_admin");
  if (member.role === "admin" || (member.role === "guest" && may("SET_MEMBER_PERMISSIONS")))
    actions.push("make_member");
  if (may("SET_MEMBER_PERMISSIONS")) actions.push("rights");
  if (may("KICK_MEMBER")) actions.push("kick");
  if (may("BAN_MEMBER")) actions.push("ban");
  return actions;
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
