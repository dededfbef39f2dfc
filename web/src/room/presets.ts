/** The three named ways of sharing control, in words. */

import type { RoomSettings } from "../contract";
import { PRESET_DEFAULTS, type Preset, readMask, SITE_DEFAULTS } from "../permissions";

export const PRESETS: readonly [Preset, string, string][] = [
  ["together", "Everybody", "All members play, pause and choose."],
  ["host_only", "Only me", "Others add videos and talk."],
  ["lecture", "Lecture", "Others watch and talk; guests only watch."],
];

type Defaults = NonNullable<RoomSettings["role_defaults"]>;

/** Which preset a room's defaults are, or null where somebody has changed them by hand. */
export function presetOf(defaults: Defaults | undefined): Preset | null {
  const mask = (role: "member" | "guest") =>
    defaults?.[role] === undefined ? SITE_DEFAULTS[role] : readMask(defaults[role]);
  for (const [preset] of PRESETS) {
    const { member, guest } = PRESET_DEFAULTS[preset];
    if (mask("member") === member && mask("guest") === guest) return preset;
  }
  return null;
}

/** What a room's settings must say for a preset. */
export function defaultsOf(preset: Preset): Defaults {
  const { member, guest } = PRESET_DEFAULTS[preset];
  return { member: String(member), guest: String(guest) };
}
