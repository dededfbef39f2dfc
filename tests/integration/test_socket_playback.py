"""Playback of rooms over two gateways and two sync workers: waiting, undo, contention, load, bad input."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.integration.gateway_process import Answer, GatewayProcess, Person, visiting
from tests.integration.room_stack import RoomStack
from tests.integration.sockets import Socket, connected

pytestmark = pytest.mark.connected

_names = itertools.count(1)


@pytest.fixture(scope="module")
def rooms(
    tmp_path_factory: pytest.TempPathFactory,
    nats_url: str,
    module_postgres_dsn: str,
    module_redis_url: str,
) -> Iterator[RoomStack]:
    """Two sync workers, and gateways as they are asked for."""
    stack = RoomStack(
        tmp_path_factory.mktemp("playback"),
        nats=nats_url,
        postgres=module_postgres_dsn,
        redis=module_redis_url,
    )
    try:
        stack.workers.start("sync", 2)
        yield stack
    finally:
        stack.close()


@pytest.fixture(scope="module")
def gateways(rooms: RoomStack) -> tuple[GatewayProcess, GatewayProcess]:
    """Two gateways without limits, shared by the tests of this module."""
    return rooms.gateway(), rooms.gateway()


@pytest.fixture
async def ann(gateways: tuple[GatewayProcess, GatewayProcess]) -> AsyncIterator[Person]:
    """Somebody with an account at the first gateway."""
    async with visiting(gateways[0].own) as person:
        yield await person.register(f"ann-{next(_names)}")


@pytest.fixture
async def bob(ann: Person, gateways: tuple[GatewayProcess, GatewayProcess]) -> Person:
    """Somebody with an account at the second gateway."""
    return await ann.somebody_else(gateways[1].own).register(f"bob-{next(_names)}")


async def items_in(person: Person, room: str, count: int = 1, duration: float | None = 600.0) -> list[str]:
    drafts = [
        {"url": f"http://media.example/{n}.mp4", "title": f"film {n}", "duration": duration}
        for n in range(count)
    ]
    answer = await person.post(f"rooms/{room}/playlist", {"items": drafts})
    assert answer.status == 201, answer.body
    return [item["id"] for item in answer.json["items"]]


async def act(person: Person, room: str, action: str, **fields: Any) -> Answer:
    return await person.post(f"rooms/{room}/playback", {"action": action, **fields})


async def held(socket: Socket, *, yes: bool) -> dict[str, Any]:
    """The next state that holds, or plays again."""
    event = await socket.until(
        lambda frame: (
            frame["type"] == "playback"
            and bool(frame["state"]["hold"]) == yes
            and frame["state"]["item"] is not None
        )
    )
    state: dict[str, Any] = event["state"]
    return state


async def test_a_room_waits_for_one_who_buffers_over_gateways(ann: Person, bob: Person) -> None:
    """Bob's player stalls at the other gateway: all stop at one place, told for whom; he is ready: on they go."""
    room = await ann.make_room()
    assert (await ann.send("PATCH", f"rooms/{room}", {"settings": {"wait": "wait"}})).status == 200
    item = (await items_in(ann, room))[0]
    async with connected(ann) as a, connected(bob) as b:
        await a.join(room)
        await b.join(room)
        for socket in (a, b):
            await socket.ask("report", room=room, item=item, playing=False, buffering=False)
        await a.ask("playback", room=room, action="select", item=item)
        await a.ask("playback", room=room, action="play")

        began = time.time() * 1000
        await b.ask("report", room=room, item=item, playing=True, buffering=True)
        stopped = await held(a, yes=True)
        await b.ask("report", room=room, item=item, playing=True, buffering=False)
        again = await held(a, yes=False)

        assert [member["id"] for member in stopped["hold"]["members"]] == [bob.user]
        assert not stopped["playing"]
        assert stopped["at"] - began < 2_000
        assert 9_000 <= stopped["hold"]["until"] - stopped["hold"]["since"] <= 10_000
        assert again["playing"]
        assert again["position"] == stopped["position"]

        # He stalls again, and Ann will not have it: on without him.
        await b.ask("report", room=room, item=item, playing=True, buffering=True)
        await held(a, yes=True)
        went_on = await a.ask("playback", room=room, action="play")
        assert went_on["state"]["playing"]
        assert went_on["state"]["hold"] is None
        await b.ask("report", room=room, item=item, playing=True, buffering=False)
        await b.ask("report", room=room, item=item, playing=True, buffering=True)
        await a.drained(0.6)
        assert (await ann.get(f"rooms/{room}/playback")).json["state"] == went_on["state"]


