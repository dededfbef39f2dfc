/** Everything the room page knows, as signals, kept up by the socket. */

import { batch, computed, type ReadonlySignal, signal } from "@preact/signals";
import type {
  ChatMessage,
  Danmaku,
  Item,
  Joined,
  Member,
  PlaybackMode,
  PlaybackState,
  PlayToken,
  Room,
  RoomEvent,
  RoomNotice,
  RoomSettings,
  You,
} from "../contract";
import { api } from "../net/api";
import { type Problem, sentenceOf } from "../net/problem";
import { randomId } from "../net/random_id";
import type { RoomListener, Socket } from "../net/socket";
import { allows, type Permission } from "../permissions";
import { toast } from "../ui/toasts";
import { describePlayback, describePlaylist, describeSettings } from "./describe";
import { DELETED, type Entry, putOut, refusal } from "./door";
import { applyPlaylist, inOrder } from "./playlist_order";

/** What the chat shows: messages, and lines about what happened. */
export type ChatEntry =
  | { kind: "message"; message: ChatMessage; pending?: boolean; failed?: string }
  | { kind: "note"; id: string; text: string; at: number };

const CHAT_KEPT = 500;
const CHOSEN_AND_STARTED_MS = 3_000;

export interface PlaybackCommand extends Record<string, unknown> {
  action: "play" | "pause" | "seek" | "rate" | "select" | "next" | "previous" | "mode";
  position?: number;
  rate?: number;
  item?: string;
  mode?: PlaybackMode;
}

export class RoomStore implements RoomListener {
  readonly entry = signal<Entry>({ step: "joining" });
  readonly room = signal<Room | null>(null);
  readonly you = signal<You | null>(null);
  readonly state = signal<PlaybackState | null>(null);
  readonly items = signal<Item[]>([]);
  readonly members = signal<ReadonlyMap<string, Member>>(new Map());
  readonly chat = signal<ChatEntry[]>([]);
  readonly viewers = signal(0);
  readonly live = signal<ReadonlyMap<string, boolean>>(new Map());
  /** How many watch each live stream, wherever they are. */
  readonly watching = signal<ReadonlyMap<string, number>>(new Map());
  readonly tokens = signal<ReadonlyMap<string, string>>(new Map());
  /** The last thing somebody did, shown over the picture for a moment. */
  readonly told = signal<{ id: number; text: string } | null>(null);
  /** Our own drift, ms, as it is right now. */
  readonly ownDrift = signal<number | null>(null);
  readonly earlierChat = signal<"more" | "loading" | "none">("none");
  /** What is being written, and the message it answers: they outlive a look at another panel. */
  readonly draft = signal("");
  readonly replyTo = signal<ChatMessage | null>(null);

  readonly current: ReadonlySignal<Item | null> = computed(() => {
    const id = this.state.value?.item ?? null;
    return id === null ? null : (this.items.value.find((item) => item.id === id) ?? null);
  });
  readonly settings: ReadonlySignal<RoomSettings> = computed(() => this.room.value?.settings ?? {});

  /** Somebody's danmaku, for whoever draws them. */
  onDanmaku: ((danmaku: Danmaku) => void) | null = null;

  private playlistVersion = 0;
  private noticeCount = 0;
  private triedPassword = false;

  constructor(
    readonly id: string,
    private readonly socket: Socket,
  ) {}

  enter(password?: string): void {
    this.triedPassword = password !== undefined;
    this.entry.value = { step: "joining" };
    this.socket.join(this.id, this, password);
  }

  can(permission: Permission): boolean {
    return allows(this.you.value?.permissions, permission);
  }

  joined(frame: Joined): void {
    const fresh = this.entry.peek().step !== "in";
    batch(() => {
      if (typeof frame.room === "object") this.room.value = frame.room;
      this.you.value = frame.you;
      this.state.value = frame.state;
      this.lastTold = frame.state;
      this.items.value = inOrder(frame.playlist.items);
      this.playlistVersion = frame.playlist.version;
      this.members.value = new Map(frame.members.map((member) => [member.user.id, member]));
      this.viewers.value = typeof frame.viewers === "number" ? frame.viewers : (frame.viewers?.count ?? 0);
      this.live.value = new Map((frame.streams ?? []).map((s) => [s.stream, s.status === "live"]));
      this.watching.value = new Map((frame.streams ?? []).map((s) => [s.stream, s.viewers ?? 0]));
      this.takeMessages(frame.messages);
      this.entry.value = { step: "in" };
    });
    if (frame.playlist.items.length >= 200) void this.refetchPlaylist();
    if (this.room.peek() === null || !fresh) void this.fetchRoom();
    for (const danmaku of frame.danmaku ?? []) this.onDanmaku?.(danmaku);
  }

  resumed(): void {
    this.entry.value = { step: "in" };
  }

  refused(problem: Problem): void {
    this.entry.value = refusal(problem, this.triedPassword);
  }

