/** Why somebody is not in the room, and what he can do about it. Pure. */

import { type Problem, sentenceOf } from "../net/problem";

export type Entry =
  /** Not in yet. */
  | { step: "joining" }
  /** `problem`: why the last try did not do. */
  | { step: "password"; problem: string | null }
  /** Somebody has to let him in. */
  | { step: "pending" }
  | { step: "in" }
  | {
      step: "out";
      title: string;
      detail: string;
      /** Coming in once more may work. */
      again?: string;
      /** Not before so many seconds from now. */
      againIn?: number;
      /** The link's invitation did not do: without it there may be another way in. */
      uninvited?: boolean;
      /** An account would be let in. */
      account?: boolean;
    };

type Out = Extract<Entry, { step: "out" }>;

export const DELETED: Out = {
  step: "out",
  title: "The room was closed",
  detail: "Whoever ran it has deleted it, with everything in it.",
};

/** The page for one who was put out while he was in; `reason` is the server's word, or a sentence. */
export function putOut(reason: string, cooldownS?: number): Out {
  switch (reason) {
    case "kicked":
    case "":
      return {
        step: "out",
        title: "You were removed from the room",
        detail: "Somebody who runs this room has put you out. You are no member of it any more.",
        again: "Go back in",
        ...(cooldownS ? { againIn: cooldownS } : {}),
      };
    case "banned":
      return BANNED;
    case "left":
      return {
        step: "out",
        title: "You have left the room",
        detail: "Your place in it is given up, on all your devices.",
        again: "Go back in",
      };
    case "turned away":
      return {
        step: "out",
        title: "You were not let in",
        detail: "Somebody who runs this room has turned your request down.",
      };
    default:
      return {
        step: "out",
        title: "You were removed from the room",
        detail: `${reason.charAt(0).toUpperCase()}${reason.slice(1)}${/[.!?]$/.test(reason) ? "" : "."}`,
        account: /guest/i.test(reason),
      };
  }
}

const BANNED: Out = {
  step: "out",
  title: "You are banned from this room",
  detail: "Somebody who runs it has shut you out. Only they can let you in again.",
};

/** What to show when the room did not let somebody in. The server tells the cases of `forbidden` apart in words. */
export function refusal(problem: Problem, triedPassword: boolean): Entry {
  const { code, detail } = problem;
  if (code === "rate_limited" && triedPassword) return { step: "password", problem: sentenceOf(problem) };
  if (code === "forbidden") {
    const known = forbidden(problem, triedPassword);
    if (known !== null) return known;
  }
  if (code === "not_found") {
    return {
      step: "out",
      title: "There is no such room",
      detail: "The link may be mistyped, or the room was closed.",
    };
  }
  if (code === "conflict" && /full/i.test(detail)) {
    return {
      step: "out",
      title: "The room is full",
      detail: "As many people as it takes are in it already.",
      again: "Try again",
    };
  }
  return { step: "out", title: "You cannot come in", detail: sentenceOf(problem) };
}

function forbidden(problem: Problem, triedPassword: boolean): Entry | null {
  const { detail, more } = problem;
  // What has to be waited for comes first: its sentence may hold any word.
  if (more.retryAfter !== undefined) {
    return {
      step: "out",
      title: "You were removed from the room",
      detail: "Somebody who runs this room has put you out. You may come back after a while.",
      again: "Go back in",
      againIn: more.retryAfter,
    };
  }
  if (/invitation/i.test(detail)) {
    return {
      step: "out",
      title: "This invitation does not work",
      detail: sentenceOf(problem),
      again: "Try without it",
      uninvited: true,
    };
  }
  if (/password/i.test(detail))
    return { step: "password", problem: triedPassword ? "That is not the password." : null };
  if (/banned/i.test(detail)) return BANNED;
  if (/wait for somebody/i.test(detail)) return { step: "pending" };
  if (/guest/i.test(detail)) {
    return {
      step: "out",
      title: "This room is for people with an account",
      detail: "Guests are not let in. Log in, or make an account: it takes a moment.",
      account: true,
    };
  }
  return null;
}
