import { describe, expect, it } from "vitest";
import type { Member, Room, RoomRole, You } from "../src/contract";
import { Problem } from "../src/net/problem";
import { maskOf, PRESET_DEFAULTS, readMask, SITE_DEFAULTS } from "../src/permissions";
import type { ChatEntry } from "../src/room/chat_log";
import { describeElsewhere, describeSettings } from "../src/room/describe";
import { putOut, refusal } from "../src/room/door";
import { draftOf, standingOf } from "../src/room/invite_dialog";
import { defaultsOf, presetOf } from "../src/room/presets";
import { actionsOn, differenceFor, has, RIGHTS, switched } from "../src/room/rights";
import { cooldownsFor, formOf, patchOf, problemsOf, type RoomForm } from "../src/room/room_form";
import { newestAt, unreadSince } from "../src/room/unread";
import { bitrate, codecName, streamFacts } from "../src/stream_facts";
import { waysOf } from "../src/ui/sign_in";

const ROOM: Room = {
  id: "r",
  name: "Films",
  hidden: false,
  has_password: false,
  creator: { id: "c", username: "Cleo" },
  settings: {
    guest_access: true,
    wait: "ignore",
    live_delay_ms: 3_000,
    member_limit: 0,
    role_defaults: defaultsOf("together"),
  },
  created_at: 0,
};

function member(role: RoomRole, change: Partial<Member> = {}): Member {
  return {
    user: { id: "m", username: "Mia", role: "user", state: "active", guest: role === "guest" },
    role,
    state: "active",
    permissions: String(SITE_DEFAULTS[role]),
    online: true,
    ...change,
  };
}

function you(mask: bigint, role: RoomRole = "admin"): You {
  const user = { id: "y", username: "You", role: "user", state: "active", guest: false } as const;
  return { user, role, state: "active", permissions: String(mask) };
}

describe("the permission table", () => {
  it("gives roles and presets the masks that the server gives them", () => {
    expect(Object.values(SITE_DEFAULTS).map(String)).toEqual([
      "1099511627776",
      "7696581402647",
      "1133612610125055",
      "1133664166509823",
    ]);
    expect(defaultsOf("together")).toEqual({ member: "7696581409879", guest: "7696581402625" });
    expect(defaultsOf("host_only")).toEqual({ member: "7696581402647", guest: "7696581402625" });
    expect(defaultsOf("lecture")).toEqual({ member: "7696581394453", guest: "1099511627776" });
  });

  it("knows a preset again, and what is none", () => {
    for (const preset of ["together", "host_only", "lecture"] as const)
      expect(presetOf({ ...defaultsOf(preset), admin: "1" })).toBe(preset);
    expect(presetOf({ ...defaultsOf("together"), guest: "0" })).toBeNull();
    expect(presetOf(undefined)).toBeNull();
  });
});