  event(event: RoomEvent): void {
    switch (event.type) {
      case "playback":
        this.takeState(event.state, event.by?.username ?? null, true);
        break;
      case "playlist":
        this.takePlaylist(event);
        break;
      case "member":
        this.takeMember(event);
        break;
      case "chat":
        this.takeMessages([event.message], event.client_id ?? undefined);
        break;
      case "chat_deleted":
        this.chat.value = this.chat.value.filter(
          (entry) => entry.kind !== "message" || entry.message.id !== event.message_id,
        );
        if (this.replyTo.peek()?.id === event.message_id) this.replyTo.value = null;
        break;
      case "stream":
        this.live.value = new Map(this.live.value).set(event.stream, event.status === "live");
        break;
      case "settings":
        this.takeSettings(event);
        break;
      case "room_deleted":
        this.entry.value = DELETED;
        break;
    }
  }

  notice(frame: RoomNotice): void {
    switch (frame.type) {
      case "danmaku":
        this.onDanmaku?.(frame);
        break;
      case "viewers":
        this.viewers.value = frame.count;
        break;
      case "stream_viewers":
        this.watching.value = new Map(this.watching.value).set(frame.stream, frame.count);
        break;
      case "you":
        this.you.value = {
          ...this.you.value,
          role: frame.role,
          state: frame.state,
          permissions: frame.permissions,
        };
        break;
      case "play_token":
        this.takeToken(frame);
        break;
      case "kicked":
        this.entry.value = putOut(frame.reason);
        break;
    }
  }

  /** Ask for a change of playback: only ever because somebody here wanted it. */
  async command(command: PlaybackCommand): Promise<boolean> {
    try {
      const answer = await this.socket.request({ type: "playback", room: this.id, ...command });
      if (answer.state) this.takeState(answer.state, null, false);
      return true;
    } catch (error) {
      const problem = error as Problem;
      if (problem.more?.state) this.takeState(problem.more.state, null, false);
      toast(sentenceOf(error), "error");
      return false;
    }
  }

  /** Put an item on the screen and let it run: choosing alone stands it at its beginning. */
  async playItem(item: string): Promise<void> {
    if (this.state.peek()?.item !== item && !(await this.command({ action: "select", item }))) return;
    if (this.can("PLAY_CONTROL") && !this.state.peek()?.playing) await this.command({ action: "play" });
  }

  /** Say something; it is shown at once and settled when the server has it. */
  async say(text: string, replyTo: string | null = null, clientId = randomId()): Promise<void> {
    const me = this.you.peek()?.user;
    if (me === undefined) return;
    const message: ChatMessage = { id: clientId, user: me, text, at: Date.now(), reply_to: replyTo };
    const others = this.chat.peek().filter((e) => e.kind !== "message" || e.message.id !== clientId);
    this.chat.value = [...others, { kind: "message", message, pending: true }];
    try {
      const answer = await this.socket.request(
        { type: "chat", room: this.id, client_id: clientId, text, ...(replyTo ? { reply_to: replyTo } : {}) },
        true,
      );
      if (answer.message) this.takeMessages([answer.message], clientId);
    } catch (error) {
      this.chat.value = this.chat
        .peek()
        .map((e) =>
          e.kind === "message" && e.message.id === clientId ? { ...e, failed: sentenceOf(error) } : e,
        );
    }
  }

  async sendDanmaku(text: string, look: Pick<Danmaku, "color" | "mode" | "size">): Promise<boolean> {
    try {
      await this.socket.request({ type: "danmaku", room: this.id, client_id: randomId(), text, ...look });
      return true;
    } catch (error) {
      toast(sentenceOf(error), "error");
      return false;
    }
  }

  async fetchRoom(): Promise<void> {
    try {
      this.room.value = await api.room(this.id);
    } catch {
      // Without it the page has no name for the room, which does no harm.
    }
  }

  /** How well each member keeps to the room, asked for while somebody looks at the list. */
  async refreshMembers(): Promise<void> {
    try {
      const { items } = await api.members(this.id);
      const next = new Map(this.members.peek());
      for (const member of items) next.set(member.user.id, member);
      this.members.value = next;
    } catch {
      // The list stays as the events left it; the next look comes soon.
    }
  }

  async refetchPlaylist(): Promise<void> {
    const all: Item[] = [];
    let after: string | undefined;
    try {
      do {
        const page = await api.playlist(this.id, after);
        all.push(...page.items);
        after = page.next ?? undefined;
      } while (after !== undefined && all.length < 10_000);
      this.items.value = inOrder(all);
    } catch (error) {
      toast(sentenceOf(error), "error");
    }
  }

  async loadEarlier(): Promise<void> {
    const oldest = this.chat.peek().find((e) => e.kind === "message" && !e.pending);
    if (oldest?.kind !== "message" || this.earlierChat.peek() !== "more") return;
    this.earlierChat.value = "loading";
    try {
      const page = await api.messages(this.id, oldest.message.id);
      this.takeMessages(page.items);
      this.earlierChat.value = page.items.length >= 50 ? "more" : "none";
    } catch (error) {
      this.earlierChat.value = "more";
      toast(sentenceOf(error), "error");
    }
  }

