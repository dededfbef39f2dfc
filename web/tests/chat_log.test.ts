import { describe, expect, it } from "vitest";
import type { ChatMessage } from "../src/contract";
import { ChatLog } from "../src/room/chat_log";

const message = (id: string, at: number): ChatMessage => ({
  id,
  user: { id: "u", username: "Ann" },
  text: id,
  at,
});
const told = (log: ChatLog) =>
  log.entries.value.map((entry) => (entry.kind === "note" ? entry.text : entry.message.id)).join(" ");

describe("the talk", () => {
  it("stands in the order of its times, each message once", () => {
    const log = new ChatLog();
    log.take([message("b", 20), message("a", 10)]);
    log.note("n", "Ben came in", 15);
    log.take([message("b", 20), message("c", 30)]);
    expect(told(log)).toBe("a Ben came in b c");
  });

  it("shows one's own message at once, and the server's in its place", () => {
    const log = new ChatLog();
    log.pend(message("mine", 10));
    expect(log.entries.value[0]).toMatchObject({ pending: true });
    log.take([message("m1", 11)], "mine");
    expect(log.entries.value).toEqual([{ kind: "message", message: message("m1", 11) }]);
  });

  it("keeps what failed with its reason, until it is sent again", () => {
    const log = new ChatLog();
    log.pend(message("mine", 10));
    log.fail("mine", "Too fast.");
    expect(log.entries.value[0]).toMatchObject({ failed: "Too fast." });
    log.pend(message("mine", 12));
    expect(log.entries.value).toHaveLength(1);
    expect(log.entries.value[0]).not.toHaveProperty("failed");
  });

  it("says the same thing once when it is done in steps", () => {
    const log = new ChatLog();
    for (const at of [0, 1_000, 5_000]) log.note(`n${at}`, "Ann took the last change back", at);
    expect(log.entries.value).toHaveLength(2);
  });

  it("goes back as far as the server has something, and is bounded", () => {
    const log = new ChatLog();
    const page = (from: number) => Array.from({ length: 50 }, (_, k) => message(`m${from + k}`, from + k));
    log.pend(message("mine", 9_999));
    log.take(page(100));
    expect([log.earlier.value, log.oldest()?.id]).toEqual(["more", "m100"]);
    log.takeEarlier([message("first", 1)]);
    expect([log.earlier.value, log.oldest()?.id]).toEqual(["none", "first"]);
    for (let k = 0; k < 50; k++) log.take(page(1_000 + 50 * k));
    expect(log.entries.value).toHaveLength(2_000);
  });
});
