/** The socket: one connection that comes back by itself, keeps its rooms joined, its token and clock fresh. */

import { signal } from "@preact/signals";
import type { AckFrame, ErrorFrame, Joined, Resumed, RoomEvent, RoomNotice, ServerFrame } from "../contract";
import { Clock, SleepDetector } from "../sync/clock";
import { offline, Problem } from "./problem";
import { randomId } from "./random_id";
import { afterClose, backoffMs, type DoorKey, type JoinFrame, RoomCursor } from "./resume";

const ANSWER_MS = 10_000;
const PROBE_MS = 6_000;
const TOKEN_CHECK_MS = 20_000;
const STABLE_MS = 10_000;

export type ConnectionState = "connecting" | "open" | "waiting" | "signed_out";

export interface RoomListener {
  joined(frame: Joined): void;
  resumed(frame: Resumed): void;
  event(frame: RoomEvent): void;
  notice(frame: RoomNotice): void;
  /** The room does not let us in. */
  refused(problem: Problem): void;
}

export interface SocketEnvironment {
  open(token: string): WebSocket;
  /** A token that is good now; `rejected` is one the server refused. Null: nobody is signed in. */
  token(rejected?: string): Promise<string | null>;
  /** Local monotonic ms. */
  now(): number;
  /** Wall clock ms, only to notice sleep. */
  wall(): number;
  random(): number;
}

interface Pending {
  resolve(frame: AckFrame | Joined | Resumed): void;
  reject(problem: Problem): void;
  timer: ReturnType<typeof setTimeout>;
  /** A chat frame is the same however often it is sent, so it outlives its connection. */
  resend: string | null;
}

interface JoinedRoom {
  cursor: RoomCursor;
  listener: RoomListener;
  key: DoorKey;
  /** Not let in: only somebody's wish asks again. */
  refused: boolean;
  /** Somebody has to let us in: a new connection goes on waiting. */
  waits: boolean;
}

export class Socket {
  readonly state = signal<ConnectionState>("connecting");
  readonly clock = new Clock();
  /** Local time of the next try to reconnect. */
  readonly retryAt = signal<number | null>(null);

  private ws: WebSocket | null = null;
  private token = "";
  private readonly rooms = new Map<string, JoinedRoom>();
  private readonly pending = new Map<string, Pending>();
  private readonly sleep = new SleepDetector();
  private attempt = 0;
  /** Local time of the last frame. */
  private heardAt = 0;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private timeTimer: ReturnType<typeof setTimeout> | undefined;
  private probeTimer: ReturnType<typeof setTimeout> | undefined;
  private stableTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly tokenTimer: ReturnType<typeof setInterval>;
  private closed = false;
  private connecting = false;

  constructor(private readonly env: SocketEnvironment) {
    this.tokenTimer = setInterval(() => void this.renewToken(), TOKEN_CHECK_MS);
    void this.connect();
  }

  /** Be in a room from now on, over however many connections. */
  join(room: string, listener: RoomListener, key: DoorKey = {}): void {
    const known = this.rooms.get(room);
    const entry: JoinedRoom = {
      cursor: known?.cursor ?? new RoomCursor(room),
      listener,
      key,
      refused: false,
      waits: false,
    };
    this.rooms.set(room, entry);
    if (this.ws?.readyState === WebSocket.OPEN) this.sendJoin(entry);
  }

