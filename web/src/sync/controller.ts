/**
 * Keeps one player on the room's line: state, measured position and time in; at most two actions out.
 *
 * Pure: no DOM, no clock, no timer. All times are server milliseconds, all positions seconds.
 */

import { holding, jumps, positionAt, type Timeline } from "./timeline";

/** Within this nothing is done; a correction once begun goes on to `SETTLED_S`, so that it does not flutter. */
export const DEAD_ZONE_S = 0.02;
export const SETTLED_S = 0.005;
/** In the first two seconds a landing is finished off, so that the dead zone is not begun at its edge. */
export const LANDING_ZONE_S = 0.008;
export const GENTLE_S = 0.12;
export const GENTLE_RATE = 0.06;
/**
 * Up to here the player catches up by rate: after a stall of a second or two nobody misses a sentence, and a seek
 * would stall once more. Simulated: 0.4 hard seeks an hour fewer than with 1 s, the same percentiles.
 */
export const FIRM_S = 3;
export const FIRM_RATE = 0.15;
/** In the first two seconds after a start or seek: beyond this one more seek, within it more speed. */
export const LANDING_S = 0.4;
export const LANDING_RATE = 0.25;
export const SETTLE_MS = 2_000;
export const COOL_DOWN_MS = 4_000;
export const MAX_SEEKS = 3;

/** A gentle correction aims to be done in about this long. */
const CORRECTION_S = 0.8;
const LANDING_CORRECTION_S = 0.4;
const RATE_STEP = 0.005;
const RATE_FLOOR = 0.01;
const PLAY_RETRY_MS = 1_000;
/** A pause is only tidied up when the picture really stands elsewhere. */
const STILL_TOLERANCE_S = 0.03;
const STILL_TRIES = 2;
/** After a start or seek the player is only watched for this long: sooner, one measures the pipeline filling. */
const MEASURE_MS = 200;
const LANDING_LIMIT_MS = 10_000;
const LIVE_MARGIN_S = 0.15;
const NOT_YET_LIMIT_MS = 15_000;
/**
 * A player that comes later aims so much further ahead than a seek is thought to cost, and stands there until its
 * moment comes: it starts right on it, where it would else land as wrong as the guess was. Longer before it has
 * been measured. Simulated: the slowest joins went from 1.9 s until together to 0.8 s.
 */
const AIM_S = 0.1;
const FIRST_AIM_S = 0.25;
/** A player that stands no further ahead than this waits for the room; a seek would stall it for as long. */
const WAIT_S = 1;

export interface PlayerStatus {
  /** Seconds on the room's axis (program date-time for live items), now; null while unknown. */
  position: number | null;
  paused: boolean;
  seeking: boolean;
  /** Playback stopped for want of data. */
  buffering: boolean;
  ended: boolean;
  readyState: number;
  rate: number;
  /** What can be sought to, on the room's axis. */
  earliest: number;
  latest: number;
}

export type Action =
  | { kind: "rate"; rate: number }
  | { kind: "seek"; to: number }
  | { kind: "play" }
  | { kind: "pause" };

export type Phase =
  /** No item, or free mode. */
  | "idle"
  /** In step, or being brought into step. */
  | "following"
  | "paused"
  /** Waiting for a start that lies ahead. */
  | "holding"
  /** Waiting for data. */
  | "waiting"
  /** The room is at a moment that has not arrived here yet. */
  | "not_yet"
  /** The room is at a moment that is no longer kept. */
  | "gone"
  | "ended"
  /** Three seeks in a row did not help. */
  | "gave_up";

export interface Decision {
  actions: Action[];
  phase: Phase;
  /** Position minus target, s; positive is ahead. Null where it means nothing. */
  error: number | null;
}

/** A seek or start whose landing is still to be measured. */
interface Learning {
  what: "seek" | "start";
  /** Asked for by the room or a person, not a correction of our own. */
  commanded: boolean;
  since: number;
  /** Since when pictures flow again. */
  readySince: number | null;
}

/** A place further on where a player that is not playing yet waits for the room. */
interface Aim {
  to: number;
  since: number;
  /** The seek there is done, and there is enough to play. */
  landed: boolean;
}