describe("the settings form", () => {
  const edited = (change: Partial<RoomForm>, room = ROOM) => patchOf(room, { ...formOf(room), ...change });

  it("sends nothing when nothing was changed", () => {
    expect(edited({})).toBeNull();
    expect(edited({ name: "  Films " })).toBeNull();
  });

  it.each<[Partial<RoomForm>, unknown]>([
    [{ name: "Series" }, { name: "Series" }],
    [{ hidden: true }, { hidden: true }],
    [{ guests: false }, { settings: { guest_access: false } }],
    [{ limit: "12" }, { settings: { member_limit: 12 } }],
    [{ delay: "4.5" }, { settings: { live_delay_ms: 4_500 } }],
    [{ wait: "wait" }, { settings: { wait: "wait" } }],
    [{ approval: true }, { settings: { approval: true } }],
    [{ cooldown: "600" }, { settings: { kick_cooldown_s: 600 } }],
    [{ preset: "lecture" }, { settings: { role_defaults: defaultsOf("lecture") } }],
    [{ password: "set", newPassword: "open sesame" }, { password: "open sesame" }],
    [{ password: "remove" }, null],
  ])("sends only what was changed: %j", (change, patch) => {
    expect(edited(change)).toEqual(patch);
  });

  it("removes a password, a limit, and a preset set by hand", () => {
    const room = {
      ...ROOM,
      has_password: true,
      settings: { ...ROOM.settings, member_limit: 5, role_defaults: { member: "1" } },
    };
    expect(formOf(room).preset).toBeNull();
    expect(edited({ password: "remove", limit: "", preset: "together" }, room)).toEqual({
      password: null,
      settings: { member_limit: 0, role_defaults: defaultsOf("together") },
    });
  });

  it("gives the cool-down back to the site, and shows one that was set elsewhere", () => {
    const room = { ...ROOM, settings: { ...ROOM.settings, kick_cooldown_s: 7_200 } };
    expect(edited({ cooldown: "" }, room)).toEqual({ settings: { kick_cooldown_s: null } });
    expect(edited({ cooldown: "0" }, room)).toEqual({ settings: { kick_cooldown_s: 0 } });
    expect(cooldownsFor("7200").at(-1)).toEqual(["7200", "2 hours"]);
    expect(cooldownsFor("60")).toHaveLength(cooldownsFor("").length);
  });

  it.each<[Partial<RoomForm>, string]>([
    [{ name: "  " }, "name"],
    [{ limit: "1.5" }, "limit"],
    [{ limit: "-1" }, "limit"],
    [{ limit: "many" }, "limit"],
    [{ delay: "" }, "delay"],
    [{ delay: "61" }, "delay"],
    [{ password: "set" }, "password"],
  ])("says what is wrong: %j", (change, field) => {
    expect(Object.keys(problemsOf({ ...formOf(ROOM), ...change }))).toEqual([field]);
  });
});

describe("what one may do to a member", () => {
  const all = you(SITE_DEFAULTS.creator, "creator");
  const admin = you(SITE_DEFAULTS.admin);

  it("is everything for the creator, and nothing to the creator or to oneself", () => {
    expect(actionsOn(all, member("member"))).toEqual(["make_admin", "rights", "make_owner", "kick", "ban"]);
    expect(actionsOn(all, member("admin"))).toEqual(["make_member", "rights", "make_owner", "kick", "ban"]);
    expect(actionsOn(all, member("guest"))).toEqual(["make_member", "rights", "kick", "ban"]);
    expect(actionsOn(admin, member("creator"))).toEqual([]);
    expect(actionsOn({ ...admin, user: member("member").user }, member("member"))).toEqual([]);
  });

  it("is letting in or turning away, of one who waits", () => {
    const knocking = member("member", { state: "pending" });
    expect(actionsOn(all, knocking)).toEqual(["let_in", "turn_away", "ban"]);
    expect(actionsOn(you(maskOf("APPROVE_MEMBER")), knocking)).toEqual(["let_in", "turn_away"]);
    expect(actionsOn(you(maskOf("KICK_MEMBER")), knocking)).toEqual([]);
  });

  it("leaves admins to those who manage admins", () => {
    expect(actionsOn(admin, member("admin"))).toEqual([]);
    expect(actionsOn(admin, member("member"))).toEqual(["rights", "kick", "ban"]);
  });

  it("is one bit each, and only lifting it when somebody is banned", () => {
    expect(actionsOn(you(maskOf("KICK_MEMBER")), member("member"))).toEqual(["kick"]);
    expect(actionsOn(you(maskOf("BAN_MEMBER")), member("member"))).toEqual(["ban"]);
    expect(actionsOn(all, member("member", { state: "banned" }))).toEqual(["unban"]);
    expect(actionsOn(you(maskOf("KICK_MEMBER")), member("member", { state: "banned" }))).toEqual([]);
    expect(actionsOn(you(SITE_DEFAULTS.member, "member"), member("guest"))).toEqual([]);
  });
});

