/** Who we are: tokens kept in this browser, renewed before they expire, shared by all tabs. */

import { signal } from "@preact/signals";
import type { User } from "../contract";
import { Problem } from "./problem";

export interface Session {
  user: User;
  accessToken: string;
  refreshToken: string | null;
  /** Local epoch ms after which the access token is taken for expired. */
  expiresAt: number;
}

export interface TokenAnswer {
  user: User;
  access_token: string;
  refresh_token?: string | null;
  /** Seconds. */
  expires_in: number;
}

const STORAGE_KEY = "matinee.session";
const RENEW_EARLY_MS = 60_000;

export const session = signal<Session | null>(load());

function load(): Session | null {
  try {
    const text = localStorage.getItem(STORAGE_KEY);
    const value = text === null ? null : (JSON.parse(text) as Session);
    return value && typeof value.accessToken === "string" && value.user ? value : null;
  } catch {
    return null;
  }
}

function store(value: Session | null): void {
  session.value = value;
  try {
    if (value === null) localStorage.removeItem(STORAGE_KEY);
    else localStorage.setItem(STORAGE_KEY, JSON.stringify(value));
  } catch {
    // Storage may be forbidden (private windows): the session then lives as long as the page.
  }
}

// Another tab signed in, out, or renewed.
globalThis.addEventListener?.("storage", (event) => {
  if (event.key === STORAGE_KEY) session.value = load();
});

export function signIn(answer: TokenAnswer): Session {
  const value: Session = {
    user: answer.user,
    accessToken: answer.access_token,
    refreshToken: answer.refresh_token ?? null,
    expiresAt: Date.now() + answer.expires_in * 1000,
  };
  store(value);
  return value;
}

export function setUser(user: User): void {
  if (session.value !== null) store({ ...session.value, user });
}

export function forget(): void {
  store(null);
}

type Post = (path: string, body: unknown) => Promise<TokenAnswer>;

let renewing: Promise<Session | null> | null = null;

/**
 * An access token that is good for a while, or null when nobody is signed in. `rejected` is one the server
 * refused although it looked fresh. Refresh tokens may be used once, so tabs take turns.
 */
export async function freshToken(post: Post, rejected?: string): Promise<string | null> {
  const now = session.value;
  if (now === null) return null;
  if (now.accessToken !== rejected && Date.now() < now.expiresAt - RENEW_EARLY_MS) return now.accessToken;
  renewing ??= takeTurns(() => renew(post, now)).finally(() => {
    renewing = null;
  });
  return (await renewing)?.accessToken ?? null;
}

async function renew(post: Post, stale: Session): Promise<Session | null> {
  const stored = load();
  if (stored !== null && stored.accessToken !== stale.accessToken && stored.expiresAt > stale.expiresAt) {
    session.value = stored;
    return stored;
  }
  try {
    if (stale.refreshToken !== null) {
      return signIn(await post("auth/refresh", { refresh_token: stale.refreshToken }));
    }
    // A guest cannot be renewed: the same name, as somebody new.
    if (stale.user.guest) return signIn(await post("auth/guest", { nickname: stale.user.username }));
  } catch (error) {
    const lost = error instanceof Problem && (error.code === "unauthenticated" || error.code === "forbidden");
    if (!lost && Date.now() < stale.expiresAt) return stale;
    if (!lost) throw error;
  }
  const other = load();
  if (other !== null && other.accessToken !== stale.accessToken) {
    session.value = other;
    return other;
  }
  store(null);
  return null;
}

async function takeTurns<T>(work: () => Promise<T>): Promise<T> {
  // Locks exist on https and localhost only; without them tabs may race, and the loser reads the winner's token.
  const locks = globalThis.navigator?.locks;
  return locks ? ((await locks.request("matinee.renew", work)) as T) : work();
}