async def test_a_room_that_ignores_is_stopped_by_nobody(ann: Person, bob: Person) -> None:
    """The default: who buffers is shown, and the room plays."""
    room = await ann.make_room()
    item = (await items_in(ann, room))[0]
    async with connected(ann) as a, connected(bob) as b:
        await a.join(room)
        await b.join(room)
        await a.ask("playback", room=room, action="select", item=item)
        played = await a.ask("playback", room=room, action="play")

        await b.ask("report", room=room, item=item, playing=True, buffering=True)
        await a.drained(0.6)

        assert (await ann.get(f"rooms/{room}/playback")).json["state"] == played["state"]


async def test_undo_and_history_tell_what_was_done_and_by_whom(ann: Person, bob: Person) -> None:
    """What Bob chose is taken back by Ann; a guest without the right cannot; the room remembers what it played."""
    room = await ann.make_room(preset="together")
    first, second = await items_in(ann, room, 2)
    await bob.post(f"rooms/{room}/join")
    guest = await ann.somebody_else().come_as_guest()
    await guest.post(f"rooms/{room}/join")
    await act(ann, room, "select", item=first)
    await act(ann, room, "seek", position=42.5)
    async with connected(bob) as b:
        await b.join(room)
        await act(bob, room, "select", item=second)

        refused = await act(guest, room, "undo")
        undone = await act(ann, room, "undo")

        assert refused.code == "forbidden"
        state = undone.json["state"]
        assert (state["item"], state["position"], state["undoable"]) == (first, 42.5, 2)
        event = await b.until(
            lambda f: f["type"] == "playback" and f["state"]["revision"] == state["revision"]
        )
        assert event["by"]["id"] == ann.user
        assert not {"history", "debts", "commands"} & event.keys()
    page = (await guest.get(f"rooms/{room}/playlist/history?limit=2")).json
    rest = (await guest.get(f"rooms/{room}/playlist/history?limit=2&after={page['next']}")).json
    assert [(play["item"], play["title"], play["by"]["id"]) for play in page["items"] + rest["items"]] == [
        (first, "film 0", ann.user),
        (second, "film 1", bob.user),
        (first, "film 0", ann.user),
    ]
    assert rest["next"] is None


async def test_of_two_hundred_at_once_each_is_accepted_or_conflicts(ann: Person, bob: Person) -> None:
    """Half are based on what they saw, half on nothing: own revisions, honest refusals, and all end equal."""
    room = await ann.make_room()
    item = (await items_in(ann, room))[0]
    await bob.post(f"rooms/{room}/join")
    async with connected(ann) as a, connected(bob) as b:
        await a.join(room)
        await b.join(room)
        seen = (await a.ask("playback", room=room, action="select", item=item))["state"]["revision"]

        answers = await asyncio.gather(
            *(
                act(
                    ann if n % 4 < 2 else bob,
                    room,
                    "seek",
                    position=n,
                    **({"revision": seen} if n % 2 else {}),
                )
                for n in range(200)
            )
        )

        accepted = [answer.json["state"]["revision"] for answer in answers if answer.status == 200]
        refused = [answer for answer in answers if answer.status != 200]
        assert sorted(accepted) == list(range(seen + 1, seen + 1 + len(accepted)))
        assert len(accepted) >= 100
        assert len(refused) >= 99
        assert all(answer.code == "conflict" for answer in refused)
        assert all(answer.json["state"]["revision"] >= seen + 1 for answer in refused)
        last = (await ann.get(f"rooms/{room}/playback")).json["state"]
        assert last["revision"] == max(accepted)
        for socket in (a, b):
            event = await socket.until(
                lambda f: f["type"] == "playback" and f["state"]["revision"] == last["revision"]
            )
            assert event["state"] == last


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-Infinity", "1e400", "-0.001", "1e12", "null", '"5"', "[5]"]
)
async def test_no_position_that_is_none_moves_a_room(ann: Person, text: str) -> None:
    """Over the socket and over HTTP alike, and nothing has happened."""
    room = await ann.make_room()
    item = (await items_in(ann, room))[0]
    before = (await act(ann, room, "select", item=item)).json["state"]
    body = f'{{"type":"playback","id":"x","room":"{room}","action":"seek","position":{text}}}'
    async with connected(ann) as a:
        await a.join(room)
        await a.ws.send_str(body)
        over_http = await ann.send("POST", f"rooms/{room}/playback", data=body.encode())
        error = await a.of("error")

    assert error["code"] == "invalid"
    assert (over_http.code, over_http.status in {400, 422}) == ("invalid", True)
    assert (await ann.get(f"rooms/{room}/playback")).json["state"] == before


