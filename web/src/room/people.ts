/** Who is in the room, who wants to come in, who may not: as events tell it, and asked for while somebody looks. */

import { computed, type ReadonlySignal, signal } from "@preact/signals";
import type { Member, Page, RoomEvent } from "../contract";
import { api } from "../net/api";

export type ById = ReadonlyMap<string, Member>;

/** More than this are not held in a page: who is looked for is found by the server's order alone. */
const MOST = 10_000;

/** Asks for a page of members, those in one state. */
export type AskMembers = (after: string | undefined, state: Member["state"]) => Promise<Page<Member>>;

export class People {
  /** Everybody known of, by id, in whatever state. */
  readonly known = signal<ById>(new Map());
  /** Whether there are members that were not asked for yet. */
  readonly more = signal(false);

  readonly active: ReadonlySignal<Member[]> = computed(() => this.inState("active"));
  readonly pending: ReadonlySignal<Member[]> = computed(() => this.inState("pending"));
  readonly banned: ReadonlySignal<Member[]> = computed(() => this.inState("banned"));
  readonly online: ReadonlySignal<number> = computed(
    () => this.active.value.filter((member) => member.online).length,
  );

  /** Where the next page begins; undefined: nothing was asked for yet; null: all are here. */
  private next: string | null | undefined;
  private readonly ask: AskMembers;

  constructor(room: string, ask?: AskMembers) {
    this.ask = ask ?? ((after, state) => api.members(room, after, state));
  }

  /** Those the room sent when we came in: maybe not all. */
  begin(members: readonly Member[]): void {
    this.next = undefined;
    this.more.value = false;
    this.known.value = new Map(members.map((member) => [member.user.id, member]));
  }

  /** A member as an event has him; gives him as he was known. */
  take(event: Extract<RoomEvent, { type: "member" }>): Member | undefined {
    const { member } = event;
    const next = new Map(this.known.peek());
    const before = next.get(member.user.id);
    const gone = event.removed ? event.removed !== "banned" : member.role === "guest";
    if (event.change === "left" && (gone || before?.state === "pending" || member.state === "pending")) {
      next.delete(member.user.id);
    } else {
      // Who is there is told by his coming and going, not by what is changed about him.
      const present = event.change === "updated" && before ? before.online : member.online;
      const online = event.change !== "left" && member.state === "active" && present;
      next.set(member.user.id, { ...member, online });
    }
    this.known.value = next;
    return before;
  }

  /** A member as the server has just changed him for us: the event may come later. */
  changed(member: Member): void {
    const before = this.known.peek().get(member.user.id);
    const online = member.state === "active" && (before?.online || member.online);
    this.known.value = new Map(this.known.peek()).set(member.user.id, { ...member, online });
  }

  /** Somebody was put out or turned away by us. */
  gone(id: string): void {
    const next = new Map(this.known.peek());
    next.delete(id);
    this.known.value = next;
  }

  /** Ask anew for the first page, and for all in other states that one may see; raises what the server says. */
  async refresh(states: readonly Member["state"][]): Promise<void> {
    for (const state of states) {
      const page = await this.ask(undefined, state);
      const whole = page.next === null;
      this.merge(page.items, whole ? state : null);
      if (state === "active") this.goOnFrom(whole || this.next === undefined ? page.next : this.next);
    }
  }

  /** The next page of members; raises what the server says. */
  async loadMore(): Promise<void> {
    if (this.next === null) return;
    const page = await this.ask(this.next, "active");
    this.merge(page.items, null);
    this.goOnFrom(page.next);
  }

  private goOnFrom(next: string | null): void {
    this.next = next;
    this.more.value = next !== null && this.known.peek().size < MOST;
  }

  /** `whole`: these are all in that state; who was known to be in it and is not among them is gone. */
  private merge(members: readonly Member[], whole: Member["state"] | null): void {
    const next = new Map(this.known.peek());
    if (whole !== null) for (const [id, member] of next) if (member.state === whole) next.delete(id);
    for (const member of members) next.set(member.user.id, member);
    this.known.value = next;
  }

  private inState(state: Member["state"]): Member[] {
    return [...this.known.value.values()].filter((member) => member.state === state);
  }
}

/** Whose name has it, whatever the case and the accents. */
export function search(members: readonly Member[], wanted: string): Member[] {
  const plain = (text: string) => text.normalize("NFKD").replaceAll(/\p{M}/gu, "").toLowerCase();
  const needle = plain(wanted.trim());
  return needle === ""
    ? [...members]
    : members.filter((member) => plain(member.user.username).includes(needle));
}
