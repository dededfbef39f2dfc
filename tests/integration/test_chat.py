"""Chat workers as real processes on real servers."""

import asyncio
import itertools
import time
from collections.abc import Iterator

import asyncpg
import pytest

from bus_schemas.messages.room import (
    ChatDeleteRequested,
    ChatSubmitted,
    CommandReply,
    DanmakuPosted,
    DanmakuSubmitted,
    RoomEvent,
)
from bus_schemas.messages.shapes import UserRef
from bus_schemas.subjects import CHAT_DELETE, CHAT_SUBMIT, DANMAKU_SUBMIT
from runtime.clock import now_ms
from runtime.postgres import connect, migrate
from tests.workers import Asker, Workers, add_room, asking, count_rows
from workers.chat.history import KEPT
from workers.chat.store import PostgresMessages

pytestmark = pytest.mark.connected

ADA = UserRef(id="u1", username="Ada")
DAY_MS = 86_400_000
_ids = itertools.count(1)


@pytest.fixture(scope="module")
def workers(
    tmp_path_factory: pytest.TempPathFactory, nats_url: str, module_postgres_dsn: str
) -> Iterator[Workers]:
    """Two chat workers, shared by the tests of this module."""
    asyncio.run(migrate(module_postgres_dsn))
    running = Workers(tmp_path_factory.mktemp("chat"), nats_url, module_postgres_dsn)
    running.environment["MATINEE_CHAT__BLOCKED_WORDS"] = "gosh"
    try:
        running.start("chat", 2)
        yield running
    finally:
        running.close()


def submission(
    asker: Asker, room: str, client_id: str, text: str, reply_to: str | None = None
) -> ChatSubmitted:
    id_ = f"s{next(_ids)}"
    return ChatSubmitted(
        id=id_, room=room, client_id=client_id, user=ADA, text=text, reply_to=reply_to, at=now_ms(),
        reply_subject=asker.reply_subject(id_),
    )  # fmt: skip


async def say(
    asker: Asker, room: str, client_id: str, text: str, reply_to: str | None = None
) -> CommandReply:
    submitted = submission(asker, room, client_id, text, reply_to)
    return await asker.ask(CHAT_SUBMIT, submitted, submitted.id, room)  # type: ignore[arg-type]


async def heard_in(asker: Asker, room: str) -> list[RoomEvent]:
    """What members of the room see from now on."""
    heard: list[RoomEvent] = []

    async def on_event(message: object) -> None:
        heard.append(RoomEvent.model_validate_json(message.data))  # type: ignore[attr-defined]

    await asker.bus.nc.subscribe(f"out.room.{room}", cb=on_event)
    await asker.bus.nc.flush()
    return heard


async def until(heard: list[RoomEvent], count: int, within: float = 20.0) -> None:
    give_up = time.monotonic() + within
    while len(heard) < count:
        assert time.monotonic() < give_up, f"{len(heard)} events, wanted {count}"
        await asyncio.sleep(0.01)


async def test_a_message_is_cleaned_stored_and_heard(
    workers: Workers, nats_url: str, module_postgres_dsn: str
) -> None:
    """The answer carries the message as stored; the members hear the same."""
    await add_room(module_postgres_dsn, "talk")
    async with asking(nats_url) as asker:
        heard = await heard_in(asker, "talk")

        reply = await say(asker, "talk", "c1", "<b>Gosh</b>,\x00 \u202ehi'); DROP TABLE messages;--")

        assert reply.ok
        assert reply.message is not None
        assert reply.message.text == "<b>****</b>, hi'); DROP TABLE messages;--"
        await until(heard, 1)
        event = heard[0].root
        assert event.type == "chat"
        assert (event.message, event.client_id) == (reply.message, "c1")


async def test_a_resend_is_the_same_message(
    workers: Workers, nats_url: str, module_postgres_dsn: str
) -> None:
    """The same client_id gives the same answer and no second event; another user's is another message."""
    await add_room(module_postgres_dsn, "resend")
    async with asking(nats_url) as asker:
        heard = await heard_in(asker, "resend")

        first = await say(asker, "resend", "c1", "hello")
        again = await say(asker, "resend", "c1", "hello")
        await say(asker, "resend", "c2", "the end")

        assert first.message == again.message
        await until(heard, 2)
        assert [event.root.message.text for event in heard if event.root.type == "chat"] == [
            "hello",
            "the end",
        ]
        query = "SELECT count(*) FROM messages WHERE room = 'resend'"
        assert await count_rows(module_postgres_dsn, query) == 2