async def test_far_seeks_end_at_the_end_and_strangers_stay_out(ann: Person, bob: Person) -> None:
    """Past the end is the end; another room's item is not found; nobody's commands come from outside."""
    room, other = await ann.make_room(hidden=True), await ann.make_room()
    item, theirs = (await items_in(ann, room))[0], (await items_in(ann, other))[0]
    await act(ann, room, "select", item=item)

    far = await act(ann, room, "seek", position=999_999_999_999)
    stranger = await act(ann, room, "select", item=theirs)
    outside = await act(bob, room, "pause")
    async with connected(bob) as b:
        unseen = await b.refused("playback", room=room, action="pause")
    internal = [await act(ann, room, action) for action in ("deadline", "reconcile", "buffering")]
    deleted = await ann.send("DELETE", f"rooms/{room}")
    gone = await act(ann, room, "pause")

    assert far.json["state"]["position"] == 600.0
    assert (stranger.status, outside.status, unseen) == (404, 404, "not_found")
    assert [answer.status for answer in internal] == [422] * 3
    assert (deleted.status, gone.code) == (204, "not_found")


async def test_a_flood_of_commands_is_limited_with_a_time(rooms: RoomStack) -> None:
    """Per member and room: 429 with Retry-After, and on the socket `retry_after`; what was taken is done."""
    strict = rooms.gateway(LIMITS__ENABLED="true", LIMITS__COMMANDS_PER_SECOND="5")
    async with visiting(strict.own) as person:
        await person.register(f"fast-{next(_names)}")
        room = await person.make_room()
        item = (await items_in(person, room))[0]
        await act(person, room, "select", item=item)

        answers = await asyncio.gather(*(act(person, room, "seek", position=n) for n in range(30)))
        async with connected(person) as socket:
            await socket.join(room)
            ids = [await socket.send("playback", room=room, action="seek", position=n) for n in range(20)]
            frames = [await socket.answer(frame_id) for frame_id in ids]
        state = (await person.get(f"rooms/{room}/playback")).json["state"]

    limited = [answer for answer in answers if answer.status == 429]
    assert len(limited) >= 10
    assert all(
        answer.code == "rate_limited" and float(answer.headers["Retry-After"]) > 0 for answer in limited
    )
    errors = [frame for frame in frames if frame["type"] == "error"]
    assert errors
    assert all(frame["code"] == "rate_limited" and frame["retry_after"] > 0 for frame in errors)
    taken = sum(answer.status == 200 for answer in answers) + sum(frame["type"] == "ack" for frame in frames)
    assert state["revision"] == 1 + taken


async def test_room_and_queue_survive_all_that_serves_them(rooms: RoomStack, ann: Person) -> None:
    """Another gateway and other workers find playlist, folders, state and what can be undone as they were."""
    room = await ann.make_room()
    first, second = await items_in(ann, room, 2)
    folder = (await ann.post(f"rooms/{room}/playlist", {"kind": "folder", "title": "later"})).json["id"]
    await ann.post(f"rooms/{room}/playlist/{second}/move", {"parent": folder})
    await act(ann, room, "select", item=first)
    before = (await act(ann, room, "seek", position=33)).json["state"]
    queue = (await ann.get(f"rooms/{room}/playlist")).json
    later = rooms.gateway()
    workers = rooms.workers.start("sync", 1)

    came_back = ann.somebody_else(later.own)
    came_back.token = ann.token
    state = (await came_back.get(f"rooms/{room}/playback")).json["state"]
    undone = await act(came_back, room, "undo")

    assert json.dumps(state) == json.dumps(before)
    assert (await came_back.get(f"rooms/{room}/playlist")).json == queue
    assert (undone.json["state"]["position"], undone.json["state"]["undoable"]) == (0.0, 1)
    assert all(worker.process.poll() is None for worker in workers)