describe("a member's rights", () => {
  const [steer, add] = RIGHTS as [(typeof RIGHTS)[number], (typeof RIGHTS)[number]];

  it("are said as the difference to the role's", () => {
    const mia = member("member", { permissions: String(PRESET_DEFAULTS.together.member) });
    const less = switched(readMask(mia.permissions), add, false);
    expect(differenceFor(mia, ROOM.settings, less)).toEqual({ added: "0", removed: String(add.bits) });
    const more = less | maskOf("PUBLISH_LIVE");
    expect(differenceFor(mia, ROOM.settings, more)).toEqual({
      added: String(maskOf("PUBLISH_LIVE")),
      removed: String(add.bits),
    });
  });

  it("go by the site's defaults where the room has none", () => {
    const wanted = switched(SITE_DEFAULTS.member, steer, true);
    expect(differenceFor(member("member"), {}, wanted)).toEqual({ added: String(steer.bits), removed: "0" });
  });

  it("count as had only when all of a switch is there", () => {
    expect(has(maskOf("PLAY_CONTROL"), steer)).toBe(false);
    expect(has(switched(0n, steer, true), steer)).toBe(true);
  });
});

describe("the page of one who is not in", () => {
  const of = (code: string, detail: string, retryAfter?: number) =>
    refusal(new Problem(code, detail, 0, { retryAfter }), true);

  it("tells a password, a ban, a full room and a closed door apart", () => {
    expect(of("forbidden", "The room's password is another one.")).toEqual({
      step: "password",
      problem: "That is not the password.",
    });
    expect(refusal(new Problem("forbidden", "This room has a password."), false)).toEqual({
      step: "password",
      problem: null,
    });
    expect(of("forbidden", "You are banned from this room.")).toMatchObject({
      title: "You are banned from this room",
    });
    expect(of("conflict", "The room is full.")).toMatchObject({
      title: "The room is full",
      again: "Try again",
    });
    expect(of("forbidden", "Guests are not let into this room: sign in.")).toMatchObject({ account: true });
    expect(of("not_found", "There is no such room.")).toMatchObject({ title: "There is no such room" });
  });

  it("tells one who waits, one who was put out, and one whose invitation does not do", () => {
    expect(of("forbidden", "You wait for somebody to let you in.")).toEqual({ step: "pending" });
    expect(of("forbidden", "You were put out of this room: come back in 42 seconds.", 42)).toMatchObject({
      again: "Go back in",
      againIn: 42,
    });
    expect(of("forbidden", "This invitation is used up: ask for another one.")).toMatchObject({
      title: "This invitation does not work",
      uninvited: true,
    });
  });

  it("says after too many passwords when the next one may be tried", () => {
    expect(of("rate_limited", "Too many tries.", 12)).toEqual({
      step: "password",
      problem: "That was a little too fast. Try again in 12 seconds.",
    });
  });

  it("says to one who was put out whether he may come back", () => {
    expect(putOut("kicked")).toMatchObject({ title: "You were removed from the room", again: "Go back in" });
    expect(putOut("kicked", 60)).toMatchObject({ againIn: 60 });
    expect(putOut("turned away")).toMatchObject({ title: "You were not let in" });
    expect(putOut("banned")).not.toHaveProperty("again");
    expect(putOut("left")).toMatchObject({ title: "You have left the room" });
    expect(putOut("guests are no longer let in")).toMatchObject({
      detail: "Guests are no longer let in.",
      account: true,
    });
  });
});

describe("an invitation", () => {
  const one = { code: "c", url: "u", max_uses: null, uses: 0, expires_at: null };

  it("is asked for with what was chosen only", () => {
    expect(draftOf("", "")).toEqual({});
    expect(draftOf("3600", "5")).toEqual({ expires_in: 3_600, max_uses: 5 });
  });

  it("says how it stands", () => {
    expect(standingOf(one, 0)).toBe("Nobody came yet · does not end");
    expect(standingOf({ ...one, max_uses: 5, uses: 2, expires_at: 7_200_000 }, 0)).toBe(
      "2 of 5 came · 2 hours left",
    );
    expect(standingOf({ ...one, max_uses: 1, uses: 1 }, 0)).toBe("Used up: 1 person came");
    expect(standingOf({ ...one, expires_at: 5 }, 5)).toBe("Expired");
  });
});