  /** A member as the server has just changed him for us: the event may come later. */
  takeChanged(member: Member): void {
    const known = this.members.peek().get(member.user.id);
    const online = member.state !== "banned" && (known?.online ?? member.online);
    this.members.value = new Map(this.members.peek()).set(member.user.id, { ...member, online });
  }

  takeToken({ stream, token }: Pick<PlayToken, "stream" | "token">): void {
    this.tokens.value = new Map(this.tokens.value).set(stream, token);
  }

  private takeState(state: PlaybackState, by: string | null, tell: boolean): void {
    const before = this.state.peek();
    if (before !== null && state.revision < before.revision) return;
    if (before !== null && state.revision === before.revision && !tell) return;
    const titleOf = (id: string) => this.items.peek().find((item) => item.id === id)?.title;
    const text = tell ? describePlayback(this.lastTold ?? before, state, by, titleOf) : null;
    if (tell) this.lastTold = state;
    else this.lastTold ??= before;
    this.state.value = state;
    // Putting something on the screen is two commands, and one thing somebody did.
    const chosen = before?.item !== state.item;
    if (chosen && tell) this.chosenAt = state.at;
    const alsoStarted =
      !chosen && state.at - this.chosenAt < CHOSEN_AND_STARTED_MS && text?.endsWith("pressed play");
    if (text !== null && !alsoStarted) this.tell(text);
  }

  /** The last state that was told of: an ack may bring a state before its event does. */
  private lastTold: PlaybackState | null = null;
  private chosenAt = 0;

  private tell(text: string): void {
    this.told.value = { id: ++this.noticeCount, text };
    this.append({ kind: "note", id: `note-${this.noticeCount}`, text, at: Date.now() });
  }

  private takePlaylist(event: Extract<RoomEvent, { type: "playlist" }>): void {
    if (event.version <= this.playlistVersion) return;
    const gap = event.version !== this.playlistVersion + 1;
    this.playlistVersion = event.version;
    const known = this.items.peek().find((item) => item.id === event.item?.id);
    const text = describePlaylist(event, known);
    const next = gap ? null : applyPlaylist(this.items.peek(), event);
    if (next === null) void this.refetchPlaylist();
    else this.items.value = next;
    if (text !== null) this.append({ kind: "note", id: `list-${event.version}`, text, at: event.at });
  }

  private takeMember(event: Extract<RoomEvent, { type: "member" }>): void {
    const { member } = event;
    const next = new Map(this.members.peek());
    const before = next.get(member.user.id);
    const banned = event.removed === "banned";
    if (event.change === "left" && !banned && (event.removed || member.role === "guest"))
      next.delete(member.user.id);
    else next.set(member.user.id, { ...member, online: event.change === "left" ? false : member.online });
    this.members.value = next;
    const mine = member.user.id === this.you.peek()?.user?.id;
    if (mine || (event.change === "joined" && before?.online)) return;
    if (event.change === "joined" || event.change === "left") {
      const verb = event.change === "joined" ? "came in" : event.removed ? `was ${event.removed}` : "left";
      this.append({
        kind: "note",
        id: `member-${event.seq}`,
        text: `${member.user.username} ${verb}`,
        at: event.at,
      });
    }
  }

  private takeSettings(event: Extract<RoomEvent, { type: "settings" }>): void {
    const room = this.room.peek();
    const { settings } = event;
    const text = "id" in settings ? describeSettings(room, settings, event.by?.username) : null;
    if (text !== null) this.append({ kind: "note", id: `settings-${event.seq}`, text, at: event.at });
    if ("id" in settings) this.room.value = settings;
    else if (room !== null) this.room.value = { ...room, settings };
  }

  private takeMessages(messages: readonly ChatMessage[], clientId?: string): void {
    const known = new Map<string, ChatEntry>();
    for (const entry of this.chat.peek()) {
      if (entry.kind === "note") known.set(entry.id, entry);
      else if (entry.message.id !== clientId) known.set(entry.message.id, entry);
    }
    for (const message of messages) known.set(message.id, { kind: "message", message });
    const entries = [...known.values()].sort((a, b) => entryTime(a) - entryTime(b));
    if (this.earlierChat.peek() === "none" && messages.length >= 50) this.earlierChat.value = "more";
    this.chat.value = entries.length > CHAT_KEPT * 4 ? entries.slice(-CHAT_KEPT * 4) : entries;
  }

  private append(entry: ChatEntry): void {
    const entries = this.chat.peek();
    this.chat.value =
      entries.length >= CHAT_KEPT ? [...entries.slice(1 - CHAT_KEPT), entry] : [...entries, entry];
  }
}

function entryTime(entry: ChatEntry): number {
  return entry.kind === "message" ? entry.message.at : entry.at;
}
