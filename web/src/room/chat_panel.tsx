/** The talk: messages, what happened, and the line to write on. Text is only ever text. */

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { DanmakuMode, DanmakuSize } from "../contract";
import { hueOf, timeOfDay } from "../format";
import { api } from "../net/api";
import { sentenceOf } from "../net/problem";
import { preferences } from "../preferences";
import { Avatar, IconButton } from "../ui/basics";
import { Icon } from "../ui/icons";
import { toast } from "../ui/toasts";
import type { ChatEntry, RoomStore } from "./room_store";

const CHAT_MAX = 2_000;
const DANMAKU_MAX = 100;
const COLORS = ["#ffffff", "#ffd166", "#ff7b7b", "#7be495", "#6fc3ff", "#d6a2ff"];
/** Messages of one person closer than this stand together. */
const GROUP_MS = 4 * 60_000;
const NEAR_BOTTOM_PX = 60;

export function ChatPanel({ store }: { store: RoomStore }) {
  const entries = store.chat.value;
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

  const earlier = store.earlierChat.value;
  return (
    <div class="panel chat">
      <div class="messages" ref={list} onScroll={onScroll} role="log" aria-live="polite" aria-label="Chat">
        <ol>
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
            <Entry key={idOf(entry)} entry={entry} before={entries[index - 1]} store={store} />
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

function idOf(entry: ChatEntry | undefined): string {
  return entry === undefined ? "" : entry.kind === "note" ? entry.id : entry.message.id;
}

function Entry({
  entry,
  before,
  store,
}: {
  entry: ChatEntry;
  before: ChatEntry | undefined;
  store: RoomStore;
}) {
  if (entry.kind === "note") {
    return (
      <li class="note">
        {entry.text} <time>{timeOfDay(entry.at)}</time>
      </li>
    );
  }
  const { message } = entry;
  const follows =
    before?.kind === "message" &&
    before.message.user.id === message.user.id &&
    message.at - before.message.at < GROUP_MS;
  const onDelete = () => {
    api.deleteMessage(store.id, message.id).catch((error: unknown) => toast(sentenceOf(error), "error"));
  };
  return (
    <li class={`message${follows ? " follows" : ""}${entry.pending ? " pending" : ""}`}>
      {!follows && <Avatar id={message.user.id} name={message.user.username} small />}
      <div>
        {!follows && (
          <div class="message-head">
            <b style={{ "--hue": String(hueOf(message.user.id)) }}>{message.user.username}</b>
            <time>{timeOfDay(message.at)}</time>
          </div>
        )}
        <p>{message.text}</p>
        {entry.failed && (
          <p class="error-text">
            {entry.failed}{" "}
            <button type="button" class="link" onClick={() => void store.say(message.text, message.id)}>
              Send again
            </button>
          </p>
        )}
      </div>
      {store.can("DELETE_CHAT") && !entry.pending && (
        <IconButton
          icon="close"
          size={14}
          class="row-action"
          label="Delete this message"
          onClick={onDelete}
        />
      )}
    </li>
  );
}

function Composer({ store }: { store: RoomStore }) {
  const [text, setText] = useState("");
  const [flying, setFlying] = useState(false);
  const mayChat = store.can("SEND_CHAT");
  const mayFly = store.can("SEND_DANMAKU");
  const fly = mayFly && (flying || !mayChat);
  const allowed = fly ? mayFly : mayChat;
  const color = preferences.danmakuColor.value;
  const [mode, setMode] = useState<DanmakuMode>("scroll");
  const [size, setSize] = useState<DanmakuSize>("normal");

  const onSend = async (event?: Event) => {
    event?.preventDefault();
    const said = text.trim();
    if (!said || !allowed) return;
    setText("");
    if (!fly) await store.say(said);
    else if (!(await store.sendDanmaku(said, { color, mode, size }))) setText(said);
  };
  return (
    <form class="composer" onSubmit={(event) => void onSend(event)}>
      {fly && (
        <div class="fly-options">
          <fieldset class="swatches">
            <legend class="visually-hidden">Colour</legend>
            {COLORS.map((value) => (
              <button
                type="button"
                key={value}
                style={{ background: value }}
                aria-label={`Colour ${value}`}
                aria-pressed={color === value}
                onClick={() => (preferences.danmakuColor.value = value)}
              />
            ))}
          </fieldset>
          <select
            aria-label="Where it goes"
            value={mode}
            onChange={(event) => setMode(event.currentTarget.value as DanmakuMode)}
          >
            <option value="scroll">Flying</option>
            <option value="top">Top</option>
            <option value="bottom">Bottom</option>
          </select>
          <select
            aria-label="Size"
            value={size}
            onChange={(event) => setSize(event.currentTarget.value as DanmakuSize)}
          >
            <option value="small">Small</option>
            <option value="normal">Normal</option>
            <option value="large">Large</option>
          </select>
        </div>
      )}
      <div class="composer-row">
        <IconButton
          icon="danmaku"
          label={fly ? "Write in the chat instead" : "Let it fly over the picture"}
          aria-pressed={fly}
          class={fly ? "on" : ""}
          disabled={!mayFly || !mayChat}
          onClick={() => setFlying(!flying)}
        />
        <textarea
          rows={1}
          value={text}
          maxLength={fly ? DANMAKU_MAX : CHAT_MAX}
          disabled={!allowed}
          aria-label={fly ? "Comment over the picture" : "Message"}
          placeholder={
            !allowed ? "You may read here, not write" : fly ? "Fly over the picture…" : "Say something…"
          }
          onInput={(event) => {
            setText(event.currentTarget.value);
            grow(event.currentTarget);
          }}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            void onSend();
            event.currentTarget.style.height = "";
          }}
        />
        <button type="submit" class="icon-button send" aria-label="Send" disabled={!allowed || !text.trim()}>
          <Icon name="send" />
        </button>
      </div>
    </form>
  );
}

function grow(area: HTMLTextAreaElement): void {
  area.style.height = "";
  area.style.height = `${Math.min(area.scrollHeight, 120)}px`;
}
