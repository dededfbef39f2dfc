/** Who is here, who would like to be, how well each keeps to the room, and what may be done about somebody. */

import { useEffect, useState } from "preact/hooks";
import type { Member } from "../contract";
import { people as countOf } from "../format";
import { api } from "../net/api";
import { Avatar, Confirm } from "../ui/basics";
import { Icon } from "../ui/icons";
import { attempt } from "./attempt";
import { change, MemberRow } from "./member_row";
import { search } from "./people";
import { RightsDialog } from "./rights_dialog";
import type { RoomStore } from "./room_store";

const RANK: Record<Member["role"], number> = { creator: 0, admin: 1, member: 2, guest: 3 };
/** Events tell who came, went and is how far off: this heals what was missed, and what no event tells. */
const REFRESH_MS = 20_000;
/** With fewer than this nobody has to be looked for. */
const SEARCHED_FROM = 9;

type Asked = { what: "rights" | "ban" | "make_owner"; member: Member } | null;

export function MembersPanel({ store, onInvite }: { store: RoomStore; onInvite: () => void }) {
  const visible = store.can("VIEW_MEMBER_LIST");
  const [asked, setAsked] = useState<Asked>(null);
  const [wanted, setWanted] = useState("");
  const mayLetIn = store.can("APPROVE_MEMBER");
  const mayBan = store.can("BAN_MEMBER");
  useRefresh(store, visible, mayLetIn, mayBan);
  const { people } = store;
  const seeking = useAllPages(store, wanted.trim() !== "");
  if (!visible && !mayLetIn) {
    return (
      <div class="panel">
        <div class="empty">
          <Icon name="people" size={28} />
          <span>Who else is here is not shown to you.</span>
        </div>
      </div>
    );
  }
  const listed = (members: Member[]) =>
    search(members, wanted).sort(
      (a, b) => RANK[a.role] - RANK[b.role] || a.user.username.localeCompare(b.user.username),
    );
  const active = listed(people.active.value);
  const here = active.filter((member) => member.online);
  const away = active.filter((member) => !member.online);
  const banned = mayBan ? listed(people.banned.value) : [];
  const pending = mayLetIn ? listed(people.pending.value) : [];
  const nobody = here.length + away.length + banned.length + pending.length === 0;
  const more = people.more.value;
  const section = (title: string, members: Member[], dim = false) =>
    members.length > 0 && (
      <>
        <h3>
          {title} · {members.length}
          {more && members === away ? "+" : ""}
        </h3>
        <ul class={dim ? "away" : ""}>
          {members.map((member) => (
            <MemberRow
              key={member.user.id}
              store={store}
              member={member}
              onAsk={(what) => setAsked({ what, member })}
            />
          ))}
        </ul>
      </>
    );
  return (
    <div class="panel members">
      <div class="panel-actions">
        <button type="button" class="primary" onClick={onInvite}>
          <Icon name="link" size={17} /> Invite
        </button>
        {(people.known.value.size >= SEARCHED_FROM || more) && (
          <input
            type="search"
            aria-label="Search people"
            placeholder="Search"
            value={wanted}
            onInput={(event) => setWanted(event.currentTarget.value)}
          />
        )}
      </div>
      <div class="scroll">
        <Knocking store={store} members={pending} />
        {section("Here now", here)}
        {section("Away", away, true)}
        {section("Banned", banned, true)}
        {wanted.trim() !== "" && nobody && !seeking && (
          <p class="empty">Nobody here has that in their name.</p>
        )}
        {seeking && <p class="empty">Looking through all members…</p>}
        {more && !seeking && (
          <button type="button" class="quiet wide" onClick={() => void attempt(people.loadMore())}>
            Show more people
          </button>
        )}
      </div>
      <Questions store={store} asked={asked} onClose={() => setAsked(null)} />
    </div>
  );
}

/** Ask now and then while somebody looks. */
function useRefresh(store: RoomStore, visible: boolean, mayLetIn: boolean, mayBan: boolean): void {
  useEffect(() => {
    // What is asked for unasked may fail: the list stays as the events left it, and the next look comes soon.
    const look = (...states: Member["state"][]) => void store.people.refresh(states).catch(() => undefined);
    const all: Member["state"][] = [];
    if (visible) all.push("active");
    if (mayLetIn) all.push("pending");
    if (mayBan) all.push("banned");
    look(...all);
    if (!visible) return;
    const timer = setInterval(() => look("active"), REFRESH_MS);
    return () => clearInterval(timer);
  }, [store, visible, mayLetIn, mayBan]);
}

/** Who is looked for may stand on any page: fetch them all, one after the other. Whether that is under way. */
function useAllPages(store: RoomStore, wanted: boolean): boolean {
  const [busy, setBusy] = useState(false);
  const more = store.people.more.value;
  useEffect(() => {
    if (!wanted || !more) return;
    let gone = false;
    setBusy(true);
    void (async () => {
      while (!gone && store.people.more.peek()) if (!(await attempt(store.people.loadMore()))) break;
      setBusy(false);
    })();
    return () => {
      gone = true;
    };
  }, [store, wanted, more]);
  return busy && wanted;
}

/** Who would like to come in, for those who may let them. */
function Knocking({ store, members }: { store: RoomStore; members: Member[] }) {
  const [busy, setBusy] = useState<string | null>(null);
  if (members.length === 0) return null;
  const answer = async (member: Member, letIn: boolean) => {
    const { id } = member.user;
    setBusy(id);
    if (letIn) await attempt(change(store, member, { state: "active" }));
    else if (await attempt(api.kick(store.id, id))) store.people.gone(id);
    setBusy(null);
  };
  return (
    <section class="knocking" aria-label="Waiting to be let in">
      <h3>{countOf(members.length)} would like to come in</h3>
      <ul>
        {members.map((member) => (
          <li key={member.user.id}>
            <Avatar id={member.user.id} name={member.user.username} />
            <span class="member-text">
              <span class="member-name">{member.user.username}</span>
              {member.user.guest && <span class="tag">Guest</span>}
            </span>
            <button
              type="button"
              class="small"
              disabled={busy === member.user.id}
              aria-label={`Turn ${member.user.username} away`}
              onClick={() => void answer(member, false)}
            >
              Turn away
            </button>
            <button
              type="button"
              class="small primary"
              disabled={busy === member.user.id}
              aria-label={`Let ${member.user.username} in`}
              onClick={() => void answer(member, true)}
            >
              Let in
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Questions({ store, asked, onClose }: { store: RoomStore; asked: Asked; onClose: () => void }) {
  const [busy, setBusy] = useState(false);
  if (asked === null) return null;
  const { member } = asked;
  const { username } = member.user;
  if (asked.what === "rights") return <RightsDialog store={store} member={member} onClose={onClose} />;
  const ban = asked.what === "ban";
  const onYes = async () => {
    setBusy(true);
    const done = await attempt(change(store, member, ban ? { state: "banned" } : { role: "creator" }));
    setBusy(false);
    if (done) onClose();
  };
  return (
    <Confirm
      title={ban ? `Ban ${username}?` : `Make ${username} the owner?`}
      yes={ban ? "Ban" : "Hand the room over"}
      busy={busy}
      onClose={onClose}
      onYes={() => void onYes()}
    >
      {ban ? (
        <p>They are put out at once and cannot come back until somebody lifts the ban.</p>
      ) : (
        <p>
          The room is {username}’s from then on: only they can delete it or hand it on, and you cannot take it
          back. You stay, as an admin.
        </p>
      )}
    </Confirm>
  );
}
