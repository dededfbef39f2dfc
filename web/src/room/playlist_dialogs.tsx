/** What opens over the playlist: change an item, make a folder, move somewhere else, what was played. */

import { useEffect, useState } from "preact/hooks";
import type { Item, Play } from "../contract";
import { dayAndTime } from "../format";
import { api } from "../net/api";
import { sentenceOf } from "../net/problem";
import { Dialog, Field, FormError, Spinner } from "../ui/basics";
import { foldersFor } from "./playlist_tree";
import type { RoomStore } from "./room_store";

interface Props {
  store: RoomStore;
  onClose: () => void;
}

/** Work of a form: whether it runs, and what came of it in words. It closes when it is done. */
function useForm(onClose: () => void) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const submit = (work: () => Promise<unknown>) => async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      await work();
      onClose();
    } catch (error) {
      setProblem(sentenceOf(error));
      setBusy(false);
    }
  };
  return { busy, problem, submit };
}

function Foot({ yes, busy, onClose }: { yes: string; busy: boolean; onClose: () => void }) {
  return (
    <div class="row end">
      <button type="button" onClick={onClose}>
        Cancel
      </button>
      <button type="submit" class="primary" disabled={busy}>
        {yes}
      </button>
    </div>
  );
}

export function EditDialog({ store, item, onClose }: Props & { item: Item }) {
  const [title, setTitle] = useState(item.title);
  const [url, setUrl] = useState(item.url ?? "");
  const { busy, problem, submit } = useForm(onClose);
  const onSubmit = submit(async () => {
    const change: { title?: string; url?: string } = {};
    if (title.trim() !== item.title) change.title = title.trim();
    if (item.kind === "url" && url.trim() !== item.url) change.url = url.trim();
    if (Object.keys(change).length > 0) await api.editItem(store.id, item.id, change);
  });
  return (
    <Dialog title={item.kind === "folder" ? "Rename the folder" : "Edit"} onClose={onClose}>
      <form class="stack" onSubmit={(event) => void onSubmit(event)}>
        <Field
          label={item.kind === "folder" ? "Name" : "Title"}
          value={title}
          required
          autoFocus
          maxLength={200}
          onInput={(e) => setTitle(e.currentTarget.value)}
        />
        {item.kind === "url" && (
          <Field
            label="Address"
            type="url"
            value={url}
            required
            maxLength={4096}
            onInput={(e) => setUrl(e.currentTarget.value)}
          />
        )}
        <FormError text={problem} />
        <Foot yes="Save" busy={busy} onClose={onClose} />
      </form>
    </Dialog>
  );
}

/** `parent`: the folder that the new one is made in; null: the top. */
export function FolderDialog({ store, parent, onClose }: Props & { parent: Item | null }) {
  const [title, setTitle] = useState("");
  const { busy, problem, submit } = useForm(onClose);
  const onSubmit = submit(async () => {
    const draft = { kind: "folder" as const, title: title.trim() };
    const made = await api.addItem(store.id, parent ? { ...draft, parent: parent.id } : draft);
    if (parent) store.setOpen(parent.id, true);
    store.setOpen(made.id, true);
  });
  return (
    <Dialog title="New folder" onClose={onClose}>
      <form class="stack" onSubmit={(event) => void onSubmit(event)}>
        <Field
          label={parent ? `Name, in “${parent.title}”` : "Name"}
          value={title}
          required
          autoFocus
          maxLength={200}
          placeholder="Season one"
          autocomplete="off"
          onInput={(e) => setTitle(e.currentTarget.value)}
        />
        <FormError text={problem} />
        <Foot yes="Make the folder" busy={busy || title.trim() === ""} onClose={onClose} />
      </form>
    </Dialog>
  );
}

/** Into another folder, by keyboard or finger: what dragging does with a mouse. */
export function MoveDialog({ store, item, onClose }: Props & { item: Item }) {
  const here = item.parent ?? null;
  const [parent, setParent] = useState<string | null>(here);
  const { busy, problem, submit } = useForm(onClose);
  const onSubmit = submit(async () => {
    if (parent === here) return;
    await api.moveItem(store.id, item.id, { parent, before: null });
    if (parent !== null) store.setOpen(parent, true);
  });
  const choice = (id: string | null, title: string, depth: number) => (
    <label key={id ?? ""} style={{ "--depth": String(depth) }}>
      <input type="radio" name="folder" checked={parent === id} onChange={() => setParent(id)} />
      <span>
        {title}
        {id === here && <small class="muted"> (where it is)</small>}
      </span>
    </label>
  );
  return (
    <Dialog title="Move to" onClose={onClose}>
      <form class="stack" onSubmit={(event) => void onSubmit(event)}>
        <fieldset class="choices folders">
          <legend>“{item.title}” goes to the end of</legend>
          {choice(null, "The playlist, in no folder", 0)}
          {foldersFor(store.tree.value, item.id).map((line) =>
            choice(line.item.id, line.item.title, line.depth + 1),
          )}
        </fieldset>
        <FormError text={problem} />
        <Foot yes="Move" busy={busy || parent === here} onClose={onClose} />
      </form>
    </Dialog>
  );
}

export function HistoryDialog({ store, onClose }: Props) {
  const [plays, setPlays] = useState<Play[] | null>(null);
  const [next, setNext] = useState<string | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const load = (after?: string) =>
    api.played(store.id, after).then(
      (page) => {
        setPlays((before) => [...(before ?? []), ...page.items]);
        setNext(page.next);
      },
      (error) => setProblem(sentenceOf(error)),
    );
  useEffect(() => void load(), []);
  const mayChoose = store.can("CHANGE_CURRENT_MOVIE");
  const there = new Set(store.items.value.map((item) => item.id));
  return (
    <Dialog title="Played before" onClose={onClose}>
      <FormError text={problem} />
      {plays === null && problem === null && (
        <div class="empty">
          <Spinner label="Loading" />
        </div>
      )}
      {plays?.length === 0 && <p class="muted">Nothing was played here yet.</p>}
      <ol class="plays">
        {(plays ?? []).map((play) => (
          <li key={`${play.at} ${play.item}`}>
            <span>
              <b>{play.title}</b>
              <small class="muted">
                {dayAndTime(play.at)}
                {play.by ? ` · ${play.by.username}` : ""}
              </small>
            </span>
            {mayChoose && there.has(play.item) && (
              <button
                type="button"
                class="small"
                aria-label={`Play ${play.title} again`}
                onClick={() => {
                  onClose();
                  void store.playItem(play.item);
                }}
              >
                Play again
              </button>
            )}
          </li>
        ))}
      </ol>
      {next !== null && (
        <button type="button" class="quiet" onClick={() => void load(next)}>
          Earlier ones
        </button>
      )}
    </Dialog>
  );
}
