"""Sync workers as real processes on real servers."""

import asyncio
import itertools
import logging
import time
from collections.abc import Iterator

import asyncpg
import pytest

from bus_schemas.messages.room import (
    CommandReply,
    PlaybackAction,
    PlaybackChanged,
    PlaybackRequested,
    Presence,
    PresentMember,
)
from bus_schemas.messages.shapes import PlaybackMode, User, UserRef
from bus_schemas.streams import PRESENCE, ROOM_COMMANDS, ROOMS, SYNC_CONSUMER
from bus_schemas.subjects import ROOM_COMMAND
from runtime.clock import now_ms
from runtime.emit import emit
from runtime.kv import Bucket
from runtime.postgres import migrate
from tests.embedded import RunningServer
from tests.workers import Asker, Workers, add_room, asking

pytestmark = pytest.mark.connected

ADA = UserRef(id="u1", username="Ada")
_ids = itertools.count(1)


@pytest.fixture(scope="module")
def workers(
    tmp_path_factory: pytest.TempPathFactory, nats_url: str, module_postgres_dsn: str
) -> Iterator[Workers]:
    """Two sync workers, shared by the tests of this module."""
    asyncio.run(migrate(module_postgres_dsn))
    running = Workers(tmp_path_factory.mktemp("sync"), nats_url, module_postgres_dsn)
    try:
        running.start("sync", 2)
        yield running
    finally:
        running.close()


async def command(asker: Asker, room: str, action: PlaybackAction, **fields: object) -> CommandReply:
    id_ = f"c{next(_ids)}"
    request = PlaybackRequested.model_validate(
        {"id": id_, "room": room, "action": action, "by": ADA, "reply_subject": asker.reply_subject(id_)}
        | fields
    )
    return await asker.ask(ROOM_COMMAND, request, id_, room)  # type: ignore[arg-type]


async def state_until(
    asker: Asker, room: str, item: str | None, *, playing: bool, within: float
) -> PlaybackChanged:
    """The room's state once it is so; the test fails when it does not become so in time."""
    bucket = Bucket(asker.bus.js, ROOMS)
    give_up = time.monotonic() + within
    while True:
        entry = await bucket.get(room)
        change = PlaybackChanged.model_validate_json(entry.value) if entry else None
        if change and (change.state.item, change.state.playing) == (item, playing):
            return change
        assert time.monotonic() < give_up, f"room never came to {item}, playing={playing}: {change}"
        await asyncio.sleep(0.02)


async def test_commands_become_one_agreed_state(
    workers: Workers, nats_url: str, module_postgres_dsn: str
) -> None:
    """Select, play, seek and pause are answered with the state they lead to, revisions without holes."""
    await add_room(module_postgres_dsn, "agreed", ("agreed-a", 60.0))
    async with asking(nats_url) as asker:
        replies = [
            await command(asker, "agreed", PlaybackAction.SELECT, item="agreed-a"),
            await command(asker, "agreed", PlaybackAction.PLAY),
            await command(asker, "agreed", PlaybackAction.SEEK, position=9_999),
            await command(asker, "agreed", PlaybackAction.PAUSE),
        ]

        states = [reply.state for reply in replies]
        assert [state.revision for state in states if state] == [1, 2, 3, 4]
        assert states[0]
        assert (states[0].item, states[0].playing, states[0].position) == (
            "agreed-a",
            False,
            0.0,
        )
        assert states[1]
        assert states[1].playing
        assert states[2]
        assert states[2].position == 60.0
        assert states[3]
        assert not states[3].playing


async def test_a_stale_command_is_a_conflict_with_the_state(
    workers: Workers, nats_url: str, module_postgres_dsn: str
) -> None:
    """Who acted on an old state is told, and gets the new one."""
    await add_room(module_postgres_dsn, "stale", ("stale-a", 60.0))
    async with asking(nats_url) as asker:
        await command(asker, "stale", PlaybackAction.SELECT, item="stale-a")

        reply = await command(asker, "stale", PlaybackAction.PLAY, revision=0)

        assert (reply.ok, reply.code) == (False, "conflict")
        assert reply.state is not None
        assert reply.state.revision == 1


async def test_an_item_of_another_room_is_not_found(
    workers: Workers, nats_url: str, module_postgres_dsn: str
) -> None:
    """A room plays its own playlist only."""
    await add_room(module_postgres_dsn, "mine", ("mine-a", 60.0))
    await add_room(module_postgres_dsn, "theirs", ("theirs-a", 60.0))
    async with asking(nats_url) as asker:
        reply = await command(asker, "mine", PlaybackAction.SELECT, item="theirs-a")

        assert (reply.ok, reply.code) == (False, "not_found")