async def test_waiting_switched_off_ends_a_hold_at_once(ann: Person, bob: Person) -> None:
    """Bob buffers and the room waits; Ann has it wait no longer: it plays on in a moment, by her hand."""
    room = await ann.make_room(settings={"wait": "wait"})
    item = (await items_in(ann, room))[0]
    async with connected(ann) as a, connected(bob) as b:
        await a.join(room)
        await b.join(room)
        for socket in (a, b):
            await socket.ask("report", room=room, item=item, playing=False, buffering=False)
        await a.ask("playback", room=room, action="select", item=item)
        await a.ask("playback", room=room, action="play")
        await b.ask("report", room=room, item=item, playing=True, buffering=True)
        stopped = await held(a, yes=True)

        began = time.monotonic()
        assert (await ann.send("PATCH", f"rooms/{room}", {"settings": {"wait": "ignore"}})).status == 200
        event = await b.until(
            lambda f: f["type"] == "playback" and f["state"]["revision"] == stopped["revision"] + 1
        )
        took = time.monotonic() - began

        assert (event["state"]["playing"], event["state"]["hold"]) == (True, None)
        assert event["state"]["position"] == stopped["position"]
        assert event["by"]["id"] == ann.user
        assert took < 5
        # And it stays so, whoever buffers how often.
        for yes in (False, True, False, True):
            await b.ask("report", room=room, item=item, playing=True, buffering=yes)
            await a.drained(0.25)
        assert (await ann.get(f"rooms/{room}/playback")).json["state"] == event["state"]


async def test_a_player_that_lies_is_shown_and_moves_nobody(ann: Person, bob: Person) -> None:
    """Places, drifts and round trips out of this world: the room stays, and its commands are not put off."""
    room = await ann.make_room()
    item, other = await items_in(ann, room, 2)

    async def shown_of(person: Person) -> dict[str, Any]:
        members = (await ann.get(f"rooms/{room}/members")).json["items"]
        shown: dict[str, Any] = next(one["sync"] for one in members if one["user"]["id"] == person.user)
        return shown

    async with connected(ann) as a, connected(bob) as b:
        await a.join(room)
        await b.join(room)
        await a.ask("playback", room=room, action="select", item=item)
        played = (await a.ask("playback", room=room, action="play"))["state"]
        lies: list[dict[str, Any]] = [
            {"item": item, "position": 1e300, "playing": True, "rtt": 1e300, "drift_ms": 1e300},
            {"item": item, "position": -1e300, "playing": False, "rtt": -5, "drift_ms": -1e300, "rate": 1e9},
            {"item": other, "position": 5.0, "playing": True, "buffering": True},
            {"item": "nowhere", "position": 5.0, "buffering": True},
        ]
        for lie in lies:
            assert (await b.ask("report", room=room, **lie))["type"] == "ack"
        for text in ("NaN", "Infinity", "1e999"):
            await b.ws.send_str(f'{{"type":"report","id":"n{text}","room":"{room}","position":{text}}}')
            assert (await b.answer(f"n{text}"))["code"] == "invalid"
        await a.drained(0.4)

        assert (await ann.get(f"rooms/{room}/playback")).json["state"] == played
        assert await shown_of(bob) == {"drift_ms": None, "buffering": True}
        await b.ask("report", room=room, **lies[0])
        async with asyncio.timeout(5):
            while (shown := await shown_of(bob))["buffering"]:
                await a.drained(0.1)
        assert shown["drift_ms"] == 3_600_000.0
        sought = (await a.ask("playback", room=room, action="seek", position=30))["state"]
        # The lead is made of round trips the gateways measured; at most 1.5 s, whatever anybody says.
        assert sought["position"] == 30
        assert sought["at"] - time.time() * 1000 <= 1_500


async def test_who_was_put_out_commands_no_more(ann: Person, bob: Person) -> None:
    """Kicked, then banned: neither over HTTP nor on a socket that was open; nor a member without the right."""
    room = await ann.make_room(preset="host_only", hidden=True)
    first, _ = await items_in(ann, room, 2)
    before = (await act(ann, room, "select", item=first)).json["state"]
    async with connected(bob) as b:
        await b.join(room)
        without = [await act(bob, room, action) for action in ("play", "next", "undo", "pause")]
        on_socket = [await b.refused("playback", room=room, action="rate", rate=2)]
        await ann.send("DELETE", f"rooms/{room}/members/{bob.user}")
        await b.of("kicked", room=room)
        kicked = await act(bob, room, "play")
        on_socket.append(await b.refused("playback", room=room, action="play"))
        await ann.send("PATCH", f"rooms/{room}/members/{bob.user}", {"state": "banned"})
        banned = await act(bob, room, "play")
        on_socket.append(await b.refused("playback", room=room, action="play"))

    assert {answer.code for answer in without} == {"forbidden"}
    assert on_socket[0] == "forbidden"
    assert {kicked.code, banned.code, *on_socket[1:]} <= {"not_found", "forbidden"}
    assert (await ann.get(f"rooms/{room}/playback")).json["state"] == before


