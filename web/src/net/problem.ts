/** An error of the server's (or of the way there), with a sentence a person can read. */

import type { PlaybackState } from "../contract";

export interface FieldError {
  path: string;
  detail: string;
}

export class Problem extends Error {
  constructor(
    readonly code: string,
    readonly detail: string,
    readonly status = 0,
    readonly more: {
      retryAfter?: number;
      errors?: FieldError[];
      state?: PlaybackState;
      requestId?: string;
    } = {},
  ) {
    super(detail);
    this.name = "Problem";
  }
}

const FALLBACK: Record<string, string> = {
  invalid: "Something in the form is not right.",
  unauthenticated: "Please sign in again.",
  forbidden: "You are not allowed to do that here.",
  not_found: "That does not exist, or is not for you to see.",
  stream_offline: "Nobody is live on this stream yet.",
  conflict: "Somebody else was faster. This is how it stands now.",
  too_large: "That is too large.",
  rate_limited: "That was a little too fast. Please wait a moment.",
  unavailable: "The server is busy for a moment. Please try again.",
  offline: "The server cannot be reached. Check your connection.",
};

/** A sentence for people, whatever was thrown. */
export function sentenceOf(error: unknown): string {
  if (!(error instanceof Problem)) return "Something went wrong on this page. Please try again.";
  const field = error.more.errors?.[0];
  if (error.code === "invalid" && field !== undefined) {
    const name = field.path.replace(/^(body|query)[./]/, "").replaceAll(/[_./]/g, " ");
    return asSentence(name ? `${capital(name)}: ${field.detail}` : field.detail);
  }
  if (error.code === "rate_limited" && error.more.retryAfter) {
    const seconds = Math.ceil(error.more.retryAfter);
    return `That was a little too fast. Try again in ${seconds} second${seconds === 1 ? "" : "s"}.`;
  }
  return asSentence(error.detail || FALLBACK[error.code] || "The server could not do that.");
}

export function offline(): Problem {
  return new Problem("offline", FALLBACK.offline ?? "");
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function asSentence(text: string): string {
  const whole = capital(text.trim());
  return /[.!?…]$/.test(whole) ? whole : `${whole}.`;
}
