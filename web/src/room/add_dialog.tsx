/** Add videos: one link with a title, or as many as are pasted, into whatever folder. */

import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { counted } from "../format";
import { ADDED_AT_ONCE, api, type ItemDraft } from "../net/api";
import { sentenceOf } from "../net/problem";
import { probeDuration } from "../sync/probe";
import { Dialog, Field, Select } from "../ui/basics";
import { type Pasted, problemOf, readPasted } from "./pasted";
import { foldersFor } from "./playlist_tree";
import type { RoomStore } from "./room_store";

/** Of more than these the length is learned when they are played: asking takes a connection each. */
const PROBED = 12;
const PREVIEWED = 4;

export function AddDialog({ store, onClose }: { store: RoomStore; onClose: () => void }) {
  const [text, setText] = useState("");
  const [title, setTitle] = useState("");
  const [into, setInto] = useState(store.into.peek());
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(
    () => () => {
      store.into.value = null;
    },
    [store],
  );
  const reading = readPasted(text);
  const { videos } = reading;
  const mayChoose = store.can("CHANGE_CURRENT_MOVIE");
  const idle = store.state.value?.item == null;
  const folders = foldersFor(store.tree.value, null);

  const add = async (play: boolean) => {
    const wrong = problemOf(reading);
    if (wrong !== null || videos.length === 0) {
      setProblem(wrong ?? "Paste a link first.");
      return;
    }
    setBusy(true);
    setProblem(null);
    try {
      const [only] = videos;
      const wanted =
        videos.length === 1 && only && title.trim() ? [{ ...only, title: title.trim() }] : videos;
      const first = await addAll(store, wanted, into);
      if (into !== null) store.setOpen(into, true);
      onClose();
      if (play && first !== undefined) await store.playItem(first);
    } catch (error) {
      setProblem(sentenceOf(error));
      setBusy(false);
    }
  };
  const button = () => {
    if (busy) return "Adding…";
    if (mayChoose && idle) return "Add and play";
    return videos.length > 1 ? `Add ${counted(videos.length, "video")}` : "Add to the playlist";
  };
  return (
    <Dialog title="Add videos" onClose={onClose}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void add(mayChoose && idle);
        }}
      >
        <Links
          text={text}
          problem={problem}
          onText={(value) => {
            setText(value);
            setProblem(null);
          }}
        />
        {videos.length > 1 ? (
          <Preview videos={videos} />
        ) : (
          <Field
            label="Title"
            value={title}
            maxLength={200}
            autocomplete="off"
            placeholder={videos[0]?.title ?? "From the link, unless you give one"}
            onInput={(event) => setTitle(event.currentTarget.value)}
          />
        )}
        {folders.length > 0 && (
          <Select
            label="Into"
            value={into ?? ""}
            options={[
              ["", "The playlist, in no folder"],
              ...folders.map(
                ({ item, depth }) => [item.id, `${"\u2003".repeat(depth)}${item.title}`] as const,
              ),
            ]}
            onChange={(value) => setInto(value || null)}
          />
        )}
        <div class="row end">
          {mayChoose && !idle && (
            <button type="button" disabled={busy || videos.length === 0} onClick={() => void add(true)}>
              {videos.length > 1 ? "Play the first now" : "Play it now"}
            </button>
          )}
          <button type="submit" class="primary" disabled={busy || text.trim() === ""}>
            {button()}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** Adds them in their order; gives the first one's id. What was added before something went wrong stays. */
async function addAll(
  store: RoomStore,
  videos: readonly Pasted[],
  into: string | null,
): Promise<string | undefined> {
  const found = await Promise.all(
    videos.slice(0, PROBED).map((video) => video.duration ?? probeDuration(video.url)),
  );
  const drafts = videos.map((video, index): ItemDraft => {
    const duration = video.duration ?? found[index] ?? null;
    return { kind: "url", url: video.url, title: video.title, ...(duration === null ? {} : { duration }) };
  });
  const [only] = drafts;
  if (drafts.length === 1 && only !== undefined) {
    return (await api.addItem(store.id, into === null ? only : { ...only, parent: into })).id;
  }
  let first: string | undefined;
  for (let at = 0; at < drafts.length; at += ADDED_AT_ONCE) {
    const { items } = await api.addItems(store.id, drafts.slice(at, at + ADDED_AT_ONCE), into ?? undefined);
    first ??= items[0]?.id;
  }
  return first;
}

/** One line that grows with what is pasted; Enter adds a single link, in several lines it is a new line. */
function Links({
  text,
  problem,
  onText,
}: {
  text: string;
  problem: string | null;
  onText: (text: string) => void;
}) {
  const id = useId();
  const area = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => area.current?.focus(), []);
  const lines = text.split("\n").length;
  return (
    <div class="field">
      <label for={id}>Link to the video</label>
      <textarea
        id={id}
        ref={area}
        value={text}
        rows={Math.min(6, lines)}
        required
        spellcheck={false}
        autocomplete="off"
        inputMode="url"
        placeholder="https://…/film.mp4"
        wrap="off"
        aria-invalid={problem ? true : undefined}
        aria-describedby={`${id}-d`}
        onInput={(event) => onText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
          if (lines > 1 && !event.ctrlKey && !event.metaKey) return;
          event.preventDefault();
          event.currentTarget.form?.requestSubmit();
        }}
      />
      <small id={`${id}-d`} class={problem ? "error-text" : ""} role={problem ? "alert" : undefined}>
        {problem ?? "A file (MP4, WebM), HLS (.m3u8) or FLV. Paste several, one a line, to add them all."}
      </small>
    </div>
  );
}

function Preview({ videos }: { videos: readonly Pasted[] }) {
  return (
    <div class="field">
      <span class="muted">{counted(videos.length, "video")}, in this order</span>
      <ol class="preview">
        {videos.slice(0, PREVIEWED).map((video, index) => (
          <li key={index}>{video.title}</li>
        ))}
        {videos.length > PREVIEWED && <li class="muted">and {videos.length - PREVIEWED} more</li>}
      </ol>
    </div>
  );
}
