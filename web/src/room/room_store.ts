/** Everything the room page knows, as signals, kept up by the socket. */

import { batch, computed, type ReadonlySignal, signal } from "@preact/signals";
import type {
  ChatMessage,
  Danmaku,
  Item,
  Joined,
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
import type { DoorKey } from "../net/resume";
import type { RoomListener, Socket } from "../net/socket";
import { allows, type Permission } from "../permissions";
import { localNow } from "../sync/engine";
import { toast } from "../ui/toasts";
import { ChatLog } from "./chat_log";
import { describeMember, describePlayback, describePlaylist, describeSettings } from "./describe";
import { DELETED, type Entry, putOut, refusal } from "./door";
import { People } from "./people";
import { applyPlaylist, inOrder } from "./playlist_order";
import { foldersAbove, type Tree, treeOf } from "./playlist_tree";

/** What somebody did to the playback. */
export interface Told {
  id: number;
  text: string;
  /** How many steps back lead to before it; 0: it was no member's doing, or is one that goes back itself. */
  undo: number;
}

/** What somebody did to the playlist, at this version. */
export interface ListChange {
  text: string;
  version: number;
  change: "added" | "edited" | "moved" | "removed" | "cleared";
  by: string;
}

const CHOSEN_AND_STARTED_MS = 3_000;
const REFETCHES = 3;

export interface PlaybackCommand extends Record<string, unknown> {
  action: "play" | "pause" | "seek" | "rate" | "select" | "next" | "previous" | "mode" | "undo";
  position?: number;
  rate?: number;
  item?: string;
  mode?: PlaybackMode;
  /** What it is based on: refused where the room has moved on. */
  revision?: number;
}

export class RoomStore implements RoomListener {
  readonly entry = signal<Entry>({ step: "joining" });
  readonly room = signal<Room | null>(null);
  readonly you = signal<You | null>(null);
  readonly state = signal<PlaybackState | null>(null);
  readonly items = signal<Item[]>([]);
  /** Folders that are open on this page. */
  readonly open = signal<ReadonlySet<string>>(new Set());
  /** The folder that what is added next goes into; null: the top. */
  readonly into = signal<string | null>(null);
  readonly people: People;
  readonly log = new ChatLog();
  readonly viewers = signal(0);
  readonly live = signal<ReadonlyMap<string, boolean>>(new Map());
  /** How many watch each live stream, wherever they are. */
  readonly watching = signal<ReadonlyMap<string, number>>(new Map());
  readonly tokens = signal<ReadonlyMap<string, string>>(new Map());
  /** The last thing somebody did, shown over the picture for a moment. */
  readonly told = signal<Told | null>(null);
  /** The last change of the playlist, for those who may take it back. */
  readonly listChange = signal<ListChange | null>(null);
  /** Our own drift, ms, as it is right now. */
  readonly ownDrift = signal<number | null>(null);
  /** What is being written, and the message it answers: they outlive a look at another panel. */
  readonly draft = signal("");
  readonly replyTo = signal<ChatMessage | null>(null);

  readonly current: ReadonlySignal<Item | null> = computed(() => {
    const id = this.state.value?.item ?? null;
    return id === null ? null : (this.items.value.find((item) => item.id === id) ?? null);
  });
  readonly tree: ReadonlySignal<Tree> = computed(() => treeOf(this.items.value));
  /** Items without the folders. */
  readonly count: ReadonlySignal<number> = computed(
    () => this.items.value.filter((item) => item.kind !== "folder").length,
  );
  readonly settings: ReadonlySignal<RoomSettings> = computed(() => this.room.value?.settings ?? {});

  /** Somebody's danmaku, for whoever draws them. */
  onDanmaku: ((danmaku: Danmaku) => void) | null = null;

  private playlistVersion = 0;
  private noticeCount = 0;
  private triedPassword = false;

  constructor(
    readonly id: string,
    private readonly socket: Socket,
  ) {
    this.people = new People(id);
  }

  enter(key: DoorKey = {}): void {
    this.triedPassword = key.password !== undefined;
    if (this.entry.peek().step !== "pending") this.entry.value = { step: "joining" };
    this.socket.join(this.id, this, key);
  }

  /** Server time, epoch ms. */
  now(): number {
    return this.socket.clock.serverAt(localNow());
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
      this.people.begin(frame.members);
      this.viewers.value = typeof frame.viewers === "number" ? frame.viewers : (frame.viewers?.count ?? 0);
      this.live.value = new Map((frame.streams ?? []).map((s) => [s.stream, s.status === "live"]));
      this.watching.value = new Map((frame.streams ?? []).map((s) => [s.stream, s.viewers ?? 0]));
      this.log.take(frame.messages);
      this.entry.value = { step: "in" };
    });
    this.openTo(frame.state.item);
    if (frame.playlist.items.length >= 200) void this.refetchPlaylist();
    if (this.can("APPROVE_MEMBER")) this.people.refresh(["pending"]).catch(() => undefined);
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
        this.log.take([event.message], event.client_id ?? undefined);
        break;
      case "chat_deleted":
        this.log.remove(event.message_id);
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
        this.takeYou(frame);
        break;
      case "play_token":
        this.takeToken(frame);
        break;
      case "kicked":
        this.entry.value = putOut(frame.reason, this.settings.peek().kick_cooldown_s ?? undefined);
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

  /** Take back what somebody did last to the playback, unless somebody changes it meanwhile. */
  async undo(): Promise<void> {
    const steps = Math.max(1, this.told.peek()?.undo ?? 0);
    for (let step = 0; step < steps; step++) {
      if (!(await this.command({ action: "undo", revision: this.state.peek()?.revision }))) return;
    }
  }

  /** Take the last change of the playlist back. */
  async undoList(): Promise<void> {
    try {
      await api.undoPlaylist(this.id, this.playlistVersion);
    } catch (error) {
      toast(sentenceOf(error), "error");
    }
  }

  setOpen(folder: string, open: boolean): void {
    const next = new Set(this.open.peek());
    if (open) next.add(folder);
    else next.delete(folder);
    this.open.value = next;
  }

  /** Open the folders that an item is in: what plays is to be seen. */
  private openTo(item: string | null): void {
    if (item === null) return;
    for (const folder of foldersAbove(this.items.peek(), item)) this.setOpen(folder.id, true);
  }

  /** Say something; it is shown at once and settled when the server has it. */
  async say(text: string, replyTo: string | null = null, clientId = randomId()): Promise<void> {
    const me = this.you.peek()?.user;
    if (me === undefined) return;
    const message: ChatMessage = { id: clientId, user: me, text, at: Date.now(), reply_to: replyTo };
    this.log.pend(message);
    try {
      const answer = await this.socket.request(
        { type: "chat", room: this.id, client_id: clientId, text, ...(replyTo ? { reply_to: replyTo } : {}) },
        true,
      );
      if (answer.message) this.log.take([answer.message], clientId);
    } catch (error) {
      this.log.fail(clientId, sentenceOf(error));
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

  async refetchPlaylist(): Promise<void> {
    try {
      for (let tries = 0; tries < REFETCHES; tries++) {
        const all: Item[] = [];
        let after: string | undefined;
        let version = Number.POSITIVE_INFINITY;
        do {
          const page = await api.playlist(this.id, after);
          version = Math.min(version, page.version ?? version);
          all.push(...page.items);
          after = page.next ?? undefined;
        } while (after !== undefined && all.length < 10_000);
        this.items.value = inOrder(all);
        // What was changed meanwhile is in the list only in part.
        if (version >= this.playlistVersion) {
          if (Number.isFinite(version)) this.playlistVersion = version;
          return;
        }
      }
    } catch (error) {
      toast(sentenceOf(error), "error");
    }
  }

  async loadEarlier(): Promise<void> {
    const oldest = this.log.oldest();
    const { earlier } = this.log;
    if (oldest === null || earlier.peek() !== "more") return;
    earlier.value = "loading";
    try {
      this.log.takeEarlier((await api.messages(this.id, oldest.id)).items);
    } catch (error) {
      earlier.value = "more";
      toast(sentenceOf(error), "error");
    }
  }

  takeToken({ stream, token }: Pick<PlayToken, "stream" | "token">): void {
    this.tokens.value = new Map(this.tokens.value).set(stream, token);
  }

  private takeState(state: PlaybackState, by: string | null, tell: boolean): void {
    const before = this.state.peek();
    if (before !== null && state.revision < before.revision) return;
    if (before?.item !== state.item) this.openTo(state.item);
    if (before !== null && state.revision === before.revision && !tell) return;
    const titleOf = (id: string) => this.items.peek().find((item) => item.id === id)?.title;
    const known = this.lastTold ?? before;
    const text = tell ? describePlayback(known, state, by, titleOf) : null;
    const wentBack = (state.undoable ?? 0) < (known?.undoable ?? 0);
    if (tell) this.lastTold = state;
    else this.lastTold ??= before;
    this.state.value = state;
    // Putting something on the screen is two commands, and one thing somebody did.
    const chosen = before?.item !== state.item;
    if (chosen && tell) this.chosenAt = state.at;
    const alsoStarted =
      !chosen && state.at - this.chosenAt < CHOSEN_AND_STARTED_MS && text?.endsWith("pressed play");
    if (text === null || alsoStarted) {
      const told = this.told.peek();
      if (alsoStarted && told !== null && told.undo > 0) this.told.value = { ...told, undo: 2 };
      return;
    }
    // Before going on without somebody the room would have gone on as well: nothing is to be taken back.
    const back = by !== null && !wentBack && !known?.hold && (state.undoable ?? 0) > 0;
    this.tell(text, back ? 1 : 0);
  }

  /** The last state that was told of: an ack may bring a state before its event does. */
  private lastTold: PlaybackState | null = null;
  private chosenAt = 0;

  private tell(text: string, undo: number): void {
    this.told.value = { id: ++this.noticeCount, text, undo };
    this.log.note(`note-${this.noticeCount}`, text, Date.now());
  }

  private takePlaylist(event: Extract<RoomEvent, { type: "playlist" }>): void {
    if (event.version <= this.playlistVersion) return;
    const gap = event.version !== this.playlistVersion + 1;
    this.playlistVersion = event.version;
    const text = describePlaylist(event, this.items.peek());
    const next = gap ? null : applyPlaylist(this.items.peek(), event);
    if (next === null) void this.refetchPlaylist();
    else this.items.value = next;
    if (text === null) return;
    const { version, change, by } = event;
    // In the talk it would be noise: it is said beside the list.
    if (event.undo || (change !== "moved" && change !== "edited"))
      this.log.note(`list-${version}`, text, event.at);
    this.listChange.value = event.undo || !by ? null : { text, version, change, by: by.id };
  }

  private takeMember(event: Extract<RoomEvent, { type: "member" }>): void {
    const { member } = event;
    const before = this.people.take(event);
    const mine = member.user.id === this.you.peek()?.user?.id;
    const text = mine ? null : describeMember(event, before);
    if (text === null) return;
    if (member.state === "pending") this.tell(text, 0);
    else this.log.note(`member-${event.seq}`, text, event.at);
  }

  private takeYou(frame: You): void {
    const waited = this.entry.peek().step === "pending";
    this.you.value = { ...this.you.value, ...frame };
    if (frame.state === "pending") this.entry.value = { step: "pending" };
    else if (waited && frame.state === "active") this.enter();
  }

  private takeSettings(event: Extract<RoomEvent, { type: "settings" }>): void {
    const room = this.room.peek();
    const { settings } = event;
    const text = "id" in settings ? describeSettings(room, settings, event.by?.username) : null;
    if (text !== null) this.log.note(`settings-${event.seq}`, text, event.at);
    if ("id" in settings) this.room.value = settings;
    else if (room !== null) this.room.value = { ...room, settings };
  }
}
