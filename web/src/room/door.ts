/** Why somebody is not in the room, and what he can do about it. Pure. */

import { type Problem, sentenceOf } from "../net/problem";

export type Entry =
  /** Not in yet. */
  | { step: "joining" }
  | { step: "password"; wrong: boolean }
  | { step: "in" }
  | {
      step: "out";
      title: string;
      detail: string;
      /** Coming in once more may work. */
      again?: string;
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
export function putOut(reason: string): Out {
  switch (reason) {
    case "kicked":
    case "":
      return {
        step: "out",
        title: "You were removed from the room",
        detail: "Somebody who runs this room has put you out. You are no member of it any more.",
        again: "Go back in",
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
    case "pending":
      return { step: "out", title: "You have to wait", detail: "Somebody has to let you in." };
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
  if (code === "forbidden" && /password/i.test(detail)) return { step: "password", wrong: triedPassword };
  if (code === "forbidden" && /banned/i.test(detail)) return BANNED;
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
  const account = code === "forbidden" && /guest/i.test(detail);
  return {
    step: "out",
    title: account ? "This room is for people with an account" : "You cannot come in",
    detail: account
      ? "Guests are not let in. Log in, or make an account: it takes a moment."
      : sentenceOf(problem),
    account,
  };
}