async def test_a_redelivered_command_is_answered_again_and_not_applied_again(
    workers: Workers, nats_url: str, module_postgres_dsn: str
) -> None:
    """The same id twice is one change."""
    await add_room(module_postgres_dsn, "again", ("again-a", 60.0))
    async with asking(nats_url) as asker:
        request = PlaybackRequested(
            id="again-1", room="again", action=PlaybackAction.SELECT, item="again-a",
            reply_subject=asker.reply_subject("again-1"),
        )  # fmt: skip
        first = await asker.ask(ROOM_COMMAND, request, "again-1", "again")  # type: ignore[arg-type]

        # Straight to the stream, without the message id that the server itself would know it by.
        await asker.bus.js.publish("room.again.command", request.model_dump_json().encode())
        await command(asker, "again", PlaybackAction.PAUSE)

        assert first.state
        assert first.state.revision == 1
        give_up = time.monotonic() + 20
        while len(again := [reply for reply in asker.replies if reply.id == "again-1"]) < 2:
            assert time.monotonic() < give_up, "not answered again"
            await asyncio.sleep(0.01)
        assert [reply.ok for reply in again] == [True, True]
        assert (await state_until(asker, "again", "again-a", playing=False, within=20)).state.revision == 2


async def test_two_workers_leave_no_hole_under_contention(
    workers: Workers, nats_url: str, module_postgres_dsn: str
) -> None:
    """A hundred commands at once on one room: each accepted once, one order, the same for events and answers."""
    await add_room(module_postgres_dsn, "busy", ("busy-a", 600.0))
    async with asking(nats_url) as asker:
        events: list[PlaybackChanged] = []
        all_heard = asyncio.Event()

        async def on_event(message: object) -> None:
            events.append(PlaybackChanged.model_validate_json(message.data))  # type: ignore[attr-defined]
            if len(events) == 101:
                all_heard.set()

        await asker.bus.nc.subscribe("out.room.busy", cb=on_event)
        await command(asker, "busy", PlaybackAction.SELECT, item="busy-a")

        replies = await asyncio.gather(
            *(command(asker, "busy", PlaybackAction.SEEK, position=n) for n in range(100))
        )

        await state_until(asker, "busy", "busy-a", playing=False, within=20)
        await asyncio.wait_for(all_heard.wait(), 20)
        assert all(reply.ok for reply in replies)
        assert sorted(reply.state.revision for reply in replies if reply.state) == list(range(2, 102))
        assert [event.state.revision for event in events] == list(range(1, 102))


async def test_five_hundred_commands_a_second_over_a_hundred_rooms(
    workers: Workers, nats_url: str, module_postgres_dsn: str
) -> None:
    """For two seconds: none lost, none twice, and no room's revisions with a hole."""
    names = [f"load{n}" for n in range(100)]
    for name in names:
        await add_room(module_postgres_dsn, name, (f"{name}-a", 600.0))
    async with asking(nats_url) as asker:
        await asyncio.gather(
            *(command(asker, name, PlaybackAction.SELECT, item=f"{name}-a") for name in names)
        )
        took: list[float] = []
        revisions: dict[str, list[int]] = {name: [] for name in names}

        async def one(name: str, position: int) -> None:
            began = time.monotonic()
            id_ = f"load{position}"
            request = PlaybackRequested(
                id=id_, room=name, action=PlaybackAction.SEEK, position=position,
                reply_subject=asker.reply_subject(id_),
            )  # fmt: skip
            # On a machine that is busy otherwise the answers come late: what counts is that all of them do.
            answer = await asker.send(ROOM_COMMAND, request, id_, name)  # type: ignore[arg-type]
            reply = await asyncio.wait_for(answer, 30)
            took.append(time.monotonic() - began)
            assert reply.ok, reply
            assert reply.state
            revisions[name].append(reply.state.revision)

        async with asyncio.TaskGroup() as tasks:
            began = time.monotonic()
            for number in range(1_000):
                await asyncio.sleep(max(0.0, began + number / 500 - time.monotonic()))
                tasks.create_task(one(names[number % 100], number))

        assert all(sorted(found) == list(range(2, 12)) for found in revisions.values())
        assert len(took) == 1_000
        logging.getLogger("tests.sync").info(
            "1,000 commands at 500/s: median %.1f ms, p99 %.1f ms",
            sorted(took)[500] * 1000,
            sorted(took)[990] * 1000,
        )


