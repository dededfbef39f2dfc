/** The HTTP API, typed. Every failure is a `Problem`. */

import type {
  ChatMessage,
  Invitation,
  Item,
  Member,
  Page,
  Play,
  PlaybackState,
  Room,
  RoomRole,
  Subtitle,
  User,
} from "../contract";
import type { Preset } from "../permissions";
import type { Place } from "../room/playlist_tree";
import type { RoomPatch } from "../room/room_form";
import { forget, freshToken, session, signIn, type TokenAnswer } from "./account";
import { type FieldError, offline, Problem } from "./problem";

const BASE = "/api/v1/";
const TIMEOUT_MS = 15_000;

export interface RoomDraft {
  name: string;
  password?: string;
  hidden?: boolean;
  preset?: Preset;
}

export interface ItemDraft {
  title?: string;
  kind: "url" | "live" | "folder";
  url?: string;
  stream?: string;
  /** Seconds, where the browser could find out. */
  duration?: number;
  subtitles?: Subtitle[];
}

/** Items the server takes in one addition. */
export const ADDED_AT_ONCE = 200;

export interface InvitationDraft {
  /** Seconds; absent: it does not end. */
  expires_in?: number;
  max_uses?: number;
}

export type Registration = "open" | "invite" | "closed";

export interface NewStream {
  stream: string;
  rtmp_url: string;
  stream_key: string;
  item?: Item | null;
}

export interface LiveFacts {
  video_codec?: string | null;
  width?: number | null;
  height?: number | null;
  fps?: number | null;
  audio_codec?: string | null;
  sample_rate?: number | null;
  channels?: number | null;
  bitrate_kbps?: number | null;
}

/** How it arrives; counts since the publish began. */
export interface StreamStatistics {
  at: number;
  bitrate_kbps: number;
  fps: number;
  gaps: number;
  repairs: number;
  refused: number;
}

export interface MemberPatch {
  role?: RoomRole;
  state?: Member["state"];
  added?: string;
  removed?: string;
}

export interface StreamInfo {
  stream?: string;
  id?: string;
  title?: string;
  status?: "live" | "offline";
  viewers?: number;
  /** What is being published; null while nobody does. */
  live?: LiveFacts | null;
  statistics?: StreamStatistics | null;
  /** Only for who runs the stream. */
  publisher?: { protocol: string; encoder: string; address: string; since: number } | null;
  room?: string | null;
  urls?: Record<string, string>;
  token?: string | null;
  play_token?: string | { token: string; expires_at?: number } | null;
  expires_at?: number;
}

type Method = "GET" | "POST" | "PATCH" | "DELETE";

async function send<T>(method: Method, path: string, body: unknown, token: string | null): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  let response: Response;
  try {
    response = await fetch(BASE + path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch {
    throw offline();
  }
  const text = await response.text();
  let value: unknown;
  try {
    value = text ? JSON.parse(text) : undefined;
  } catch {
    value = undefined;
  }
  if (response.ok) return value as T;
  throw problemOf(response, value);
}

function problemOf(response: Response, value: unknown): Problem {
  const given = (typeof value === "object" && value !== null ? value : {}) as {
    code?: string;
    detail?: string;
    title?: string;
    errors?: FieldError[];
    state?: PlaybackState;
    request_id?: string;
  };
  const retryAfter = Number(response.headers.get("Retry-After"));
  return new Problem(
    given.code ?? (response.status >= 500 ? "unavailable" : "invalid"),
    given.detail ?? given.title ?? "",
    response.status,
    {
      errors: given.errors,
      state: given.state,
      requestId: given.request_id,
      retryAfter: Number.isFinite(retryAfter) && retryAfter > 0 ? retryAfter : undefined,
    },
  );
}

const post = (path: string, body: unknown) => send<TokenAnswer>("POST", path, body, null);

/** A token for the socket; `rejected` is one that was refused there. */
export function accessToken(rejected?: string): Promise<string | null> {
  return freshToken(post, rejected);
}

async function call<T>(method: Method, path: string, body?: unknown): Promise<T> {
  const token = await accessToken();
  try {
    return await send<T>(method, path, body, token);
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 401 || token === null) throw error;
    const renewed = await accessToken(token);
    if (renewed === null || renewed === token) throw error;
    return send<T>(method, path, body, renewed);
  }
}

function query(values: Record<string, string | number | undefined | null>): string {
  const pairs = Object.entries(values).filter(([, v]) => v !== undefined && v !== null && v !== "");
  return pairs.length ? `?${new URLSearchParams(pairs.map(([k, v]) => [k, String(v)]))}` : "";
}

const seg = encodeURIComponent;