describe("registration", () => {
  const ways = (...asked: Parameters<typeof waysOf>) => waysOf(...asked).map(([way]) => way);

  it("is offered where it is open to somebody", () => {
    expect(ways("open", true)).toEqual(["guest", "login", "register"]);
    expect(ways("invite", false)).toEqual(["login", "register"]);
    expect(ways("closed", true)).toEqual(["guest", "login"]);
    expect(ways("closed", false)).toEqual(["login"]);
  });
});

describe("unread messages", () => {
  const said = (id: string, user: string, at: number): ChatEntry => ({
    kind: "message",
    message: { id, user: { id: user, username: user }, text: "…", at },
  });
  const chat: ChatEntry[] = [
    said("1", "ann", 10),
    { kind: "note", id: "n", text: "Ben came in", at: 30 },
    said("2", "ben", 20),
    said("3", "me", 25),
  ];

  it("are others' messages after the last one seen; notes and one's own do not count", () => {
    expect(unreadSince(chat, 10, "me")).toBe(1);
    expect(unreadSince(chat, 20, "me")).toBe(0);
    expect(newestAt(chat)).toBe(25);
    expect(newestAt([])).toBe(0);
  });
});

describe("words", () => {
  it("tell a change of the room", () => {
    expect(describeSettings(ROOM, { ...ROOM, name: "Series" }, "Ann")).toBe(
      "Ann renamed the room to “Series”",
    );
    expect(describeSettings(ROOM, { ...ROOM, has_password: true }, "Ann")).toBe("Ann set a password");
    expect(describeSettings({ ...ROOM, has_password: true }, ROOM, "Ann")).toBe("Ann removed the password");
    expect(describeSettings(ROOM, { ...ROOM, hidden: true }, "Ann")).toBe("Ann changed the room’s settings");
    expect(describeSettings(ROOM, { ...ROOM, creator: { id: "b", username: "Ben" } }, "Cleo")).toBe(
      "Cleo handed the room over to Ben",
    );
    expect(describeSettings(null, ROOM, "Ann")).toBeNull();
  });

  it("say where the room is when a player cannot be there", () => {
    expect(describeElsewhere("gone", false, false)).toMatch(/paused at a moment that is no longer kept/);
    expect(describeElsewhere("gone", false, true)).toMatch(/FLV/);
    expect(describeElsewhere("not_yet", false, false)).toMatch(/has not arrived/);
    expect(describeElsewhere("not_yet", true, false)).toBeNull();
    expect(describeElsewhere("paused", false, false)).toBeNull();
  });

  it("describe a stream by what is known of it", () => {
    expect([codecName("avc1.64001f"), codecName("mp4a.40.2"), codecName("x-new")]).toEqual([
      "H.264",
      "AAC",
      "x-new",
    ]);
    expect([bitrate(640), bitrate(2_480)]).toEqual(["640 kbit/s", "2.5 Mbit/s"]);
    const live = { video_codec: "avc1.64001f", width: 1280, height: 720, fps: 29.97, bitrate_kbps: 2_000 };
    expect(streamFacts({ viewers: 2, live }, 0)).toEqual([
      ["Picture", "H.264 · 1280 × 720 · 29.97 fps"],
      ["Bitrate", "2.0 Mbit/s"],
      ["Watching", "2 people"],
    ]);
    expect(streamFacts({ live: null, statistics: null, publisher: null }, 0)).toEqual([]);
  });

  it("tell who runs a stream how it arrives, by what was measured", () => {
    const live = { video_codec: "av01.0.04M.08", fps: 30, bitrate_kbps: 1 };
    const statistics = { at: 0, bitrate_kbps: 1_500, fps: 24.98, gaps: 0, repairs: 2, refused: 1 };
    const publisher = {
      protocol: "rtmp",
      encoder: "FMLE/3.0 (compatible; Lavf62.1)",
      address: "192.0.2.7",
      since: 5_000,
    };
    expect(streamFacts({ live, statistics, publisher }, 80_000)).toEqual([
      ["Picture", "AV1 · 24.98 fps"],
      ["Bitrate", "1.5 Mbit/s"],
      ["Trouble", "2 timestamps repaired, 1 frame refused"],
      ["On for", "1:15"],
      ["From", "Lavf62.1, RTMP"],
    ]);
  });
});