async def test_the_next_item_follows_by_itself(
    workers: Workers, nats_url: str, module_postgres_dsn: str
) -> None:
    """An item that ends is followed by the next one, and after the last the room stops, with nobody there."""
    await add_room(module_postgres_dsn, "auto", ("auto-a", 0.4), ("auto-b", 0.4))
    async with asking(nats_url) as asker:
        await command(asker, "auto", PlaybackAction.SELECT, item="auto-a")
        await command(asker, "auto", PlaybackAction.PLAY)

        followed = await state_until(asker, "auto", "auto-b", playing=True, within=20)
        stopped = await state_until(asker, "auto", "auto-b", playing=False, within=20)

        assert (followed.by, followed.state.revision) == (None, 3)
        assert (stopped.by, stopped.state.revision, stopped.state.position) == (None, 4, 0.4)


async def test_a_pause_takes_the_deadline_away(
    workers: Workers, nats_url: str, module_postgres_dsn: str
) -> None:
    """One schedule a room while it plays towards an end, none while it does not."""
    await add_room(module_postgres_dsn, "due", ("due-a", 100.0))

    async def schedules(asker: Asker, wanted: int) -> None:
        give_up = time.monotonic() + 20
        while True:
            info = await asker.bus.js.stream_info(ROOM_COMMANDS.name, subjects_filter="schedule.room.due")
            count = (info.state.subjects or {}).get("schedule.room.due", 0)
            if count == wanted:
                return
            assert time.monotonic() < give_up, f"{count} schedules, wanted {wanted}"
            await asyncio.sleep(0.02)

    async with asking(nats_url) as asker:
        await command(asker, "due", PlaybackAction.SELECT, item="due-a")
        await command(asker, "due", PlaybackAction.PLAY)
        await schedules(asker, 1)
        await command(asker, "due", PlaybackAction.SEEK, position=50)
        await schedules(asker, 1)
        await command(asker, "due", PlaybackAction.PAUSE)
        await schedules(asker, 0)


async def test_a_repeated_item_begins_again(
    workers: Workers, nats_url: str, module_postgres_dsn: str
) -> None:
    """repeat_one stands on the same item, from its start."""
    await add_room(module_postgres_dsn, "rep", ("rep-a", 0.3), ("rep-b", 10.0))
    async with asking(nats_url) as asker:
        await command(asker, "rep", PlaybackAction.SELECT, item="rep-a")
        await command(asker, "rep", PlaybackAction.MODE, mode=PlaybackMode.REPEAT_ONE)
        played = await command(asker, "rep", PlaybackAction.PLAY)
        assert played.state

        give_up = time.monotonic() + 20
        while True:
            change = await state_until(asker, "rep", "rep-a", playing=True, within=20)
            if change.state.revision > played.state.revision:
                break
            assert time.monotonic() < give_up
            await asyncio.sleep(0.02)
        assert (change.state.position, change.by) == (0.0, None)


async def test_one_worker_killed_the_other_goes_on(
    workers: Workers, nats_url: str, module_postgres_dsn: str
) -> None:
    """kill -9 of a worker under load: every command is applied once, none waits for 3 s."""
    await add_room(module_postgres_dsn, "killed", ("killed-a", 600.0))
    async with asking(nats_url) as asker:
        await command(asker, "killed", PlaybackAction.SELECT, item="killed-a")
        victim = workers.start("sync")[0]
        took: list[float] = []

        async def one(number: int) -> CommandReply:
            began = time.monotonic()
            reply = await command(asker, "killed", PlaybackAction.SEEK, position=number)
            took.append(time.monotonic() - began)
            return reply

        replies = []
        for batch in range(20):
            if batch == 5:
                victim.kill()
            replies += await asyncio.gather(*(one(batch * 5 + n) for n in range(5)))

        assert all(reply.ok for reply in replies)
        last = await state_until(asker, "killed", "killed-a", playing=False, within=20)
        assert last.state.revision == 101
        assert max(took) < 10


