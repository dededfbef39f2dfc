/** The talk as it is shown: messages in their order, one's own before they are settled, and what happened between. */

import { signal } from "@preact/signals";
import type { ChatMessage } from "../contract";

/** What the chat shows: messages, and lines about what happened. */
export type ChatEntry =
  | { kind: "message"; message: ChatMessage; pending?: boolean; failed?: string }
  | { kind: "note"; id: string; text: string; at: number };

const KEPT = 500;
/** With what was asked for of earlier times. */
const KEPT_AT_MOST = 4 * KEPT;
const PAGE = 50;
/** The same thing said again so soon is one thing that was done in steps. */
const SAME_MS = 3_000;

export class ChatLog {
  readonly entries = signal<ChatEntry[]>([]);
  /** Whether there are messages before the oldest one here. */
  readonly earlier = signal<"more" | "loading" | "none">("none");

  /** Messages from the server; `clientId`: the name under which the first was shown before it was settled. */
  take(messages: readonly ChatMessage[], clientId?: string): void {
    const known = new Map<string, ChatEntry>();
    for (const entry of this.entries.peek()) {
      if (entry.kind === "note") known.set(entry.id, entry);
      else if (entry.message.id !== clientId) known.set(entry.message.id, entry);
    }
    for (const message of messages) known.set(message.id, { kind: "message", message });
    const entries = [...known.values()].sort((a, b) => timeOf(a) - timeOf(b));
    if (this.earlier.peek() === "none" && messages.length >= PAGE) this.earlier.value = "more";
    this.entries.value = entries.slice(-KEPT_AT_MOST);
  }

  /** A message of one's own, on its way. */
  pend(message: ChatMessage): void {
    this.remove(message.id);
    this.entries.value = [...this.entries.peek(), { kind: "message", message, pending: true }];
  }

  /** It did not arrive: why, in a sentence. */
  fail(id: string, sentence: string): void {
    this.entries.value = this.entries
      .peek()
      .map((entry) =>
        entry.kind === "message" && entry.message.id === id ? { ...entry, failed: sentence } : entry,
      );
  }

  remove(id: string): void {
    this.entries.value = this.entries
      .peek()
      .filter((entry) => entry.kind !== "message" || entry.message.id !== id);
  }

  /** Something that happened. */
  note(id: string, text: string, at: number): void {
    const entries = this.entries.peek();
    const last = entries.at(-1);
    if (last?.kind === "note" && last.text === text && at - last.at < SAME_MS) return;
    this.entries.value = [...entries.slice(1 - KEPT), { kind: "note", id, text, at }];
  }

  /** The oldest message that the server has. */
  oldest(): ChatMessage | null {
    const entry = this.entries.peek().find((e) => e.kind === "message" && !e.pending);
    return entry?.kind === "message" ? entry.message : null;
  }

  /** What the server had before the oldest one. */
  takeEarlier(messages: readonly ChatMessage[]): void {
    this.take(messages);
    this.earlier.value = messages.length >= PAGE ? "more" : "none";
  }
}

function timeOf(entry: ChatEntry): number {
  return entry.kind === "message" ? entry.message.at : entry.at;
}
