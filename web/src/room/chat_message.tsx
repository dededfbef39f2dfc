/** One line of the talk: a message with what it answers, or a note about what happened. */

import type { ChatMessage } from "../contract";
import { hueOf, timeOfDay, wholeTime } from "../format";
import { api } from "../net/api";
import { Avatar, IconButton } from "../ui/basics";
import { attempt } from "./attempt";
import type { ChatEntry } from "./chat_log";
import type { RoomStore } from "./room_store";

/** Messages of one person closer than this stand together. */
const GROUP_MS = 4 * 60_000;
const FLASH_MS = 1_600;

interface Props {
  entry: ChatEntry;
  before: ChatEntry | undefined;
  store: RoomStore;
  /** Whether Tab stops here: at one message of the list, from which arrow keys go to the others. */
  stop: boolean;
}

export function ChatLine({ entry, before, store, stop }: Props) {
  if (entry.kind === "note") {
    return (
      <li class="note">
        {entry.text} <Time at={entry.at} />
      </li>
    );
  }
  const { message } = entry;
  const follows =
    before?.kind === "message" &&
    !message.reply_to &&
    before.message.user.id === message.user.id &&
    message.at - before.message.at < GROUP_MS;
  const settled = !entry.pending && !entry.failed;
  return (
    <li
      id={`message-${message.id}`}
      tabIndex={stop ? 0 : -1}
      class={`message${follows ? " follows" : ""}${entry.pending && !entry.failed ? " pending" : ""}`}
    >
      {follows ? (
        <span class="aside-time">
          <Time at={message.at} narrow />
        </span>
      ) : (
        <Avatar id={message.user.id} name={message.user.username} small />
      )}
      <div>
        {!follows && (
          <div class="message-head">
            <b style={{ "--hue": String(hueOf(message.user.id)) }}>{message.user.username}</b>
            <Time at={message.at} />
          </div>
        )}
        {message.reply_to && <Quote id={message.reply_to} store={store} />}
        <p>{message.text}</p>
        {entry.failed && (
          <p class="error-text">
            {entry.failed}{" "}
            <button
              type="button"
              class="link"
              onClick={() => void store.say(message.text, message.reply_to, message.id)}
            >
              Send again
            </button>
          </p>
        )}
      </div>
      {settled && <Actions message={message} store={store} />}
    </li>
  );
}

function Actions({ message, store }: { message: ChatMessage; store: RoomStore }) {
  return (
    <span class="row-actions">
      {store.can("SEND_CHAT") && (
        <IconButton
          icon="reply"
          size={15}
          label={`Answer ${message.user.username}`}
          onClick={() => {
            store.replyTo.value = message;
          }}
        />
      )}
      {store.can("DELETE_CHAT") && (
        <IconButton
          icon="trash"
          size={15}
          label="Delete this message for everybody"
          onClick={() => void attempt(api.deleteMessage(store.id, message.id))}
        />
      )}
    </span>
  );
}

function Time({ at, narrow }: { at: number; narrow?: boolean }) {
  return (
    <time dateTime={new Date(at).toISOString()} title={wholeTime(at)}>
      {narrow ? timeOfDay(at, "en-GB") : timeOfDay(at)}
    </time>
  );
}

/** What a message answers; a press goes there. */
function Quote({ id, store }: { id: string; store: RoomStore }) {
  const found = store.log.entries.value.find((entry) => entry.kind === "message" && entry.message.id === id);
  if (found?.kind !== "message") return <span class="quote">An earlier message</span>;
  const { message } = found;
  return (
    <button type="button" class="quote" onClick={() => show(message.id)}>
      <b>{message.user.username}</b> {message.text}
    </button>
  );
}

function show(id: string): void {
  const line = document.getElementById(`message-${id}`);
  if (line === null) return;
  line.scrollIntoView({ block: "center" });
  line.focus({ preventScroll: true });
  line.classList.add("shown");
  setTimeout(() => line.classList.remove("shown"), FLASH_MS);
}