@pytest.mark.parametrize("text", ["", "   ", "\u200b\u2060", "\x00\x07", "x" * 2_001])
async def test_what_is_no_message_is_refused(
    workers: Workers, nats_url: str, module_postgres_dsn: str, text: str
) -> None:
    """A refusal is an answer, with a code and a sentence."""
    async with asking(nats_url) as asker:
        reply = await say(asker, "nowhere", "c1", text)

        assert (reply.ok, reply.code) == (False, "invalid")
        assert reply.detail


async def test_a_room_that_is_gone(workers: Workers, nats_url: str) -> None:
    """Nobody can talk in a room that does not exist."""
    async with asking(nats_url) as asker:
        reply = await say(asker, "nowhere", "c1", "hello?")

        assert (reply.ok, reply.code) == (False, "not_found")


async def test_an_answer_names_the_message_only_where_the_room_has_it(
    workers: Workers, nats_url: str, module_postgres_dsn: str
) -> None:
    """`reply_to` never points into another room."""
    await add_room(module_postgres_dsn, "one")
    await add_room(module_postgres_dsn, "two")
    async with asking(nats_url) as asker:
        first = await say(asker, "one", "c1", "question")
        assert first.message

        inside = await say(asker, "one", "c2", "answer", reply_to=first.message.id)
        outside = await say(asker, "two", "c1", "answer", reply_to=first.message.id)

        assert inside.message
        assert outside.message
        assert (inside.message.reply_to, outside.message.reply_to) == (first.message.id, None)


async def test_a_deleted_message_is_gone_for_all(
    workers: Workers, nats_url: str, module_postgres_dsn: str
) -> None:
    """Deleting twice is deleting once; an unknown message, or another room's, is not found."""
    await add_room(module_postgres_dsn, "gone")
    async with asking(nats_url) as asker:
        heard = await heard_in(asker, "gone")
        posted = await say(asker, "gone", "c1", "oops")
        assert posted.message

        async def delete(message: str, room: str = "gone") -> CommandReply:
            id_ = f"d{next(_ids)}"
            asked = ChatDeleteRequested(
                id=id_, room=room, message_id=message, by=ADA, reply_subject=asker.reply_subject(id_)
            )
            return await asker.ask(CHAT_DELETE, asked, id_, room)  # type: ignore[arg-type]

        replies = [await delete(posted.message.id), await delete(posted.message.id)]
        unknown = await delete("unknown")
        elsewhere = await delete(posted.message.id, room="talk")

        assert [reply.ok for reply in replies] == [True, True]
        assert [unknown.code, elsewhere.code] == ["not_found", "not_found"]
        await until(heard, 2)
        assert [event.root.type for event in heard] == ["chat", "chat_deleted"]
        query = "SELECT count(*) FROM messages WHERE room = 'gone' AND (NOT deleted OR text <> '')"
        assert await count_rows(module_postgres_dsn, query) == 0


async def test_a_danmaku_flies_once(workers: Workers, nats_url: str) -> None:
    """Danmaku go the same way, are one line, and are not stored."""
    async with asking(nats_url) as asker:
        heard: list[DanmakuPosted] = []

        async def on_danmaku(message: object) -> None:
            heard.append(DanmakuPosted.model_validate_json(message.data))  # type: ignore[attr-defined]

        await asker.bus.nc.subscribe("out.danmaku.fly", cb=on_danmaku)
        replies = []
        for client_id, text, color in (
            ("c1", "wow\nwow", "#FF0000"),
            ("c1", "wow\nwow", "#FF0000"),
            ("c2", "x", "red"),
        ):
            id_ = f"s{next(_ids)}"
            submitted = DanmakuSubmitted(
                id=id_, room="fly", client_id=client_id, user=ADA, text=text, color=color, at=now_ms(),
                reply_subject=asker.reply_subject(id_),
            )  # fmt: skip
            replies.append(await asker.ask(DANMAKU_SUBMIT, submitted, id_, "fly"))  # type: ignore[arg-type]
        await asker.bus.nc.flush()

        assert [reply.ok for reply in replies] == [True, True, False]
        assert [(one.text, one.color) for one in heard] == [("wow wow", "#ff0000")]


