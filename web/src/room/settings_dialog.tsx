/** The room itself: its name, who may come in and do what, its delay, its end. */

import { useState } from "preact/hooks";
import { api } from "../net/api";
import { sentenceOf } from "../net/problem";
import { Confirm, Dialog, Field, Select } from "../ui/basics";
import { Icon } from "../ui/icons";
import { go } from "../ui/router";
import { toast } from "../ui/toasts";
import { PRESETS } from "./presets";
import { cooldownsFor, formOf, NAME_MAX, patchOf, problemsOf, type RoomForm } from "./room_form";
import type { RoomStore } from "./room_store";

/** Whether the dialog has anything for this person. */
export function mayOpenSettings(store: RoomStore): boolean {
  return store.can("SET_ROOM_SETTINGS") || store.can("SET_ROOM_PASSWORD") || store.can("DELETE_ROOM");
}

export function RoomSettingsDialog({ store, onClose }: { store: RoomStore; onClose: () => void }) {
  const room = store.room.value;
  const [form, setForm] = useState<RoomForm | null>(room === null ? null : formOf(room));
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const [deleting, setDeleting] = useState(false);
  const maySet = store.can("SET_ROOM_SETTINGS");
  if (room === null || form === null) return null;
  if (deleting) return <DeleteRoom store={store} onClose={() => setDeleting(false)} />;
  const edit = (change: Partial<RoomForm>) => setForm({ ...form, ...change });
  const wrong = problemsOf(form);
  const patch = Object.keys(wrong).length > 0 ? null : patchOf(room, form);
  const onSubmit = async (event: Event) => {
    event.preventDefault();
    if (patch === null) return;
    setBusy(true);
    setProblem(null);
    try {
      store.room.value = await api.changeRoom(store.id, patch);
      toast("Saved.");
      onClose();
    } catch (error) {
      setProblem(sentenceOf(error));
      setBusy(false);
    }
  };
  return (
    <Dialog title="Room settings" onClose={onClose}>
      <form class="stack" onSubmit={(event) => void onSubmit(event)}>
        {!maySet && <p class="muted">You may change only a part of this: the rest is shown as it is.</p>}
        <Field
          label="Name of the room"
          value={form.name}
          required
          maxLength={NAME_MAX}
          disabled={!maySet}
          error={wrong.name}
          onInput={(event) => edit({ name: event.currentTarget.value })}
        />
        <section class="group" aria-labelledby="who-comes-in">
          <h3 id="who-comes-in">Who may come in</h3>
          <PasswordChoice store={store} form={form} problem={wrong.password} edit={edit} />
          <label class="check">
            <input
              type="checkbox"
              checked={form.guests}
              disabled={!maySet}
              onChange={(event) => edit({ guests: event.currentTarget.checked })}
            />
            <span>
              Guests without an account
              {room.settings.guest_access !== false && !form.guests && (
                <small>Guests who are in are put out.</small>
              )}
            </span>
          </label>
          <label class="check">
            <input
              type="checkbox"
              checked={form.approval}
              disabled={!maySet}
              onChange={(event) => edit({ approval: event.currentTarget.checked })}
            />
            <span>
              Newcomers wait to be let in
              <small>
                {room.settings.approval && !form.approval
                  ? "Those who wait now come in."
                  : "Somebody who runs the room says yes, or they have an invitation."}
              </small>
            </span>
          </label>
          <label class="check">
            <input
              type="checkbox"
              checked={form.hidden}
              disabled={!maySet}
              onChange={(event) => edit({ hidden: event.currentTarget.checked })}
            />
            <span>
              Hidden
              <small>Not in the list of rooms; only who has the link finds it.</small>
            </span>
          </label>
          <Field
            label="Most members"
            value={form.limit}
            inputMode="numeric"
            maxLength={6}
            placeholder="No limit"
            disabled={!maySet}
            error={wrong.limit}
            onInput={(event) => edit({ limit: event.currentTarget.value })}
          />
          <Select
            label="Who is put out stays out"
            value={form.cooldown}
            options={cooldownsFor(form.cooldown)}
            disabled={!maySet}
            onChange={(cooldown) => edit({ cooldown })}
          />
        </section>
        <ControlChoice form={form} disabled={!maySet} edit={edit} />
        <section class="group" aria-labelledby="keeping-together">
          <h3 id="keeping-together">Keeping together</h3>
          <Field
            label="Live plays this many seconds behind"
            value={form.delay}
            inputMode="decimal"
            maxLength={5}
            disabled={!maySet}
            hint="3 holds for most connections. More is steadier, less is nearer."
            error={wrong.delay}
            onInput={(event) => edit({ delay: event.currentTarget.value })}
          />
          <label class="check">
            <input
              type="checkbox"
              checked={form.wait === "wait"}
              disabled={!maySet}
              onChange={(event) => edit({ wait: event.currentTarget.checked ? "wait" : "ignore" })}
            />
            <span>
              Wait for those who are still loading
              <small>For ten seconds, for a first load a minute, at most; then the room goes on.</small>
            </span>
          </label>
        </section>
        {problem && (
          <p class="form-error" role="alert">
            {problem}
          </p>
        )}
        {store.can("DELETE_ROOM") && (
          <section class="group" aria-label="The end of the room">
            <button type="button" class="quiet danger-text" onClick={() => setDeleting(true)}>
              <Icon name="trash" size={16} /> Delete the room…
            </button>
          </section>
        )}
        <div class="row end dialog-foot">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={busy || patch === null}>
            {busy ? "Saving…" : "Save"}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function PasswordChoice({
  store,
  form,
  problem,
  edit,
}: {
  store: RoomStore;
  form: RoomForm;
  problem: string | undefined;
  edit: (change: Partial<RoomForm>) => void;
}) {
  const locked = store.room.value?.has_password ?? false;
  if (!store.can("SET_ROOM_PASSWORD")) {
    return (
      <p class="muted">
        {locked ? "The room has a password." : "The room has no password."} You may not change that.
      </p>
    );
  }
  const standing =
    form.password === "remove" ? "The password goes" : locked ? "Has a password" : "No password";
  return (
    <div class="stack tight">
      <div class="row">
        <span class="password-state">
          <Icon name="lock" size={16} /> {standing}
        </span>
        <span class="spacer" />
        {form.password === "keep" ? (
          <>
            <button type="button" class="small" onClick={() => edit({ password: "set" })}>
              {locked ? "Change" : "Set one"}
            </button>
            {locked && (
              <button type="button" class="small" onClick={() => edit({ password: "remove" })}>
                Remove
              </button>
            )}
          </>
        ) : (
          <button type="button" class="small" onClick={() => edit({ password: "keep", newPassword: "" })}>
            Undo
          </button>
        )}
      </div>
      {form.password === "set" && (
        <Field
          label="New password"
          type="password"
          value={form.newPassword}
          required
          autoFocus
          maxLength={256}
          autocomplete="new-password"
          hint="Those who are in stay in."
          error={form.newPassword ? problem : undefined}
          onInput={(event) => edit({ newPassword: event.currentTarget.value })}
        />
      )}
    </div>
  );
}

function ControlChoice({
  form,
  disabled,
  edit,
}: {
  form: RoomForm;
  disabled: boolean;
  edit: (change: Partial<RoomForm>) => void;
}) {
  return (
    <fieldset class="choices" disabled={disabled}>
      <legend>Who may control playback</legend>
      {PRESETS.map(([key, title, text]) => (
        <label key={key}>
          <input
            type="radio"
            name="room-preset"
            checked={form.preset === key}
            onChange={() => edit({ preset: key })}
          />
          <span>
            <b>{key === "host_only" ? "Only owner and admins" : title}</b>
            <small>{text}</small>
          </span>
        </label>
      ))}
      {form.preset === null && <p class="muted">Set by hand: none of these until you choose one.</p>}
    </fieldset>
  );
}

function DeleteRoom({ store, onClose }: { store: RoomStore; onClose: () => void }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const onYes = async () => {
    setBusy(true);
    try {
      await api.deleteRoom(store.id);
      go("/");
      toast("The room is gone.");
    } catch (error) {
      setProblem(sentenceOf(error));
      setBusy(false);
    }
  };
  return (
    <Confirm
      title="Delete the room?"
      yes={busy ? "Deleting…" : "Delete it"}
      no="Keep it"
      busy={busy}
      problem={problem}
      onYes={() => void onYes()}
      onClose={onClose}
    >
      <p>
        “{store.room.value?.name}” goes with its playlist, its chat and its streams, and everybody is put out.
        Nothing of it can be brought back.
      </p>
    </Confirm>
  );
}
