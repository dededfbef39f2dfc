/** The shapes of the HTTP API and of the socket, as the gateway sends them. Times are epoch ms, positions s. */

export interface UserRef {
  id: string;
  username: string;
}

export interface User extends UserRef {
  role: "root" | "admin" | "user";
  state: "active" | "pending" | "banned";
  guest: boolean;
}

export type RoomRole = "creator" | "admin" | "member" | "guest";

export interface Member {
  user: User;
  role: RoomRole;
  state: "active" | "pending" | "banned";
  /** A 64-bit mask as a decimal string. */
  permissions: string;
  online: boolean;
  sync?: { drift_ms: number | null; buffering: boolean };
}

export interface You {
  user?: User;
  role: RoomRole;
  state: "active" | "pending" | "banned";
  permissions: string;
}

export interface RoomSettings {
  guest_access?: boolean;
  wait?: "ignore" | "wait";
  live_delay_ms?: number;
  /** 0: no limit. */
  member_limit?: number;
  /** Newcomers wait until somebody lets them in, those with an invitation excepted. */
  approval?: boolean;
  /** How long one who was put out stays out; null: as long as the site says. */
  kick_cooldown_s?: number | null;
  /** Masks as decimal strings; a role that is absent has what the site gives it. */
  role_defaults?: Partial<Record<RoomRole, string>>;
}

export interface Room {
  id: string;
  name: string;
  hidden: boolean;
  has_password: boolean;
  creator: UserRef | string;
  settings: RoomSettings;
  created_at: number;
}

/** A link into a room: who has it needs neither password nor approval. */
export interface Invitation {
  code: string;
  url: string;
  /** Null: any number of people. */
  max_uses: number | null;
  uses: number;
  /** Null: never. */
  expires_at: number | null;
}

/** What the room came to, by its title then; it may be gone since. */
export interface Play {
  item: string;
  title: string;
  kind: Item["kind"];
  at: number;
  /** Null: the item before it had ended. */
  by: UserRef | null;
}

export interface Subtitle {
  url: string;
  title: string;
  language: string;
}

export interface Item {
  id: string;
  title: string;
  kind: "url" | "live" | "folder" | "provider";
  url?: string | null;
  stream?: string | null;
  duration?: number | null;
  subtitles?: Subtitle[];
  parent: string | null;
  position: number;
  added_by: UserRef | string;
}

export type PlaybackMode = "sequential" | "repeat_one" | "repeat_all" | "shuffle";

/** The room would play, but waits for these, until then at the latest. */
export interface Hold {
  since: number;
  until: number;
  members: UserRef[];
}

export interface PlaybackState {
  item: string | null;
  playing: boolean;
  /** Seconds; of a live item, program date-time in seconds since 1970. */
  position: number;
  rate: number;
  at: number;
  revision: number;
  live: boolean;
  mode: PlaybackMode;
  /** Set only while `playing` is false; `play` goes on without them. */
  hold?: Hold | null;
  /** How many changes `undo` can take back. */
  undoable?: number;
}

export interface ChatMessage {
  id: string;
  user: UserRef;
  text: string;
  at: number;
  reply_to?: string | null;
  edited?: number | null;
}

export type DanmakuMode = "scroll" | "top" | "bottom";
export type DanmakuSize = "small" | "normal" | "large";

export interface Danmaku {
  user: UserRef;
  text: string;
  color: string;
  mode: DanmakuMode;
  size: DanmakuSize;
  at: number;
}

export interface RoomStream {
  stream: string;
  status?: "live" | "offline";
  title?: string;
  viewers?: number;
}

export interface PlayToken {
  stream: string;
  token: string;
  expires_at?: number;
}

export interface Page<T> {
  items: T[];
  next: string | null;
}

export interface Joined {
  type: "joined";
  id?: string;
  room: string | Room;
  you: You;
  state: PlaybackState;
  playlist: { version: number; items: Item[] };
  members: Member[];
  messages: ChatMessage[];
  danmaku: Danmaku[];
  streams: RoomStream[];
  viewers: number | { count: number };
  seq: number;
  epoch: string | number;
  now: number;
}

export interface Resumed {
  type: "resumed";
  id?: string;
  room: string;
  after: number;
  seq: number;
  epoch: string | number;
  now: number;
}

interface Event {
  room: string;
  seq: number;
  at: number;
}

export type RoomEvent =
  | (Event & { type: "playback"; state: PlaybackState; by?: UserRef | null })
  | (Event & {
      type: "playlist";
      change: "added" | "edited" | "moved" | "removed" | "cleared";
      item?: Item | null;
      items?: Item[] | null;
      version: number;
      by?: UserRef | null;
      /** Somebody took an earlier change back. */
      undo?: boolean;
    })
  | (Event & {
      type: "member";
      change: "joined" | "left" | "updated";
      member: Member;
      removed?: string | null;
      reason?: string | null;
    })
  | (Event & { type: "chat"; message: ChatMessage; client_id?: string | null })
  | (Event & { type: "chat_deleted"; message_id: string })
  | (Event & { type: "stream"; stream: string; status: "live" | "offline" })
  | (Event & { type: "settings"; settings: Room | RoomSettings; by?: UserRef | null })
  | (Event & { type: "room_deleted" });

/** Frames that carry no `seq`: they are never replayed. */
export type RoomNotice =
  | ({ type: "danmaku"; room: string } & Danmaku)
  | { type: "viewers"; room: string; count: number }
  /** How many watch one of the room's streams, in the room and elsewhere. */
  | { type: "stream_viewers"; room: string; stream: string; count: number }
  | ({ type: "you"; room: string } & You)
  | { type: "kicked"; room: string; reason: string }
  | ({ type: "play_token"; room?: string } & PlayToken);

export interface ErrorFrame {
  type: "error";
  id?: string;
  room?: string;
  code: string;
  detail: string;
  retry_after?: number;
  state?: PlaybackState;
}

export interface AckFrame {
  type: "ack";
  id: string;
  state?: PlaybackState;
  message?: ChatMessage;
}

export type ServerFrame =
  | Joined
  | Resumed
  | RoomEvent
  | RoomNotice
  | AckFrame
  | ErrorFrame
  | { type: "time"; id?: string; t0: number; t1: number; t2: number }
  | { type: "pong"; id?: string };
