/** How many messages came that nobody has looked at. Pure. */

import type { ChatEntry } from "./chat_log";

/** When the newest message was said, epoch ms; 0 where nobody has said anything. */
export function newestAt(entries: readonly ChatEntry[]): number {
  return entries.reduce((at, entry) => (entry.kind === "message" ? Math.max(at, entry.message.at) : at), 0);
}

/** Others' messages said after `seenAt`; history that is loaded later is no news. */
export function unreadSince(entries: readonly ChatEntry[], seenAt: number, me: string | undefined): number {
  return entries.filter(
    (entry) => entry.kind === "message" && entry.message.at > seenAt && entry.message.user.id !== me,
  ).length;
}
