import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Joined } from "../src/contract";
import { type RoomListener, Socket } from "../src/net/socket";

/** As much of a WebSocket as the client uses, driven by the test. */
class Wire {
  static readonly OPEN = 1;
  readyState = 0;
  sent: Record<string, unknown>[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((message: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;

  constructor(readonly token: string) {}

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(code = 1000): void {
    this.readyState = 3;
    this.onclose?.({ code });
  }

  accept(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  say(frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }

  last(type: string): Record<string, unknown> | undefined {
    return this.sent.filter((frame) => frame.type === type).at(-1);
  }
}

const JOINED = {
  type: "joined",
  room: "r1",
  seq: 10,
  epoch: "e",
  state: { revision: 1 },
} as unknown as Joined;

let wires: Wire[];
let heard: string[];
let tokens: string[];
let socket: Socket;

const listener: RoomListener = {
  joined: () => heard.push("joined"),
  resumed: () => heard.push("resumed"),
  event: (frame) => heard.push(`event ${frame.seq}`),
  notice: (frame) => heard.push(frame.type),
  refused: (problem) => heard.push(`refused ${problem.code}`),
};

const current = () => wires.at(-1) as Wire;

async function connected(): Promise<Wire> {
  await vi.advanceTimersByTimeAsync(0);
  current().accept();
  const join = current().last("join");
  current().say({ ...JOINED, id: join?.id });
  return current();
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", Wire);
  wires = [];
  heard = [];
  tokens = ["t1", "t2", "t3"];
  socket = new Socket({
    open(token) {
      const wire = new Wire(token);
      wires.push(wire);
      return wire as unknown as WebSocket;
    },
    token: async (rejected) => {
      if (rejected !== undefined) tokens.shift();
      return tokens[0] ?? null;
    },
    now: () => Date.now(),
    wall: () => Date.now(),
    random: () => 0.5,
  });
  socket.join("r1", listener);
});

afterEach(() => {
  socket.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("the socket", () => {
  it("joins its room as soon as it is open, and asks for the time", async () => {
    const wire = await connected();
    expect(heard).toEqual(["joined"]);
    expect(wire.last("time")).toMatchObject({ t0: expect.any(Number) });
  });

  it("resumes after a lost connection and hears each missed event once", async () => {
    const first = await connected();
    first.say({ type: "chat", room: "r1", seq: 12, at: 0 });
    first.close(1006);
    await vi.advanceTimersByTimeAsync(500);
    current().accept();
    const join = current().last("join");
    expect(join).toMatchObject({ room: "r1", after: 12, epoch: "e" });
    current().say({ type: "resumed", id: join?.id, room: "r1", after: 12, seq: 14, epoch: "e" });
    for (const seq of [12, 14]) current().say({ type: "chat", room: "r1", seq, at: 0 });
    expect(heard).toEqual(["joined", "event 12", "resumed", "event 14"]);
  });

  it("comes back at once when the server goes away", async () => {
    (await connected()).close(4012);
    await vi.advanceTimersByTimeAsync(1);
    expect(wires).toHaveLength(2);
  });

  it("waits in between when the server is not there", async () => {
    (await connected()).close(1006);
    await vi.advanceTimersByTimeAsync(100);
    expect(wires).toHaveLength(1);
    expect(socket.state.value).toBe("waiting");
    await vi.advanceTimersByTimeAsync(400);
    expect(wires).toHaveLength(2);
  });

  it("brings a new token when the old one was refused", async () => {
    (await connected()).close(4001);
    await vi.advanceTimersByTimeAsync(500);
    expect(current().token).toBe("t2");
  });

  it("renews its token on the open connection", async () => {
    const wire = await connected();
    for (let s = 0; s < 25; s++) {
      const time = wire.last("time");
      if (time) wire.say({ type: "time", id: time.id, t0: time.t0, t1: 0, t2: 0 });
      if (s === 5) tokens = ["t9"];
      await vi.advanceTimersByTimeAsync(1_000);
    }
    expect(wire.last("auth")).toMatchObject({ token: "t9" });
  });

  it("sends a chat message again after a reconnect, word for word", async () => {
    const first = await connected();
    const said = socket.request({ type: "chat", room: "r1", client_id: "c1", text: "hi" }, true);
    const frame = first.last("chat");
    first.close(1006);
    await vi.advanceTimersByTimeAsync(500);
    current().accept();
    const join = current().last("join");
    expect(current().last("chat")).toBeUndefined();
    current().say({ type: "resumed", id: join?.id, room: "r1", after: 10, seq: 10, epoch: "e" });
    expect(current().last("chat")).toEqual(frame);
    current().say({ type: "ack", id: frame?.id });
    await expect(said).resolves.toMatchObject({ type: "ack" });
  });

  it("asks again for a room in front of which it waits, and not for one it was turned away from", async () => {
    const first = await connected();
    const again = async (state: string) => {
      socket.join("r1", listener, { invitation: "c" });
      const join = current().last("join");
      expect(join).toMatchObject({ invitation: "c" });
      if (state !== "") current().say({ type: "you", room: "r1", role: "member", state, permissions: "0" });
      current().say({ type: "error", id: join?.id, code: "forbidden", detail: "You wait." });
      const { length } = wires;
      current().close(1006);
      await vi.advanceTimersByTimeAsync(2_000);
      expect(wires.length).toBeGreaterThan(length);
      current().accept();
      return current().last("join") !== undefined;
    };
    expect(first).toBe(current());
    expect(await again("pending")).toBe(true);
    expect(await again("")).toBe(false);
    expect(heard.slice(1)).toEqual(["you", "refused forbidden", "refused forbidden"]);
  });

  it("tells the person after too many passwords, instead of trying the same one again", async () => {
    await connected();
    socket.join("r1", listener, { password: "guess" });
    const error = { type: "error", code: "rate_limited", detail: "Too many.", retry_after: 1 };
    current().say({ ...error, id: current().last("join")?.id });
    await vi.advanceTimersByTimeAsync(2_000);
    expect(heard.at(-1)).toBe("refused rate_limited");
    expect(current().sent.filter((frame) => frame.type === "join")).toHaveLength(2);
  });

  it("does not repeat a playback command that was under way: its moment is over", async () => {
    const first = await connected();
    const asked = socket.request({ type: "playback", room: "r1", action: "next" });
    const failed = expect(asked).rejects.toMatchObject({ code: "offline" });
    first.close(1006);
    await failed;
    await vi.advanceTimersByTimeAsync(500);
    await connected();
    expect(current().last("playback")).toBeUndefined();
  });

  it("gives an error to whoever asked, with its sentence", async () => {
    const wire = await connected();
    const asked = socket.request({ type: "playback", room: "r1", action: "play" });
    const failed = expect(asked).rejects.toMatchObject({ code: "forbidden", detail: "Only the host plays." });
    wire.say({
      type: "error",
      id: wire.last("playback")?.id,
      code: "forbidden",
      detail: "Only the host plays.",
    });
    await failed;
  });

  it("tells when the room does not let us in", async () => {
    await vi.advanceTimersByTimeAsync(0);
    current().accept();
    current().say({
      type: "error",
      id: current().last("join")?.id,
      code: "not_found",
      detail: "No such room.",
    });
    await vi.advanceTimersByTimeAsync(0);
    expect(heard).toEqual(["refused not_found"]);
  });

  it("leaves a connection that no longer answers", async () => {
    await connected();
    await vi.advanceTimersByTimeAsync(13_000);
    expect(wires.length).toBeGreaterThan(1);
  });

  it("survives frames it does not know, and ones that are no JSON", async () => {
    const wire = await connected();
    wire.onmessage?.({ data: "{" });
    wire.say({ type: "of-the-future", room: "r1" });
    wire.say({ type: "viewers", room: "r1", count: 3 });
    expect(heard).toEqual(["joined", "viewers"]);
  });
});