export class Controller {
  private timeline: Timeline | null = null;
  private jump = false;
  private stillTries = 0;
  private settleUntil = 0;
  private settleSeekUsed = false;
  private coolUntil = 0;
  private seeks = 0;
  private gaveUp = false;
  private correcting: -1 | 0 | 1 = 0;
  private lastPlay = -Infinity;
  private notYetSince: number | null = null;
  private learning: Learning | null = null;
  private wasPaused = true;
  private lastHold = false;
  private aim: Aim | null = null;
  /** `seekCost` is this player's own, no longer the guess. */
  private measured = false;

  /** What a seek costs this player, s: learned from where it lands. */
  seekCost = 0.2;
  /** How long this player takes from `play()` to moving pictures, s: learned likewise. */
  startLead = 0.04;

  /** Take the room's state; call again whenever it changes. */
  setTimeline(timeline: Timeline | null, now: number): void {
    const before = this.timeline;
    this.timeline = timeline;
    if (timeline === null) return;
    if (before !== null && before.state === timeline.state && before.liveDelayMs === timeline.liveDelayMs)
      return;
    if (jumps(before, timeline, now)) {
      this.jump = true;
      this.aim = null;
      this.forgive(now);
    }
    if (before === null || before.state.revision !== timeline.state.revision) {
      this.stillTries = 0;
      this.correcting = 0;
      if (before?.state.playing !== timeline.state.playing) this.forgive(now);
    }
  }

  /** The media was replaced: nothing learned about where it stands holds any more. */
  reset(now: number): void {
    this.jump = true;
    this.aim = null;
    this.learning = null;
    this.wasPaused = true;
    this.notYetSince = null;
    this.forgive(now);
  }

  /** A person asked for another try ("sync now", end of free mode): one seek at once. */
  resync(now: number): void {
    this.jump = true;
    this.aim = null;
    this.forgive(now);
  }

  /** Server time at which `play()` should be called, where a start lies ahead; or null. */
  startAt(now: number): number | null {
    if (this.timeline === null) return null;
    if (this.aim !== null) return now + this.timeTo(this.aim, positionAt(this.timeline, now)) * 1000;
    return holding(this.timeline, now) ? this.timeline.state.at - this.startLead * 1000 : null;
  }

  decide(player: PlayerStatus, now: number): Decision {
    const timeline = this.timeline;
    if (timeline === null || timeline.state.item === null) return { actions: [], phase: "idle", error: null };
    const { state } = timeline;
    if (this.gaveUp)
      return { actions: player.paused ? [] : [{ kind: "pause" }], phase: "gave_up", error: null };

    const target = positionAt(timeline, now);
    const error = player.position === null ? null : player.position - target;
    this.learn(player, error, now);

    const hold = state.playing && now < state.at - this.startLead * 1000;
    if (this.lastHold && !hold) this.forgive(now);
    this.lastHold = hold;
    if (!state.playing || hold)
      return this.still(player, positionAt(timeline, state.playing ? now : state.at), now, hold);

    if (!state.live && player.ended && target >= player.latest - 0.25) {
      return { actions: [], phase: "ended", error: null };
    }
    if (player.paused) return this.start(player, target, error, now);
    this.aim = null;
    this.wasPaused = false;
    if (this.jump && error !== null && player.readyState >= 1 && !player.seeking) {
      // The room went elsewhere: that is obeyed at once, with or without data here.
      this.jump = false;
      if (Math.abs(error) > GENTLE_S) return this.obey(player, target, error, now);
    }
    if (player.seeking || player.buffering || player.readyState < 3 || error === null) {
      return { actions: this.rate(player, state.rate), phase: "waiting", error };
    }
    if (this.learning !== null) return { actions: this.rate(player, state.rate), phase: "following", error };
    return this.correct(player, target, error, now);
  }

