/** The line to write on: into the chat, or over the picture. */

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { DanmakuMode, DanmakuSize } from "../contract";
import { preferences } from "../preferences";
import { IconButton } from "../ui/basics";
import { Icon } from "../ui/icons";
import type { RoomStore } from "./room_store";

const CHAT_MAX = 2_000;
const DANMAKU_MAX = 100;
const COLORS = ["#ffffff", "#ffd166", "#ff7b7b", "#7be495", "#6fc3ff", "#d6a2ff"];

export function Composer({ store }: { store: RoomStore }) {
  const area = useRef<HTMLTextAreaElement>(null);
  const text = store.draft.value;
  const setText = (value: string) => {
    store.draft.value = value;
  };
  const [flying, setFlying] = useState(false);
  const mayChat = store.can("SEND_CHAT");
  const mayFly = store.can("SEND_DANMAKU");
  const fly = mayFly && (flying || !mayChat);
  const allowed = fly ? mayFly : mayChat;
  const color = preferences.danmakuColor.value;
  const mode = preferences.danmakuMode.value as DanmakuMode;
  const size = preferences.danmakuSize.value as DanmakuSize;
  const answered = fly ? null : store.replyTo.value;
  useLayoutEffect(() => {
    if (answered !== null) area.current?.focus();
  }, [answered]);

  const onSend = async (event?: Event) => {
    event?.preventDefault();
    const said = text.trim();
    if (!said || !allowed) return;
    setText("");
    if (area.current) area.current.style.height = "";
    if (!fly) {
      store.replyTo.value = null;
      await store.say(said, answered?.id);
    } else if (!(await store.sendDanmaku(said, { color, mode, size }))) setText(said);
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
            onChange={(event) => (preferences.danmakuMode.value = event.currentTarget.value)}
          >
            <option value="scroll">Flying</option>
            <option value="top">Top</option>
            <option value="bottom">Bottom</option>
          </select>
          <select
            aria-label="Size"
            value={size}
            onChange={(event) => (preferences.danmakuSize.value = event.currentTarget.value)}
          >
            <option value="small">Small</option>
            <option value="normal">Normal</option>
            <option value="large">Large</option>
          </select>
        </div>
      )}
      {answered && (
        <div class="answering">
          <span>
            Answering <b>{answered.user.username}</b>: {answered.text}
          </span>
          <IconButton
            icon="close"
            size={14}
            label="Answer nobody"
            onClick={() => {
              store.replyTo.value = null;
              area.current?.focus();
            }}
          />
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
          ref={area}
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
            if (event.key === "Escape" && answered) store.replyTo.value = null;
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            void onSend();
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