async def test_nats_killed_and_started_again(
    workers: Workers, nats_server: RunningServer, nats_url: str, module_postgres_dsn: str
) -> None:
    """The server comes back with the state and the deadlines it had, and the workers go on by themselves."""
    await add_room(module_postgres_dsn, "back", ("back-a", 600.0))
    await add_room(module_postgres_dsn, "over", ("over-a", 1.5), ("over-b", 600.0))
    async with asking(nats_url) as asker:
        await command(asker, "over", PlaybackAction.SELECT, item="over-a")
        await command(asker, "over", PlaybackAction.PLAY)
        await command(asker, "back", PlaybackAction.SELECT, item="back-a")
        back = asyncio.Event()

        async def on_back() -> None:
            back.set()

        asker.bus.on_reconnect.append(on_back)
        nats_server.kill()
        began = time.monotonic()
        nats_server.start()  # in this thread: the server dies with the thread that started it
        await asyncio.wait_for(back.wait(), 20)

        reply = await command(asker, "back", PlaybackAction.PLAY)

        assert reply.ok
        assert reply.state
        assert reply.state.revision == 2
        assert time.monotonic() - began < 15
        await state_until(asker, "over", "over-b", playing=True, within=20)


async def test_a_hold_ends_by_its_schedule_whoever_dies(
    workers: Workers, nats_server: RunningServer, nats_url: str, module_postgres_dsn: str
) -> None:
    """Every worker and NATS are killed while a room waits for Bob: it goes on when it was to, once, by nobody."""
    await add_room(module_postgres_dsn, "held", ("held-a", 600.0), ("held-b", 600.0))
    connection = await asyncpg.connect(module_postgres_dsn, timeout=10)
    await connection.execute("UPDATE rooms SET settings = '{\"wait\": \"wait\"}' WHERE id = 'held'")
    await connection.close()
    async with asking(nats_url) as asker:
        await command(asker, "held", PlaybackAction.SELECT, item="held-a")
        await command(asker, "held", PlaybackAction.PLAY)
        members = tuple(
            PresentMember(
                user=User(id=name, username=name), connections=1, buffering=name == "bob",
                item="held-a", loaded="held-a", reported_at=now_ms(),
            )
            for name in ("ada", "bob")
        )  # fmt: skip
        presence = Presence(room="held", gateway="tester", members=members, at=now_ms())
        await Bucket(asker.bus.js, PRESENCE).put("held.tester", presence.model_dump_json().encode())
        word = PlaybackRequested(id="held-word", room="held", action=PlaybackAction.BUFFERING, wait=True)
        await emit(asker.bus, ROOM_COMMAND, word, room="held")
        held = await state_until(asker, "held", "held-a", playing=False, within=20)
        back = asyncio.Event()

        async def on_back() -> None:
            back.set()

        asker.bus.on_reconnect.append(on_back)
        workers.close()
        nats_server.kill()
        nats_server.start()
        workers.start("sync", 2)
        await asyncio.wait_for(back.wait(), 20)
        after = await state_until(asker, "held", "held-a", playing=True, within=20)
        await asyncio.sleep(0.5)
        last = await state_until(asker, "held", "held-a", playing=True, within=20)

        assert held.state.hold
        assert held.state.hold.until - held.state.hold.since == 10_000
        assert after.state.at - held.state.hold.until in range(2_000)
        assert (after.state.revision, after.state.position, after.by) == (4, held.state.position, None)
        assert last == after


async def test_three_workers_spread_rooms_and_lose_no_race(
    workers: Workers, nats_url: str, module_postgres_dsn: str
) -> None:
    """Ten rooms at once, one of them ten times as busy: all served, no hole, nothing left un-acked; one drains."""
    third = workers.start("sync")[0]
    names = [f"spread{n}" for n in range(10)]
    for name in names:
        await add_room(module_postgres_dsn, name, (f"{name}-a", 600.0))
    async with asking(nats_url) as asker:
        await asyncio.gather(
            *(command(asker, name, PlaybackAction.SELECT, item=f"{name}-a") for name in names)
        )
        wanted = [name for name in names for _ in range(100 if name == "spread0" else 10)]

        replies = await asyncio.gather(
            *(command(asker, name, PlaybackAction.SEEK, position=n) for n, name in enumerate(wanted))
        )

        found: dict[str, list[int]] = {name: [] for name in names}
        for name, reply in zip(wanted, replies, strict=True):
            assert reply.state, reply
            found[name].append(reply.state.revision)
        assert sorted(found.pop("spread0")) == list(range(2, 102))
        assert all(sorted(revisions) == list(range(2, 12)) for revisions in found.values())
        info = await asker.bus.js.consumer_info(ROOM_COMMANDS.name, SYNC_CONSUMER.name)
        assert info.num_ack_pending == 0
    assert await asyncio.to_thread(third.stop) == 0


async def test_a_worker_drains_and_goes(workers: Workers) -> None:
    """SIGTERM ends a worker with exit code 0."""
    worker = workers.start("sync")[0]

    code = await asyncio.to_thread(worker.stop)

    assert code == 0, worker.log.read_text()[-3000:]