  /** A frame that is answered by `ack` or `error`. */
  request(frame: { type: string } & Record<string, unknown>, resend = false): Promise<AckFrame> {
    const id = randomId(12);
    const text = JSON.stringify({ ...frame, id });
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.pending.delete(id);
        reject(new Problem("unavailable", "The server did not answer in time. Please try again."));
      }, ANSWER_MS);
      this.pending.set(id, {
        resolve: (answer) => resolve(answer as AckFrame),
        reject,
        timer,
        resend: resend ? text : null,
      });
      if (this.ws?.readyState === WebSocket.OPEN && (!resend || this.allJoined())) this.ws.send(text);
      else if (!resend) this.settle(id)?.reject(offline());
    });
  }

  /** A frame nobody waits for. */
  post(frame: { type: string } & Record<string, unknown>): void {
    if (this.ws?.readyState === WebSocket.OPEN) this.ws.send(JSON.stringify(frame));
  }

  /** Try now: the network came back, or somebody pressed a button. */
  reconnectNow(): void {
    if (this.closed) return;
    if (this.ws?.readyState === WebSocket.OPEN) {
      this.probe();
      return;
    }
    if (this.ws !== null) return;
    clearTimeout(this.retryTimer);
    void this.connect();
  }

  /** Look whether the machine slept; call when the page is shown again. */
  wake(): void {
    if (this.sleep.look(this.env.now(), this.env.wall())) {
      this.clock.reset();
      this.reconnectNow();
      this.sampleTime();
    }
  }

  close(): void {
    this.closed = true;
    clearInterval(this.tokenTimer);
    for (const timer of [this.retryTimer, this.timeTimer, this.probeTimer, this.stableTimer])
      clearTimeout(timer);
    for (const id of [...this.pending.keys()]) this.settle(id)?.reject(offline());
    this.ws?.close(1000);
    this.ws = null;
  }

  private allJoined(): boolean {
    return [...this.rooms.values()].every((room) => room.cursor.position !== null);
  }

  private async connect(rejected?: string): Promise<void> {
    if (this.closed || this.connecting || this.ws !== null) return;
    this.connecting = true;
    this.retryAt.value = null;
    this.state.value = "connecting";
    try {
      const token = await this.env.token(rejected);
      if (this.closed) return;
      if (token === null) {
        this.state.value = "signed_out";
        return;
      }
      this.token = token;
      this.attach(this.env.open(token));
    } catch {
      this.again("later");
    } finally {
      this.connecting = false;
    }
  }

  private attach(ws: WebSocket): void {
    this.ws = ws;
    ws.onopen = () => {
      if (this.ws !== ws) return;
      this.state.value = "open";
      this.stableTimer = setTimeout(() => {
        this.attempt = 0;
      }, STABLE_MS);
      this.clock.reset();
      for (const room of this.rooms.values()) if (!room.refused) this.sendJoin(room);
      this.sampleTime();
    };
    ws.onmessage = (message) => {
      if (this.ws === ws && typeof message.data === "string") this.receive(message.data);
    };
    ws.onclose = (event) => {
      if (this.ws === ws) this.lost(event.code);
    };
  }

  private lost(code: number): void {
    this.ws = null;
    for (const timer of [this.timeTimer, this.probeTimer, this.stableTimer]) clearTimeout(timer);
    this.probeTimer = undefined;
    for (const [id, pending] of [...this.pending])
      if (pending.resend === null) this.settle(id)?.reject(offline());
    this.again(afterClose(code));
  }

  private again(how: ReturnType<typeof afterClose>): void {
    if (this.closed) return;
    const attempt = this.attempt++;
    const patient = how === "later" || attempt > 0;
    const wait = patient ? backoffMs(attempt, this.env.random()) : 0;
    this.state.value = patient ? "waiting" : "connecting";
    this.retryAt.value = this.env.now() + wait;
    clearTimeout(this.retryTimer);
    const rejected = how === "renew" ? this.token : undefined;
    this.retryTimer = setTimeout(() => void this.connect(rejected), wait);
  }

  private sendJoin(room: JoinedRoom): void {
    const frame: JoinFrame & { id: string } = { ...room.cursor.joinFrame(room.key), id: randomId(12) };
    const timer = setTimeout(() => {
      // No answer to a join leaves nothing to go on with: a new connection may reach a gateway that answers.
      if (this.pending.delete(frame.id)) this.ws?.close(4000);
    }, ANSWER_MS);
    this.pending.set(frame.id, {
      resolve: () => this.resendChat(),
      reject: (problem) => {
        if (problem.code === "offline") return;
        // Too many guesses of a password are for the person to know of, who has another one to try.
        const guessed = problem.code === "rate_limited" && room.key.password !== undefined;
        if (!guessed && (problem.code === "unavailable" || problem.code === "rate_limited")) {
          const wait = (problem.more.retryAfter ?? 1) * 1000;
          setTimeout(() => this.ws?.readyState === WebSocket.OPEN && this.sendJoin(room), wait);
          return;
        }
        if (problem.code === "unauthenticated") {
          this.ws?.close(4000);
          return;
        }
        room.refused = !room.waits;
        room.listener.refused(problem);
      },
      timer,
      resend: null,
    });
    this.post({ ...frame });
  }

  private resendChat(): void {
    for (const pending of this.pending.values()) {
      if (pending.resend !== null && this.ws?.readyState === WebSocket.OPEN) this.ws.send(pending.resend);
    }
  }

  private settle(id: string | undefined): Pending | undefined {
    if (id === undefined) return undefined;
    const pending = this.pending.get(id);
    if (pending !== undefined) {
      this.pending.delete(id);
      clearTimeout(pending.timer);
    }
    return pending;
  }

  private receive(text: string): void {
    const received = this.env.now();
    let frame: ServerFrame;
    try {
      frame = JSON.parse(text) as ServerFrame;
    } catch {
      return;
    }
    this.heardAt = received;
    switch (frame.type) {
      case "time":
        clearTimeout(this.probeTimer);
        this.probeTimer = undefined;
        this.clock.add({ t0: frame.t0, t1: frame.t1, t2: frame.t2, t3: received });
        this.scheduleTime();
        return;
      case "pong":
        return;
      case "ack":
        this.settle(frame.id)?.resolve(frame);
        return;
      case "error":
        this.settle(frame.id)?.reject(problemOfFrame(frame));
        return;
      default:
        this.toRoom(frame);
    }
  }

  private toRoom(frame: Exclude<ServerFrame, AckFrame | ErrorFrame | { type: "time" | "pong" }>): void {
    const name = "room" in frame && frame.room !== undefined ? frame.room : undefined;
    const id = typeof name === "object" ? name.id : name;
    const room = id === undefined ? [...this.rooms.values()][0] : this.rooms.get(id);
    if (room === undefined) return;
    switch (frame.type) {
      case "joined":
        room.cursor.joined(frame);
        room.listener.joined(frame);
        this.settle(frame.id)?.resolve(frame);
        return;
      case "resumed":
        if (!room.cursor.resumed(frame)) {
          this.settle(frame.id);
          this.sendJoin(room);
          return;
        }
        room.listener.resumed(frame);
        this.settle(frame.id)?.resolve(frame);
        return;
      case "kicked":
        room.refused = true;
        room.waits = false;
        room.cursor.forget();
        room.listener.notice(frame);
        return;
      case "you":
        room.waits = frame.state === "pending";
        room.listener.notice(frame);
        return;
      case "danmaku":
      case "viewers":
      case "stream_viewers":
      case "play_token":
        room.listener.notice(frame);
        return;
      default:
        if (typeof frame.seq === "number" && room.cursor.accept(frame.seq)) room.listener.event(frame);
    }
  }

  private sampleTime(): void {
    if (this.ws?.readyState !== WebSocket.OPEN) return;
    if (this.sleep.look(this.env.now(), this.env.wall())) this.clock.reset();
    this.probe();
  }

  /** A time question: its answer is a sample, its absence a dead connection. */
  private probe(): void {
    const { ws } = this;
    if (ws?.readyState !== WebSocket.OPEN) return;
    clearTimeout(this.timeTimer);
    if (this.probeTimer === undefined) {
      const asked = this.env.now();
      this.probeTimer = setTimeout(() => {
        this.probeTimer = undefined;
        if (this.ws !== ws) return;
        if (this.heardAt > asked) {
          this.sampleTime();
          return;
        }
        // `close` would wait for an answer that never comes: let go at once.
        ws.onclose = null;
        ws.close(4000);
        this.lost(4000);
      }, PROBE_MS);
    }
    ws.send(JSON.stringify({ type: "time", id: randomId(8), t0: this.env.now() }));
  }

  private scheduleTime(): void {
    clearTimeout(this.timeTimer);
    this.timeTimer = setTimeout(() => this.sampleTime(), this.clock.nextIn);
  }

  private async renewToken(): Promise<void> {
    if (this.ws?.readyState !== WebSocket.OPEN) return;
    try {
      const token = await this.env.token();
      if (token === null || token === this.token) return;
      this.token = token;
      await this.request({ type: "auth", token });
    } catch {
      // The next look tries again; 4001 renews in any case.
    }
  }
}

function problemOfFrame(frame: ErrorFrame): Problem {
  return new Problem(frame.code, frame.detail, 0, { retryAfter: frame.retry_after, state: frame.state });
}
