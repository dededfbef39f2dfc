/** What is said over the picture: what somebody did, with a way back, and whom the room waits for. */

import { useEffect, useState } from "preact/hooks";
import type { Hold } from "../contract";
import { names } from "../format";
import type { SyncEngine } from "../sync/engine";
import { useBeat } from "../ui/beat";
import type { RoomStore } from "./room_store";

const TOLD_MS = 3_500;
/** What may be undone stands long enough to be read, thought about and pressed. */
const UNDOABLE_MS = 8_000;

/** What somebody just did, for a moment. */
export function ToldNotice({ store }: { store: RoomStore }) {
  const told = store.told.value;
  const [hidden, setHidden] = useState(0);
  const [kept, setKept] = useState(false);
  const undo = told !== null && told.undo > 0 && store.can("PLAY_CONTROL");
  const shownMs = undo ? UNDOABLE_MS : TOLD_MS;
  useEffect(() => {
    if (told === null || kept) return;
    const timer = setTimeout(() => setHidden(told.id), shownMs);
    return () => clearTimeout(timer);
  }, [told?.id, shownMs, kept]);
  return (
    <div class="told" role="status" aria-live="polite">
      {told !== null && hidden < told.id && (
        <p
          key={told.id}
          class={kept ? "kept" : ""}
          style={{ "--shown": `${shownMs}ms` }}
          onPointerEnter={() => setKept(true)}
          onPointerLeave={() => setKept(false)}
          onFocusIn={() => setKept(true)}
          onFocusOut={() => setKept(false)}
        >
          <span>{told.text}</span>
          {undo && (
            <button
              type="button"
              title="Undo (U)"
              onClick={() => {
                setHidden(told.id);
                setKept(false);
                void store.undo();
              }}
            >
              Undo
            </button>
          )}
        </p>
      )}
    </div>
  );
}

/** Whom a hold is for, to the one who reads it. Pure. */
export function holdSentence(hold: Hold, me: string | undefined): { title: string; without: string } {
  const others = hold.members.filter((member) => member.id !== me);
  const mine = others.length < hold.members.length;
  if (others.length === 0)
    return { title: "The room waits until you have loaded", without: "Go on without me" };
  const all = mine ? [...others, { username: "you" }] : others;
  return { title: `Waiting for ${names(all)}…`, without: "Go on without them" };
}

/** The room stands still for somebody: for whom, how long at most, and the way to go on. */
export function HoldNotice({ store, engine }: { store: RoomStore; engine: SyncEngine }) {
  const hold = store.state.value?.hold;
  // In free mode one watches at one's own place, whoever waits.
  if (!hold || engine.free.value) return null;
  return <Holding store={store} engine={engine} hold={hold} />;
}

function Holding({ store, engine, hold }: { store: RoomStore; engine: SyncEngine; hold: Hold }) {
  useBeat(250);
  const { title, without } = holdSentence(hold, store.you.value?.user?.id);
  const left = Math.ceil((hold.until - engine.now()) / 1000);
  return (
    <section class="hold" aria-label="The room waits">
      <div>
        <span class="spinner" aria-hidden="true" />
        <p role="status">{title}</p>
        {/* Not for screen readers: they would read every second of it. */}
        <small aria-hidden="true">{left > 0 ? `Goes on in ${left} s at the latest` : "Going on…"}</small>
      </div>
      {store.can("PLAY_CONTROL") && (
        <button type="button" onClick={() => void store.command({ action: "play" })}>
          {without}
        </button>
      )}
    </section>
  );
}
