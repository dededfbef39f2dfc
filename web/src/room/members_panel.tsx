/** Who is here, and how well each keeps to the room. */

import { useEffect } from "preact/hooks";
import type { Member } from "../contract";
import { drift, driftGrade } from "../format";
import { api } from "../net/api";
import { sentenceOf } from "../net/problem";
import { Avatar, Menu } from "../ui/basics";
import { Icon } from "../ui/icons";
import { toast } from "../ui/toasts";
import type { RoomStore } from "./room_store";

const ROLES: Record<Member["role"], string> = { creator: "Host", admin: "Admin", member: "", guest: "Guest" };
const RANK: Record<Member["role"], number> = { creator: 0, admin: 1, member: 2, guest: 3 };

const REFRESH_MS = 5_000;

export function MembersPanel({ store, onInvite }: { store: RoomStore; onInvite: () => void }) {
  const visible = store.can("VIEW_MEMBER_LIST");
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
  const here = all.filter((member) => member.online);
  const away = all.filter((member) => !member.online);
  return (
    <div class="panel members">
      <div class="panel-actions">
        <button type="button" class="primary" onClick={onInvite}>
          <Icon name="link" size={17} /> Invite
        </button>
      </div>
      <div class="scroll">
        <h3>Here now · {here.length}</h3>
        <ul>
          {here.map((member) => (
            <Row key={member.user.id} store={store} member={member} />
          ))}
        </ul>
        {away.length > 0 && (
          <>
            <h3>Away · {away.length}</h3>
            <ul class="away">
              {away.map((member) => (
                <Row key={member.user.id} store={store} member={member} />
              ))}
            </ul>
          </>
        )}
      </div>
    </div>
  );
}

function Row({ store, member }: { store: RoomStore; member: Member }) {
  const me = member.user.id === store.you.value?.user?.id;
  const { sync } = member;
  const off = me ? store.ownDrift.value : sync?.drift_ms;
  const kick = () => {
    api.kick(store.id, member.user.id).catch((error: unknown) => toast(sentenceOf(error), "error"));
  };
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
        {(ROLES[member.role] || member.state !== "active") && (
          <span class="tag">{member.state === "active" ? ROLES[member.role] : member.state}</span>
        )}
      </span>
      {member.online && sync?.buffering && <span class="badge fair">Loading</span>}
      {member.online && !sync?.buffering && typeof off === "number" && (
        <span class={`badge ${driftGrade(off)}`} title="Difference to the room">
          <i aria-hidden="true" />
          <span>{drift(Math.round(off))}</span>
        </span>
      )}
      {!me && member.role !== "creator" && store.can("KICK_MEMBER") && (
        <Menu
          label={`Actions for ${member.user.username}`}
          icon="more"
          entries={[{ label: "Remove from the room", danger: true, act: kick }]}
        />
      )}
    </li>
  );
}