@pytest.mark.parametrize("rate", ["0", "-1", "0.249", "4.001", "1e9", "NaN", "Infinity", '"2"', "null"])
async def test_no_rate_out_of_range_is_played(ann: Person, rate: str) -> None:
    """Over the socket and over HTTP alike, and nothing has happened."""
    room = await ann.make_room()
    before = (await act(ann, room, "rate", rate=1.5)).json["state"]
    body = f'{{"type":"playback","id":"x","room":"{room}","action":"rate","rate":{rate}}}'
    async with connected(ann) as a:
        await a.join(room)
        await a.ws.send_str(body)
        over_http = await ann.send("POST", f"rooms/{room}/playback", data=body.encode())
        error = await a.of("error")

    assert (error["code"], over_http.code) == ("invalid", "invalid")
    assert (await ann.get(f"rooms/{room}/playback")).json["state"] == before


async def test_what_is_removed_while_it_plays_stops_the_room(ann: Person, bob: Person) -> None:
    """An item, then a folder that holds the one that plays, then all: the room stands on nothing, and says by whom."""
    room = await ann.make_room()
    first, second, third = await items_in(ann, room, 3)
    folder = (await ann.post(f"rooms/{room}/playlist", {"kind": "folder", "title": "f"})).json["id"]
    inner = (
        await ann.post(f"rooms/{room}/playlist", {"kind": "folder", "title": "g", "parent": folder})
    ).json
    await ann.post(f"rooms/{room}/playlist/{second}/move", {"parent": inner["id"]})
    await bob.post(f"rooms/{room}/join")
    async with connected(bob) as b:
        await b.join(room)
        for playing, gone in ((first, f"/{first}"), (second, f"/{folder}"), (third, "")):
            await act(ann, room, "select", item=playing)
            played = (await act(ann, room, "play")).json["state"]
            answer = await ann.send("DELETE", f"rooms/{room}/playlist{gone}")
            await b.until(lambda f: f["type"] == "playlist" and f["change"] in {"removed", "cleared"})
            event = await b.until(lambda f: f["type"] == "playback" and f["state"]["item"] is None)

            assert answer.status in {200, 204}, answer.body
            assert (event["state"]["playing"], event["state"]["revision"]) == (False, played["revision"] + 1)
            assert event["by"]["id"] == ann.user
    assert (await act(ann, room, "next")).code == "not_found"
    assert (await act(ann, room, "select", item=first)).code == "not_found"


async def test_a_live_room_pauses_goes_on_and_comes_back(ann: Person, bob: Person) -> None:
    """Two gateways, one picture: chosen at no moment, played 2 s behind, paused, on from there, back by a seek."""
    room = await ann.make_room(settings={"live_delay_ms": 2_000})
    item = (await ann.post(f"rooms/{room}/streams", {"title": "cam"})).json["item"]["id"]
    await bob.post(f"rooms/{room}/join")

    chosen = (await act(ann, room, "select", item=item)).json["state"]
    played = (await act(bob, room, "play")).json["state"]
    paused = (await act(ann, room, "pause")).json["state"]
    await asyncio.sleep(0.5)
    resumed = (await act(bob, room, "play")).json["state"]
    rewound = (await act(ann, room, "seek", position=0)).json["state"]
    faster = await act(ann, room, "rate", rate=2)
    back = (await act(bob, room, "seek", position=time.time() + 3_600)).json["state"]
    await ann.send("PATCH", f"rooms/{room}", {"settings": {"live_delay_ms": 7_000}})
    async with connected(bob) as b:
        joined = await b.join(room)
        moved = joined["state"]
        if moved["revision"] == back["revision"]:
            moved = (await b.of("playback"))["state"]

    def behind(state: dict[str, Any]) -> float:
        return float(state["at"] / 1000 - state["position"])

    assert (chosen["live"], chosen["playing"], chosen["position"]) == (True, False, 0)
    assert behind(played) == pytest.approx(2.0)
    assert resumed["position"] == paused["position"]
    assert behind(resumed) > 2.4
    assert behind(rewound) == pytest.approx(108)
    assert faster.code == "invalid"
    assert behind(back) == pytest.approx(2.0)
    assert moved["revision"] == back["revision"] + 1
    assert behind(moved) == pytest.approx(7.0)