  /** The room stands still: so does the player, at the same place. */
  private still(player: PlayerStatus, place: number, now: number, hold: boolean): Decision {
    const actions: Action[] = [];
    this.aim = null;
    const phase: Phase = hold ? "holding" : "paused";
    if (!player.paused) actions.push({ kind: "pause" });
    this.wasPaused = true;
    actions.push(...this.rate(player, this.timeline?.state.rate ?? 1));
    const error = player.position === null ? null : player.position - place;
    if (error === null || player.seeking || player.readyState < 1) return { actions, phase, error };
    const to = Math.min(Math.max(place, player.earliest), player.latest);
    const late = hold ? this.late(now) : 0;
    if (
      Math.abs(player.position === null ? 0 : player.position - to) > STILL_TOLERANCE_S &&
      this.stillTries < (late > 0 ? 1 : STILL_TRIES)
    ) {
      this.stillTries += 1;
      this.coolUntil = Math.min(this.coolUntil, now);
      actions.push({ kind: "seek", to: Math.min(to + late * this.pace(), player.latest) });
    }
    this.jump = false;
    return { actions, phase: hold ? phase : this.standing(player, place, error), error };
  }

  /** By how much a seek begun now will miss the scheduled start, s: it aims so much further. */
  private late(now: number): number {
    const at = this.timeline?.state.at ?? now;
    return Math.max(0, (now - at) / 1000 + this.seekCost + this.startLead);
  }

  /** A live room may stand at a moment that this player cannot show: then it is not off, it is elsewhere. */
  private standing(player: PlayerStatus, place: number, error: number): Phase {
    if (!this.timeline?.state.live || Math.abs(error) <= GENTLE_S) return "paused";
    if (place < player.earliest - STILL_TOLERANCE_S) return "gone";
    return place > player.latest + STILL_TOLERANCE_S ? "not_yet" : "paused";
  }

  /** The room plays and the player does not: go where it is, then go. */
  private start(player: PlayerStatus, target: number, error: number | null, now: number): Decision {
    if (player.readyState < 1 || error === null) return { actions: [], phase: "waiting", error };
    if (target < player.earliest - DEAD_ZONE_S) {
      this.notYetSince ??= now;
      if (now - this.notYetSince < NOT_YET_LIMIT_MS) return { actions: [], phase: "not_yet", error };
    } else {
      this.notYetSince = null;
    }
    const actions: Action[] = this.rate(player, this.timeline?.state.rate ?? 1);
    this.jump = false;
    if (this.aim === null && !player.seeking && error > GENTLE_S && error <= WAIT_S * this.pace()) {
      this.aim = { to: target + error, since: now, landed: true };
    } else if (this.aim === null && !player.seeking && Math.abs(error) > GENTLE_S) {
      const ahead = this.seekCost + this.startLead + (this.measured ? AIM_S : FIRST_AIM_S);
      const to = this.reach(player, target + ahead * this.pace());
      this.aim = { to, since: now, landed: false };
      actions.push({ kind: "seek", to });
      return { actions, phase: "holding", error };
    }
    const { aim } = this;
    if (aim !== null) {
      if (!aim.landed && !player.seeking && player.readyState >= 3) {
        aim.landed = true;
        this.measured = true;
        this.seekCost += 0.7 * (Math.min((now - aim.since) / 1000, 2) - this.seekCost);
      }
      // Its moment is its moment: some players load no more before they are told to play.
      if (this.timeTo(aim, target) > 0) return { actions, phase: "holding", error };
      this.aim = null;
      this.landing(aim.landed ? "start" : "seek", true, now);
    } else if (this.wasPaused) {
      // Started while still seeking, it lands when the seek is done: that says nothing about starting.
      this.landing(player.seeking ? "seek" : "start", true, now);
    }
    if (now - this.lastPlay >= PLAY_RETRY_MS || this.wasPaused) {
      this.lastPlay = now;
      actions.push({ kind: "play" });
    }
    if (this.wasPaused) this.forgive(now);
    this.wasPaused = false;
    return { actions, phase: "following", error };
  }

  /** How long until a player that waits at its aim should be told to play, s. */
  private timeTo(aim: Aim, target: number): number {
    return (aim.to - target) / this.pace() - this.startLead;
  }

  /** A jump of the room's own: not counted against the player. */
  private obey(player: PlayerStatus, target: number, error: number, now: number): Decision {
    this.landing("seek", true, now);
    this.coolUntil = now + COOL_DOWN_MS;
    const to = this.reach(player, target + this.seekCost * this.pace());
    return { actions: [...this.rate(player, this.pace()), { kind: "seek", to }], phase: "following", error };
  }

