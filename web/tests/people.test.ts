import { describe, expect, it } from "vitest";
import type { Member, Page, RoomEvent } from "../src/contract";
import { describeMember } from "../src/room/describe";
import { People, search } from "../src/room/people";

const member = (id: string, change: Partial<Member> = {}): Member => ({
  user: { id, username: id.toUpperCase(), role: "user", state: "active", guest: false },
  role: "member",
  state: "active",
  permissions: "0",
  online: true,
  sync: { drift_ms: null, buffering: false },
  ...change,
});

type MemberEvent = Extract<RoomEvent, { type: "member" }>;
const event = (change: MemberEvent["change"], one: Member, more: Partial<MemberEvent> = {}): MemberEvent => ({
  type: "member",
  room: "r",
  seq: 1,
  at: 0,
  change,
  member: one,
  ...more,
});

/** A server with these pages of active members. */
function asking(pages: string[][], asked: string[] = []) {
  return async (after: string | undefined, state: Member["state"]): Promise<Page<Member>> => {
    asked.push(`${state} ${after ?? "-"}`);
    if (state !== "active") return { items: [], next: null };
    const index = after === undefined ? 0 : Number(after);
    const next = index + 1 < pages.length ? String(index + 1) : null;
    return { items: (pages[index] ?? []).map((id) => member(id)), next };
  };
}
const idsOf = (members: readonly Member[]) => members.map((one) => one.user.id).join("");

describe("the people of a room", () => {
  it("come, go offline, are put out, and knock", () => {
    const people = new People("r", asking([]));
    people.begin([member("a"), member("b")]);
    people.take(event("joined", member("c")));
    people.take(event("left", member("b", { online: false })));
    expect(idsOf(people.active.value)).toBe("abc");
    expect(people.online.value).toBe(2);
    people.take(event("left", member("c"), { removed: "kicked" }));
    people.take(event("left", member("b", { state: "banned" }), { removed: "banned" }));
    expect([idsOf(people.active.value), idsOf(people.banned.value)]).toEqual(["a", "b"]);
    people.take(event("updated", member("d", { state: "pending" })));
    expect([idsOf(people.pending.value), people.online.value]).toEqual(["d", 1]);
    people.take(event("updated", member("d")));
    expect([idsOf(people.active.value), people.online.value]).toEqual(["ad", 1]);
    people.take(event("updated", member("e", { state: "pending" })));
    people.take(event("left", member("e", { state: "pending" })));
    expect(people.pending.value).toEqual([]);
  });

  it("lose a guest who leaves, and keep a member", () => {
    const people = new People("r", asking([]));
    people.begin([member("g", { role: "guest" }), member("m")]);
    for (const one of ["g", "m"]) {
      const known = people.known.value.get(one) as Member;
      people.take(event("left", { ...known, online: false }));
    }
    expect(idsOf(people.active.value)).toBe("m");
  });

  it("are measured by events, which leave them where they are", () => {
    const people = new People("r", asking([]));
    people.begin([member("a"), member("b", { online: false })]);
    people.take(event("updated", member("a", { sync: { drift_ms: -300, buffering: true } })));
    expect(people.known.value.get("a")?.sync).toEqual({ drift_ms: -300, buffering: true });
    people.take(event("updated", member("a")));
    expect(people.known.value.get("a")?.sync).toEqual({ drift_ms: null, buffering: false });
    people.take(event("updated", member("b", { role: "admin" })));
    expect(people.known.value.get("b")).toMatchObject({ role: "admin", online: false });
  });

  it("are fetched page by page to the end, and refreshing does not begin again", async () => {
    const asked: string[] = [];
    const people = new People("r", asking([["a"], ["b"], ["c"]], asked));
    await people.refresh(["active", "pending"]);
    expect(people.more.value).toBe(true);
    await people.loadMore();
    await people.loadMore();
    expect([idsOf(people.active.value), people.more.value]).toEqual(["abc", false]);
    await people.refresh(["active"]);
    await people.loadMore();
    expect(people.more.value).toBe(false);
    expect(asked).toEqual(["active -", "pending -", "active 1", "active 2", "active -"]);
  });

  it("who are not in a whole list any more are gone", async () => {
    const people = new People("r", asking([["a"]]));
    people.begin([member("a"), member("b"), member("p", { state: "pending" })]);
    await people.refresh(["active", "pending"]);
    expect([idsOf(people.active.value), people.pending.value.length]).toEqual(["a", 0]);
  });

  it("are found by a part of their name, whatever its case and accents", () => {
    const zoe = member("z");
    zoe.user.username = "Zoë Bright";
    expect(idsOf(search([member("a"), zoe], "zoe b"))).toBe("z");
    expect(search([member("a"), zoe], " ")).toHaveLength(2);
  });
});

describe("what is said of them", () => {
  it.each<[MemberEvent, Member | undefined, string | null]>([
    [event("joined", member("a")), undefined, "A came in"],
    [event("joined", member("a")), member("a"), null],
    [event("left", member("a")), member("a"), "A left"],
    [event("left", member("a"), { removed: "kicked" }), member("a"), "A was kicked"],
    [event("updated", member("a", { state: "pending" })), undefined, "A would like to come in"],
    [event("left", member("a", { state: "pending" })), member("a", { state: "pending" }), null],
    [event("updated", member("a", { role: "admin" })), member("a"), null],
  ])("is one sentence or none (%#)", (happened, before, sentence) => {
    expect(describeMember(happened, before)).toBe(sentence);
  });
});
