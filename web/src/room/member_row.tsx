/** One member: role, how well he keeps to the room, and what one may do about him. */

import type { Member } from "../contract";
import { drift, driftGrade } from "../format";
import { api, type MemberPatch } from "../net/api";
import { Avatar } from "../ui/basics";
import { Menu } from "../ui/menu";
import { attempt } from "./attempt";
import { actionsOn, type MemberAction } from "./rights";
import type { RoomStore } from "./room_store";

const ROLES: Record<Member["role"], string> = {
  creator: "Owner",
  admin: "Admin",
  member: "",
  guest: "Guest",
};
const LABELS: Record<MemberAction, string> = {
  let_in: "Let in",
  turn_away: "Turn away",
  make_admin: "Make admin",
  make_member: "Make member",
  rights: "What they may do…",
  make_owner: "Make owner…",
  kick: "Put out of the room",
  ban: "Ban…",
  unban: "Lift the ban",
};
const DANGERS = new Set<MemberAction>(["turn_away", "kick", "ban"]);

/** Change a member and show at once what came of it; raises what the server says. */
export async function change(store: RoomStore, member: Member, patch: MemberPatch): Promise<void> {
  store.people.changed(await api.changeMember(store.id, member.user.id, patch));
}

export function MemberRow({
  store,
  member,
  onAsk,
}: {
  store: RoomStore;
  member: Member;
  onAsk: (what: "rights" | "ban" | "make_owner") => void;
}) {
  const me = member.user.id === store.you.value?.user?.id;
  const putOut = async () => {
    if (await attempt(api.kick(store.id, member.user.id))) store.people.gone(member.user.id);
  };
  const act: Record<MemberAction, () => void> = {
    let_in: () => void attempt(change(store, member, { state: "active" })),
    turn_away: () => void putOut(),
    make_admin: () => void attempt(change(store, member, { role: "admin" })),
    make_member: () => void attempt(change(store, member, { role: "member" })),
    rights: () => onAsk("rights"),
    make_owner: () => onAsk("make_owner"),
    kick: () => void putOut(),
    ban: () => onAsk("ban"),
    unban: () => void attempt(change(store, member, { state: "active" })),
  };
  const actions = actionsOn(store.you.value, member);
  const tag = ROLES[member.role];
  return (
    <li>
      <span class={`presence${member.online ? " on" : ""}`}>
        <Avatar id={member.user.id} name={member.user.username} />
      </span>
      <span class="member-text">
        <span class="member-name">
          {member.user.username}
          {me && <small> you</small>}
        </span>
        {tag && <span class="tag">{tag}</span>}
      </span>
      {member.online && <Keeping member={member} own={me ? store.ownDrift.value : undefined} />}
      {actions.length > 0 && (
        <Menu
          label={`Actions for ${member.user.username}`}
          icon="more"
          entries={actions.map((action) => ({
            label: LABELS[action],
            danger: DANGERS.has(action),
            act: act[action],
          }))}
        />
      )}
    </li>
  );
}

/** How he keeps to the room; `own`: of oneself it is known as it is right now. */
function Keeping({ member, own }: { member: Member; own: number | null | undefined }) {
  const off = own === undefined ? member.sync?.drift_ms : own;
  if (member.sync?.buffering) return <span class="badge fair">Loading</span>;
  if (typeof off !== "number") return null;
  return (
    <span class={`badge ${driftGrade(off)}`} title="Difference to the room">
      <i aria-hidden="true" />
      <span>{drift(Math.round(off))}</span>
    </span>
  );
}