export const api = {
  register: async (username: string, password: string, invitation?: string) =>
    signIn(await post("auth/register", { username, password, ...(invitation ? { invitation } : {}) })),
  login: async (username: string, password: string) =>
    signIn(await post("auth/login", { username, password })),
  guest: async (nickname: string) => signIn(await post("auth/guest", { nickname })),
  async logout(): Promise<void> {
    const current = session.value;
    try {
      if (current)
        await send("POST", "auth/logout", { refresh_token: current.refreshToken }, current.accessToken);
    } catch {
      // Out is out, here at least: the token runs off by itself.
    }
    forget();
  },

  /** Ways to sign in, and who may register. */
  providers: () => call<{ registration?: Registration }>("GET", "auth/providers"),

  me: () => call<User>("GET", "users/me"),
  rename: (username: string) => call<User>("PATCH", "users/me", { username }),
  changePassword: (old_password: string, new_password: string) =>
    call<unknown>("POST", "users/me/password", { old_password, new_password }),

  createRoom: (draft: RoomDraft) => call<Room>("POST", "rooms", draft),
  rooms: (search?: string) => call<Page<Room>>("GET", `rooms${query({ query: search, limit: 50 })}`),
  myRooms: () => call<Page<Room>>("GET", "rooms/mine"),
  room: (room: string) => call<Room>("GET", `rooms/${seg(room)}`),
  changeRoom: (room: string, patch: RoomPatch) => call<Room>("PATCH", `rooms/${seg(room)}`, patch),
  deleteRoom: (room: string) => call<void>("DELETE", `rooms/${seg(room)}`),
  leaveRoom: (room: string) => call<void>("POST", `rooms/${seg(room)}/leave`),
  /** Those in one state, in the order they came; `state` absent: the active. */
  members: (room: string, after?: string, state?: Member["state"]) =>
    call<Page<Member>>("GET", `rooms/${seg(room)}/members${query({ state, after, limit: 200 })}`),
  changeMember: (room: string, user: string, patch: MemberPatch) =>
    call<Member>("PATCH", `rooms/${seg(room)}/members/${seg(user)}`, patch),
  kick: (room: string, user: string) => call<void>("DELETE", `rooms/${seg(room)}/members/${seg(user)}`),

  invitations: (room: string) =>
    call<Page<Invitation>>("GET", `rooms/${seg(room)}/invitations${query({ limit: 100 })}`),
  invite: (room: string, draft: InvitationDraft) =>
    call<Invitation>("POST", `rooms/${seg(room)}/invitations`, draft),
  revokeInvitation: (room: string, code: string) =>
    call<void>("DELETE", `rooms/${seg(room)}/invitations/${seg(code)}`),

  playlist: (room: string, after?: string) =>
    call<Page<Item> & { version?: number }>(
      "GET",
      `rooms/${seg(room)}/playlist${query({ after, limit: 200 })}`,
    ),
  addItem: (room: string, draft: ItemDraft & { parent?: string }) =>
    call<Item>("POST", `rooms/${seg(room)}/playlist`, draft),
  /** Several in their order, all of them or none; at most `ADDED_AT_ONCE`. */
  addItems: (room: string, items: ItemDraft[], parent?: string) =>
    call<{ items: Item[] }>("POST", `rooms/${seg(room)}/playlist`, { items, ...(parent ? { parent } : {}) }),
  editItem: (room: string, item: string, change: { title?: string; url?: string }) =>
    call<Item>("PATCH", `rooms/${seg(room)}/playlist/${seg(item)}`, change),
  removeItem: (room: string, item: string) =>
    call<void>("DELETE", `rooms/${seg(room)}/playlist/${seg(item)}`),
  moveItem: (room: string, item: string, place: Place) =>
    call<Item>("POST", `rooms/${seg(room)}/playlist/${seg(item)}/move`, place),
  learnDuration: (room: string, item: string, duration: number) =>
    call<Item>("POST", `rooms/${seg(room)}/playlist/${seg(item)}/duration`, { duration }),
  undoPlaylist: (room: string, version: number) =>
    call<unknown>("POST", `rooms/${seg(room)}/playlist/undo`, { version }),
  played: (room: string, after?: string) =>
    call<Page<Play>>("GET", `rooms/${seg(room)}/playlist/history${query({ after, limit: 50 })}`),
  clearPlaylist: (room: string) => call<void>("DELETE", `rooms/${seg(room)}/playlist`),

  messages: (room: string, before?: string) =>
    call<Page<ChatMessage>>("GET", `rooms/${seg(room)}/messages${query({ before, limit: 50 })}`),
  deleteMessage: (room: string, id: string) => call<void>("DELETE", `rooms/${seg(room)}/messages/${seg(id)}`),

  createRoomStream: (room: string, title?: string) =>
    call<NewStream>("POST", `rooms/${seg(room)}/streams`, title ? { title } : {}),
  stream: (stream: string) => call<StreamInfo>("GET", `streams/${seg(stream)}`),
  rotateKey: (stream: string) => call<NewStream>("POST", `streams/${seg(stream)}/rotate-key`),
  stopStream: (stream: string) => call<void>("DELETE", `streams/${seg(stream)}/publisher`),
  deleteStream: (stream: string) => call<void>("DELETE", `streams/${seg(stream)}`),
};

/** The play token in whatever place a stream's description has it. */
export function playTokenOf(info: StreamInfo): string | undefined {
  const { play_token: given } = info;
  if (typeof given === "string") return given;
  return given?.token ?? info.token ?? undefined;
}