  private correct(player: PlayerStatus, target: number, error: number, now: number): Decision {
    const off = Math.abs(error);
    if (off <= GENTLE_S) this.seeks = 0;
    if (error > 0 && target < player.earliest - 1) {
      return { actions: this.rate(player, this.pace()), phase: "gone", error };
    }
    const settling = now < this.settleUntil && !this.settleSeekUsed;
    const displaced = off > FIRM_S;
    const wantsSeek = displaced || (off > LANDING_S && settling);
    // A player at the live edge cannot get further ahead: a seek would only stall it.
    const reachable = error > 0 || player.latest - (player.position ?? 0) > LIVE_MARGIN_S;
    if (wantsSeek && reachable && (now >= this.coolUntil || settling)) {
      if (this.seeks >= MAX_SEEKS) {
        this.gaveUp = true;
        return { actions: [{ kind: "pause" }], phase: "gave_up", error };
      }
      this.seeks += 1;
      this.settleSeekUsed = true;
      this.coolUntil = now + COOL_DOWN_MS;
      this.landing("seek", displaced, now);
      this.correcting = 0;
      const to = this.reach(player, target + this.seekCost * this.pace());
      return {
        actions: [...this.rate(player, this.pace()), { kind: "seek", to }],
        phase: "following",
        error,
      };
    }
    return {
      actions: this.rate(player, this.pace() * (1 + this.nudge(error, reachable, now < this.settleUntil))),
      phase: "following",
      error,
    };
  }

  /** By how much to speed up (positive) or slow down. */
  private nudge(error: number, reachable: boolean, landing: boolean): number {
    const off = Math.abs(error);
    const side = error > 0 ? 1 : -1;
    if (this.correcting !== 0 && (off <= SETTLED_S || side !== this.correcting)) this.correcting = 0;
    const quiet = landing ? LANDING_ZONE_S : DEAD_ZONE_S;
    if (this.correcting === 0 && off > quiet) this.correcting = side;
    if (this.correcting === 0 || (error < 0 && !reachable)) return 0;
    const limit = landing ? LANDING_RATE : off > GENTLE_S ? FIRM_RATE : GENTLE_RATE;
    const wanted = Math.max(
      RATE_FLOOR,
      Math.min(limit, off / (landing ? LANDING_CORRECTION_S : CORRECTION_S)),
    );
    return -side * Math.round(wanted / RATE_STEP) * RATE_STEP;
  }

  private rate(player: PlayerStatus, wanted: number): Action[] {
    return Math.abs(player.rate - wanted) < RATE_STEP / 2 ? [] : [{ kind: "rate", rate: wanted }];
  }

  private pace(): number {
    return this.timeline?.state.rate ?? 1;
  }

  private reach(player: PlayerStatus, to: number): number {
    const end = this.timeline?.state.live ? player.latest - LIVE_MARGIN_S : player.latest;
    return Math.max(player.earliest, Math.min(to, end));
  }

  private landing(what: Learning["what"], commanded: boolean, now: number): void {
    this.learning = { what, commanded, since: now, readySince: null };
  }

  /** Where the last seek or start landed tells what it cost. */
  private learn(player: PlayerStatus, error: number | null, now: number): void {
    const landing = this.learning;
    if (landing === null) return;
    if (player.paused || player.seeking || player.buffering || player.readyState < 3 || error === null) {
      landing.readySince = null;
      if (now - landing.since > LANDING_LIMIT_MS) this.learning = null;
      return;
    }
    if (landing.readySince === null) {
      landing.readySince = now;
      if (landing.commanded) this.settleUntil = now + SETTLE_MS;
    }
    if (now - landing.readySince < MEASURE_MS) return;
    this.learning = null;
    if (Math.abs(error) > 2) return;
    if (landing.what === "seek") {
      this.measured = true;
      this.seekCost = clamp(this.seekCost - 0.7 * error, 0, 2);
    } else this.startLead = clamp(this.startLead - 0.7 * error, 0, 0.3);
  }

  /** A new beginning: what went wrong before is not held against the player. */
  private forgive(now: number): void {
    this.settleUntil = now + SETTLE_MS;
    this.settleSeekUsed = false;
    this.coolUntil = 0;
    this.seeks = 0;
    this.gaveUp = false;
    this.correcting = 0;
  }
}

function clamp(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, value));
}
