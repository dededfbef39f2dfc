/** The talk: messages, what happened, and the line to write on. Text is only ever text. */

import type { TargetedKeyboardEvent } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Icon } from "../ui/icons";
import type { ChatEntry } from "./chat_log";
import { ChatLine } from "./chat_message";
import { Composer } from "./composer";
import type { RoomStore } from "./room_store";

const NEAR_BOTTOM_PX = 60;

export function ChatPanel({ store }: { store: RoomStore }) {
  const entries = store.log.entries.value;
  const list = useRef<HTMLDivElement>(null);
  const stick = useRef(true);
  const [below, setBelow] = useState(false);
  const lastId = idOf(entries.at(-1));

  useLayoutEffect(() => {
    const { current } = list;
    if (current === null) return;
    const last = entries.at(-1);
    const mine = last?.kind === "message" && last.message.user.id === store.you.peek()?.user?.id;
    if (stick.current || mine) current.scrollTop = current.scrollHeight;
    else setBelow(true);
  }, [lastId]);

  const onScroll = () => {
    const { current } = list;
    if (current === null) return;
    stick.current = current.scrollHeight - current.scrollTop - current.clientHeight < NEAR_BOTTOM_PX;
    if (stick.current) setBelow(false);
  };

  // The panel grows and shrinks with the phone's keyboard: the end stays in sight.
  useEffect(() => {
    const { current } = list;
    if (current === null) return;
    const observer = new ResizeObserver(() => {
      if (stick.current) current.scrollTop = current.scrollHeight;
    });
    observer.observe(current);
    return () => observer.disconnect();
  }, []);

  const earlier = store.log.earlier.value;
  const last = entries.findLastIndex((entry) => entry.kind === "message");
  return (
    <div class="panel chat">
      <div class="messages" ref={list} onScroll={onScroll} role="log" aria-live="polite" aria-label="Chat">
        <ol onKeyDown={walk}>
          {earlier !== "none" && (
            <li class="earlier">
              <button
                type="button"
                class="quiet"
                disabled={earlier === "loading"}
                onClick={() => void store.loadEarlier()}
              >
                {earlier === "loading" ? "Loading…" : "Earlier messages"}
              </button>
            </li>
          )}
          {entries.length === 0 && (
            <li class="empty">
              <Icon name="chat" size={28} />
              <span>Nobody has said anything yet.</span>
            </li>
          )}
          {entries.map((entry, index) => (
            <ChatLine
              key={idOf(entry)}
              entry={entry}
              before={entries[index - 1]}
              store={store}
              stop={index === last}
            />
          ))}
        </ol>
      </div>
      {below && (
        <button
          type="button"
          class="new-below"
          onClick={() => {
            stick.current = true;
            setBelow(false);
            list.current?.scrollTo({ top: list.current.scrollHeight, behavior: "smooth" });
          }}
        >
          New messages ↓
        </button>
      )}
      <Composer store={store} />
    </div>
  );
}

function walk(event: TargetedKeyboardEvent<HTMLElement>): void {
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  const from = (event.target as HTMLElement).closest(".message");
  if (step === undefined || from === null) return;
  event.preventDefault();
  const all = [...event.currentTarget.querySelectorAll<HTMLElement>(".message")];
  all[all.indexOf(from as HTMLElement) + step]?.focus();
}

function idOf(entry: ChatEntry | undefined): string {
  return entry === undefined ? "" : entry.kind === "note" ? entry.id : entry.message.id;
}