async def test_workers_killed_under_load_lose_and_double_nothing(
    workers: Workers, nats_url: str, module_postgres_dsn: str
) -> None:
    """kill -9, three times: every submission is answered, stored once and heard once."""
    await add_room(module_postgres_dsn, "killed")
    async with asking(nats_url) as asker:
        heard = await heard_in(asker, "killed")
        answers: list[asyncio.Future[CommandReply]] = []
        victims = workers.start("chat", 3)

        for number in range(300):
            submitted = submission(asker, "killed", f"c{number}", f"message {number}")
            answers.append(await asker.send(CHAT_SUBMIT, submitted, submitted.id, "killed"))  # type: ignore[arg-type]
            if number in {60, 140, 220}:
                victims.pop().kill()
        replies = await asyncio.wait_for(asyncio.gather(*answers), 20)

        assert all(reply.ok for reply in replies)
        stored = {reply.message.id for reply in replies if reply.message}
        assert len(stored) == 300
        await until(heard, 300)
        ids = [event.root.message.id for event in heard if event.root.type == "chat"]
        assert len(ids) == 300
        assert set(ids) == stored
        query = "SELECT count(*) FROM messages WHERE room = 'killed'"
        assert await count_rows(module_postgres_dsn, query) == 300


async def test_stored_but_not_published_is_published_when_it_comes_again(
    workers: Workers, nats_url: str, module_postgres_dsn: str
) -> None:
    """A worker that died between the table and the bus hides nothing."""
    await add_room(module_postgres_dsn, "between")
    connection = await asyncpg.connect(module_postgres_dsn)
    await connection.execute(
        "INSERT INTO messages (id, room, user_id, username, text, client_id, at)"
        " VALUES ('between-1', 'between', 'u1', 'Ada', 'hello', 'c1', $1)",
        now_ms(),
    )
    await connection.close()
    async with asking(nats_url) as asker:
        heard = await heard_in(asker, "between")

        reply = await say(asker, "between", "c1", "hello")

        assert reply.message
        assert reply.message.id == "between-1"
        await until(heard, 1)


async def test_a_client_id_is_free_after_its_day(postgres_dsn: str) -> None:
    """Within a day a resend is the old message; after it, a new one."""
    await migrate(postgres_dsn)
    await add_room(postgres_dsn, "day")
    pool = await connect(postgres_dsn, size=2)
    try:
        messages = PostgresMessages(pool)
        ask = ChatSubmitted(id="s", room="day", client_id="c1", user=ADA, text="x", at=0)

        first = await messages.add("m1", ask, "x", DAY_MS * 10)
        within = await messages.add("m2", ask, "x", DAY_MS * 11)
        after = await messages.add("m3", ask, "x", DAY_MS * 11 + 1)

        assert [first.message.id, within.message.id, after.message.id] == ["m1", "m1", "m3"]
    finally:
        await pool.close()


async def test_only_the_last_messages_are_kept(postgres_dsn: str) -> None:
    """Beyond the history a room's messages go, once their day is over."""
    await migrate(postgres_dsn)
    await add_room(postgres_dsn, "long")
    pool = await connect(postgres_dsn, size=2)
    try:
        messages = PostgresMessages(pool)
        await pool.execute(
            "INSERT INTO messages (id, room, user_id, username, text, client_id, at)"
            " SELECT 'old' || n, 'long', 'u1', 'Ada', 'x', 'old' || n, 0 FROM generate_series(1, 600) n"
        )
        for number in range(32):
            ask = ChatSubmitted(id="s", room="long", client_id=f"c{number}", user=ADA, text="x", at=0)
            await messages.add(f"new{number}", ask, "x", DAY_MS * 2)

        kept = await count_rows(postgres_dsn, "SELECT count(*) FROM messages WHERE room = 'long'")
        newest = await count_rows(postgres_dsn, "SELECT count(*) FROM messages WHERE id LIKE 'new%'")
        assert KEPT <= kept < KEPT + 32
        assert newest == 32
    finally:
        await pool.close()
