/** The form of the room's settings: what it starts with, and what of it has to be sent. */

import type { Room, RoomSettings } from "../contract";
import { timeLeft } from "../format";
import type { Preset } from "../permissions";
import { defaultsOf, presetOf } from "./presets";

export const NAME_MAX = 64;
export const DELAY_MAX_S = 60;
export const MEMBERS_MAX = 100_000;

export interface RoomForm {
  name: string;
  hidden: boolean;
  guests: boolean;
  /** As typed; empty: no limit. */
  limit: string;
  /** Seconds, as typed. */
  delay: string;
  wait: "ignore" | "wait";
  approval: boolean;
  /** Seconds one who was put out stays out; empty: as long as the site says. */
  cooldown: string;
  /** Null: as it is, changed by hand. */
  preset: Preset | null;
  password: "keep" | "remove" | "set";
  newPassword: string;
}

export interface RoomPatch {
  name?: string;
  hidden?: boolean;
  password?: string | null;
  settings?: RoomSettings;
}

export function formOf(room: Room): RoomForm {
  const { settings } = room;
  return {
    name: room.name,
    hidden: room.hidden,
    guests: settings.guest_access ?? true,
    limit: settings.member_limit ? String(settings.member_limit) : "",
    delay: String((settings.live_delay_ms ?? 3_000) / 1000),
    wait: settings.wait ?? "ignore",
    approval: settings.approval ?? false,
    cooldown: settings.kick_cooldown_s == null ? "" : String(settings.kick_cooldown_s),
    preset: presetOf(settings.role_defaults),
    password: "keep",
    newPassword: "",
  };
}

/** What is wrong with it, by field; empty: nothing. */
export function problemsOf(form: RoomForm): Partial<Record<"name" | "limit" | "delay" | "password", string>> {
  const problems: ReturnType<typeof problemsOf> = {};
  if (!form.name.trim()) problems.name = "A room has a name.";
  if (form.limit.trim() && !between(form.limit, 1, MEMBERS_MAX, true))
    problems.limit = `A whole number up to ${MEMBERS_MAX.toLocaleString("en")}, or nothing for no limit.`;
  if (!between(form.delay, 0, DELAY_MAX_S, false)) problems.delay = `From 0 to ${DELAY_MAX_S} seconds.`;
  if (form.password === "set" && !form.newPassword) problems.password = "Type the new password.";
  return problems;
}

function between(text: string, low: number, high: number, whole: boolean): boolean {
  const value = Number(text.trim() || Number.NaN);
  return value >= low && value <= high && (!whole || Number.isInteger(value));
}

/** Only what differs from the room, so that nobody needs a right for what he did not touch; null: nothing. */
export function patchOf(room: Room, form: RoomForm): RoomPatch | null {
  const before = formOf(room);
  const patch: RoomPatch = {};
  const settings: RoomSettings = {};
  if (form.name.trim() !== room.name) patch.name = form.name.trim();
  if (form.hidden !== room.hidden) patch.hidden = form.hidden;
  if (form.guests !== before.guests) settings.guest_access = form.guests;
  if (Number(form.limit) !== Number(before.limit)) settings.member_limit = Number(form.limit);
  const delayMs = Math.round(Number(form.delay) * 1000);
  if (delayMs !== (room.settings.live_delay_ms ?? 3_000)) settings.live_delay_ms = delayMs;
  if (form.wait !== before.wait) settings.wait = form.wait;
  if (form.approval !== before.approval) settings.approval = form.approval;
  if (form.cooldown !== before.cooldown)
    settings.kick_cooldown_s = form.cooldown === "" ? null : Number(form.cooldown);
  if (form.preset !== null && form.preset !== before.preset) settings.role_defaults = defaultsOf(form.preset);
  if (Object.keys(settings).length > 0) patch.settings = settings;
  if (form.password === "set") patch.password = form.newPassword;
  if (form.password === "remove" && room.has_password) patch.password = null;
  return Object.keys(patch).length > 0 ? patch : null;
}

const COOLDOWNS: readonly (readonly [string, string])[] = [
  ["", "As long as this site says"],
  ["0", "Not at all: they may come back at once"],
  ["60", "1 minute"],
  ["600", "10 minutes"],
  ["3600", "1 hour"],
  ["86400", "1 day"],
];

/** How long one who was put out may be kept out, in words; one that was set otherwise is among them. */
export function cooldownsFor(now: string): readonly (readonly [string, string])[] {
  if (COOLDOWNS.some(([seconds]) => seconds === now)) return COOLDOWNS;
  return [...COOLDOWNS, [now, timeLeft(Number(now) * 1000)]];
}
