/** Invite: the room's own link, and invitations that open the door for as many and as long as one likes. */

import { useEffect, useState } from "preact/hooks";
import type { Invitation, Room } from "../contract";
import { people, timeLeft } from "../format";
import { api, type InvitationDraft } from "../net/api";
import { sentenceOf } from "../net/problem";
import { CopyField, Dialog, FormError, IconButton, Select } from "../ui/basics";
import type { RoomStore } from "./room_store";

const DAY_S = 86_400;
const LIVES: readonly (readonly [string, string])[] = [
  ["3600", "1 hour"],
  [String(DAY_S), "1 day"],
  [String(7 * DAY_S), "7 days"],
  [String(30 * DAY_S), "30 days"],
  ["", "For ever"],
];
const USES: readonly (readonly [string, string])[] = [
  ["1", "1 person"],
  ["5", "5 people"],
  ["10", "10 people"],
  ["25", "25 people"],
  ["100", "100 people"],
  ["", "Any number"],
];

/** What the form asks the server for. Pure. */
export function draftOf(life: string, uses: string): InvitationDraft {
  return { ...(life ? { expires_in: Number(life) } : {}), ...(uses ? { max_uses: Number(uses) } : {}) };
}

/** How an invitation stands, in words: "2 of 5 came · 3 days left". Pure. */
export function standingOf({ uses, max_uses, expires_at }: Invitation, now: number): string {
  if (expires_at !== null && expires_at <= now) return "Expired";
  if (max_uses !== null && uses >= max_uses) return `Used up: ${people(uses)} came`;
  const came =
    max_uses === null ? (uses === 0 ? "Nobody came yet" : `${uses} came`) : `${uses} of ${max_uses} came`;
  return `${came} · ${expires_at === null ? "does not end" : `${timeLeft(expires_at - now)} left`}`;
}

export function InviteDialog({ store, onClose }: { store: RoomStore; onClose: () => void }) {
  return (
    <Dialog title="Invite" onClose={onClose}>
      <div class="stack">
        <p class="muted">{whoComesBy(store.room.value)}</p>
        <CopyField label="Link to the room" value={`${location.origin}/r/${store.id}`} />
        {store.can("APPROVE_MEMBER") && <Invitations store={store} />}
      </div>
    </Dialog>
  );
}

function whoComesBy(room: Room | null): string {
  const asks = room?.settings.approval ? "waits until somebody lets them in" : "can come in";
  const guests = room?.settings.guest_access === false;
  if (room?.has_password) return `Whoever has this link and the password ${asks}.`;
  if (room?.settings.approval) return `Whoever has this link ${asks}.`;
  return guests
    ? "Whoever has this link and an account can come in."
    : "Whoever has this link can come in. No account is needed.";
}

function Invitations({ store }: { store: RoomStore }) {
  const [list, setList] = useState<Invitation[] | null>(null);
  const [life, setLife] = useState(String(7 * DAY_S));
  const [uses, setUses] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const [made, setMade] = useState<string | null>(null);
  useEffect(() => {
    api.invitations(store.id).then(
      (page) => setList(page.items),
      (error) => setProblem(sentenceOf(error)),
    );
  }, [store]);
  const work = async (what: () => Promise<void>) => {
    setBusy(true);
    setProblem(null);
    try {
      await what();
    } catch (error) {
      setProblem(sentenceOf(error));
    } finally {
      setBusy(false);
    }
  };
  const onMake = (event: Event) => {
    event.preventDefault();
    void work(async () => {
      const invitation = await api.invite(store.id, draftOf(life, uses));
      setMade(invitation.code);
      setList((before) => [invitation, ...(before ?? [])]);
    });
  };
  const onRevoke = (code: string) =>
    void work(async () => {
      await api.revokeInvitation(store.id, code);
      setList((before) => (before ?? []).filter((one) => one.code !== code));
    });
  const room = store.room.value;
  const closed = room?.has_password || room?.settings.approval;
  return (
    <section class="group" aria-labelledby="invitations">
      <h3 id="invitations">Invitations</h3>
      <p class="muted">
        {closed
          ? `Whoever has one comes in at once${room?.has_password ? ", without the password" : ""}${
              room?.settings.approval ? ", without waiting" : ""
            }.`
          : "The room is open: the link above does. An invitation goes on opening it when it gets a password."}
      </p>
      <form class="make-invitation" onSubmit={onMake}>
        <Select label="Lasts" value={life} options={LIVES} onChange={setLife} />
        <Select label="Is for" value={uses} options={USES} onChange={setUses} />
        <button type="submit" disabled={busy}>
          Make one
        </button>
      </form>
      <FormError text={problem} />
      {(list ?? []).length > 0 && (
        <ul class="invitations">
          {(list ?? []).map((one) => (
            <li key={one.code} class={one.code === made ? "new" : ""}>
              <CopyField label={standingOf(one, Date.now())} value={one.url}>
                <IconButton
                  icon="trash"
                  size={17}
                  label="Take this invitation back"
                  disabled={busy}
                  onClick={() => onRevoke(one.code)}
                />
              </CopyField>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
