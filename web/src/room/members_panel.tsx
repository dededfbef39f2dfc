/** Who is here, how well each keeps to the room, and what those who run it may do about somebody. */

import { useEffect, useState } from "preact/hooks";
import type { Member } from "../contract";
import { drift, driftGrade } from "../format";
import { api } from "../net/api";
import { Avatar, Confirm } from "../ui/basics";
import { Icon } from "../ui/icons";
import { Menu } from "../ui/menu";
import { attempt } from "./attempt";
import { actionsOn, type MemberAction } from "./rights";
import { RightsDialog } from "./rights_dialog";
import type { RoomStore } from "./room_store";

const ROLES: Record<Member["role"], string> = { creator: "Host", admin: "Admin", member: "", guest: "Guest" };
const RANK: Record<Member["role"], number> = { creator: 0, admin: 1, member: 2, guest: 3 };
const LABELS: Record<MemberAction, string> = {
  make_admin: "Make admin",
  make_member: "Make member",
  rights: "What they may do…",
  kick: "Put out of the room",
  ban: "Ban…",
  unban: "Lift the ban",
};

const REFRESH_MS = 5_000;

type Asked = { what: "rights" | "ban"; member: Member } | null;

export function MembersPanel({ store, onInvite }: { store: RoomStore; onInvite: () => void }) {
  const visible = store.can("VIEW_MEMBER_LIST");
  const [asked, setAsked] = useState<Asked>(null);
  useEffect(() => {
    if (!visible) return;
    void store.refreshMembers();
    const timer = setInterval(() => void store.refreshMembers(), REFRESH_MS);
    return () => clearInterval(timer);
  }, [store, visible]);
  if (!visible) {
    return (
      <div class="panel">
        <div class="empty">
          <Icon name="people" size={28} />
          <span>Who else is here is not shown to you.</span>
        </div>
      </div>
    );
  }
  const all = [...store.members.value.values()].sort(
    (a, b) => RANK[a.role] - RANK[b.role] || a.user.username.localeCompare(b.user.username),
  );
  const banned = all.filter((member) => member.state === "banned");
  const admitted = all.filter((member) => member.state !== "banned");
  const here = admitted.filter((member) => member.online);
  const away = admitted.filter((member) => !member.online);
  const rows = (members: Member[]) =>
    members.map((member) => (
      <Row key={member.user.id} store={store} member={member} onAsk={(what) => setAsked({ what, member })} />
    ));
  return (
    <div class="panel members">
      <div class="panel-actions">
        <button type="button" class="primary" onClick={onInvite}>
          <Icon name="link" size={17} /> Invite
        </button>
      </div>
      <div class="scroll">
        <h3>Here now · {here.length}</h3>
        <ul>{rows(here)}</ul>
        {away.length > 0 && (
          <>
            <h3>Away · {away.length}</h3>
            <ul class="away">{rows(away)}</ul>
          </>
        )}
        {banned.length > 0 && store.can("BAN_MEMBER") && (
          <>
            <h3>Banned · {banned.length}</h3>
            <ul class="away">{rows(banned)}</ul>
          </>
        )}
      </div>
      {asked?.what === "rights" && (
        <RightsDialog store={store} member={asked.member} onClose={() => setAsked(null)} />
      )}
      {asked?.what === "ban" && (
        <Confirm
          title={`Ban ${asked.member.user.username}?`}
          yes="Ban"
          onClose={() => setAsked(null)}
          onYes={() => {
            setAsked(null);
            void attempt(change(store, asked.member, { state: "banned" }));
          }}
        >
          <p>They are put out at once and cannot come back until somebody lifts the ban.</p>
        </Confirm>
      )}
    </div>
  );
}

async function change(
  store: RoomStore,
  member: Member,
  patch: Parameters<typeof api.changeMember>[2],
): Promise<void> {
  store.takeChanged(await api.changeMember(store.id, member.user.id, patch));
}

function Row({
  store,
  member,
  onAsk,
}: {
  store: RoomStore;
  member: Member;
  onAsk: (what: "rights" | "ban") => void;
}) {
  const me = member.user.id === store.you.value?.user?.id;
  const { sync } = member;
  const off = me ? store.ownDrift.value : sync?.drift_ms;
  const act: Record<MemberAction, () => void> = {
    make_admin: () => void attempt(change(store, member, { role: "admin" })),
    make_member: () => void attempt(change(store, member, { role: "member" })),
    rights: () => onAsk("rights"),
    kick: () => void attempt(api.kick(store.id, member.user.id)),
    ban: () => onAsk("ban"),
    unban: () => void attempt(change(store, member, { state: "active" })),
  };
  const actions = actionsOn(store.you.value, member);
  const tag = member.state === "pending" ? "Waiting" : ROLES[member.role];
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
      {member.online && sync?.buffering && <span class="badge fair">Loading</span>}
      {member.online && !sync?.buffering && typeof off === "number" && (
        <span class={`badge ${driftGrade(off)}`} title="Difference to the room">
          <i aria-hidden="true" />
          <span>{drift(Math.round(off))}</span>
        </span>
      )}
      {actions.length > 0 && (
        <Menu
          label={`Actions for ${member.user.username}`}
          icon="more"
          entries={actions.map((action) => ({
            label: LABELS[action],
            danger: action === "kick" || action === "ban",
            act: act[action],
          }))}
        />
      )}
    </li>
  );
}
