/** What one member may do, as switches. */

import { useState } from "preact/hooks";
import type { Member } from "../contract";
import { api } from "../net/api";
import { sentenceOf } from "../net/problem";
import { readMask } from "../permissions";
import { Dialog } from "../ui/basics";
import { differenceFor, has, RIGHTS, switched } from "./rights";
import type { RoomStore } from "./room_store";

export function RightsDialog({
  store,
  member,
  onClose,
}: {
  store: RoomStore;
  member: Member;
  onClose: () => void;
}) {
  const before = readMask(member.permissions);
  const [mask, setMask] = useState(before);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const own = readMask(store.you.value?.permissions);
  const lacking = RIGHTS.some((right) => !has(own, right));
  const onSubmit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      const difference = differenceFor(member, store.settings.value, mask);
      store.people.changed(await api.changeMember(store.id, member.user.id, difference));
      onClose();
    } catch (error) {
      setProblem(sentenceOf(error));
      setBusy(false);
    }
  };
  return (
    <Dialog title={`What ${member.user.username} may do`} onClose={onClose}>
      <form class="stack" onSubmit={(event) => void onSubmit(event)}>
        <fieldset class="switches">
          <legend class="visually-hidden">Rights</legend>
          {RIGHTS.map((right) => (
            <label class="check" key={right.label}>
              <input
                type="checkbox"
                checked={has(mask, right)}
                disabled={!has(own, right)}
                onChange={(event) => setMask(switched(mask, right, event.currentTarget.checked))}
              />
              <span>{right.label}</span>
            </label>
          ))}
        </fieldset>
        {lacking && <p class="muted">What you may not do yourself you can neither give nor take away.</p>}
        {problem && (
          <p class="form-error" role="alert">
            {problem}
          </p>
        )}
        <div class="row end">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={busy || mask === before}>
            Save
          </button>
        </div>
      </form>
    </Dialog>
  );
}
