"""Rooms on the socket over two gateways: everybody sees the same, in the same order."""

import asyncio
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from bus_schemas.permissions import Permission
from gateway.ws.roster import GRACE_S
from tests.integration.gateway_process import GatewayProcess, Person, visiting
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
    """Workers, and gateways as they are asked for."""
    stack = RoomStack(
        tmp_path_factory.mktemp("rooms"), nats=nats_url, postgres=module_postgres_dsn, redis=module_redis_url
    )
    try:
        stack.workers.start("sync", 2)
        stack.workers.start("chat")
        yield stack
    finally:
        stack.close()


@pytest.fixture(scope="module")
def gateways(rooms: RoomStack) -> tuple[GatewayProcess, GatewayProcess]:
    """Two gateways, shared by the tests of this module."""
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


async def item_in(person: Person, room: str) -> str:
    answer = await person.post(f"rooms/{room}/playlist", {"kind": "url", "url": "http://media.example/a.mp4"})
    assert answer.status == 201, answer.body
    return str(answer.json["id"])


async def test_joining_gives_the_whole_room(ann: Person, bob: Person) -> None:
    """`joined` carries who one is, the state, playlist, members, messages, danmaku and streams, at a number."""
    room = await ann.make_room()
    item = await item_in(ann, room)
    async with connected(ann) as a, connected(bob) as b:
        await a.join(room)
        await a.ask("chat", room=room, client_id="c1", text="hello")
        await a.ask("playback", room=room, action="select", item=item)
        await a.ask("danmaku", room=room, client_id="d1", text="wow")

        joined = await b.join(room)

        assert joined["you"]["user"]["id"] == bob.user
        assert (joined["you"]["role"], joined["you"]["state"]) == ("member", "active")
        assert int(joined["you"]["permissions"]) & Permission.PLAY_CONTROL
        assert joined["state"]["item"] == item
        assert (joined["playlist"]["version"], joined["playlist"]["items"][0]["id"]) == (1, item)
        online = {member["user"]["id"]: member["online"] for member in joined["members"]}
        assert online == {ann.user: True, bob.user: True}
        assert [message["text"] for message in joined["messages"]] == ["hello"]
        assert [danmaku["text"] for danmaku in joined["danmaku"]] == ["wow"]
        assert (joined["streams"], joined["viewers"]) == ([], 2)
        assert joined["seq"] > 0
        assert joined["epoch"]
        assert abs(joined["now"] - time.time() * 1000) < 5_000


async def test_an_event_reaches_every_member_the_sender_included(ann: Person, bob: Person) -> None:
    """Chat, playback, playlist and danmaku come to both gateways' members; events in one order."""
    room = await ann.make_room()
    async with connected(ann) as a, connected(bob) as b:
        await a.join(room)
        await b.join(room)

        said = await a.ask("chat", room=room, client_id="c1", text="<b>as typed</b>")
        item = await item_in(bob, room)
        selected = await b.ask("playback", room=room, action="select", item=item)
        await b.ask(
            "danmaku", room=room, client_id="d1", text="wow", color="#FF0000", mode="top", size="large"
        )

        assert said["message"]["text"] == "<b>as typed</b>"
        for socket in (a, b):
            assert (await socket.of("chat"))["message"] == said["message"]
            assert (await socket.of("playlist", change="added"))["item"]["id"] == item
            changed = await socket.of("playback")
            assert (changed["state"], changed["by"]["id"]) == (selected["state"], bob.user)
            danmaku = await socket.of("danmaku")
            shown = {name: danmaku[name] for name in ("text", "color", "mode", "size")}
            assert shown == {"text": "wow", "color": "#ff0000", "mode": "top", "size": "large"}
            assert "seq" not in danmaku
        numbered = [
            [(e["seq"], e["type"]) for e in socket.events(room) if e["type"] != "member"] for socket in (a, b)
        ]
        assert numbered[0] == numbered[1]
        assert numbered[0] == sorted(numbered[0])
        assert "v" not in changed
        assert "commands" not in changed


async def test_many_at_once_see_one_order_without_loss(ann: Person, bob: Person) -> None:
    """What two members say and do at once comes to both in the same order, each thing once."""
    room = await ann.make_room()
    async with connected(ann) as a, connected(bob) as b:
        await a.join(room)
        await b.join(room)
        for number in range(25):
            for name, socket in (("a", a), ("b", b)):
                await socket.send("chat", room=room, client_id=f"{name}{number}", text=f"{name}{number}")

        wanted = {f"{name}{number}" for number in range(25) for name in "ab"}
        for socket in (a, b):
            await socket.until(lambda _, s=socket: set(s.texts(room)) == wanted, 15)

        assert a.texts(room) == b.texts(room)
        assert len(a.texts(room)) == 50
        assert [text for text in a.texts(room) if text[0] == "a"] == [f"a{number}" for number in range(25)]


async def test_playback_answers_with_the_state_and_conflicts_with_the_current_one(
    ann: Person, bob: Person
) -> None:
    """A play is scheduled ahead; a command based on a stale revision gets the current state, on both ways."""
    room = await ann.make_room()
    item = await item_in(ann, room)
    async with connected(ann) as a:
        await a.join(room)
        await bob.post(f"rooms/{room}/join")
        selected = await a.ask("playback", room=room, action="select", item=item)
        began = time.time() * 1000
        played = await a.ask("playback", room=room, action="play", revision=selected["state"]["revision"])
        stale = await a.ask("playback", room=room, action="pause", revision=selected["state"]["revision"])
        over_http = await bob.post(f"rooms/{room}/playback", {"action": "pause", "revision": 1})
        paused = await bob.post(f"rooms/{room}/playback", {"action": "pause"})
        read = await bob.get(f"rooms/{room}/playback")

    assert played["type"] == "ack"
    assert played["state"]["playing"]
    assert 295 <= played["state"]["at"] - began <= 2_500
    assert (stale["type"], stale["code"], stale["state"]) == ("error", "conflict", played["state"])
    assert (over_http.status, over_http.code, over_http.json["state"]) == (409, "conflict", played["state"])
    assert (paused.status, paused.json["state"]["playing"]) == (200, False)
    assert read.json == paused.json


async def test_a_resent_message_is_the_same_message(ann: Person, bob: Person) -> None:
    """The same client_id again, also at another gateway, is acknowledged and posted once."""
    room = await ann.make_room()
    async with connected(ann) as a, connected(ann, bob.http) as elsewhere:
        await a.join(room)
        await elsewhere.join(room)
        first = await a.ask("chat", room=room, client_id="same", text="once")
        again = await elsewhere.ask("chat", room=room, client_id="same", text="once")
        await elsewhere.ask("chat", room=room, client_id="last", text="end")
        await a.until(lambda _: a.texts(room)[-1:] == ["end"])

        assert first["message"]["id"] == again["message"]["id"]
        assert a.texts(room) == ["once", "end"]


async def test_history_pages_backwards_and_deleting_is_told(ann: Person, bob: Person) -> None:
    """`before` and `limit` page through history; html is safe; a deleted message is gone for everybody."""
    room = await ann.make_room()
    async with connected(ann) as a:
        await a.join(room)
        for number in range(5):
            await a.ask(
                "chat", room=room, client_id=f"c{number}", text=f"<i>{number}</i> http://matinee.org/"
            )
        last = await ann.get(f"rooms/{room}/messages?limit=2")
        middle = await ann.get(f"rooms/{room}/messages?limit=2&before={last.json['next']}")
        first = await ann.get(f"rooms/{room}/messages?limit=2&before={middle.json['next']}&format=html")
        message = first.json["items"][0]["id"]
        await bob.post(f"rooms/{room}/join")
        by_member = await bob.send("DELETE", f"rooms/{room}/messages/{message}")
        by_creator = await ann.send("DELETE", f"rooms/{room}/messages/{message}")
        unknown = await ann.send("DELETE", f"rooms/{room}/messages/nosuch")
        deleted = await a.of("chat_deleted")
        left = await ann.get(f"rooms/{room}/messages")

    numbers = [int(m["text"][3]) for page in (first, middle, last) for m in page.json["items"]]
    assert numbers == [0, 1, 2, 3, 4]
    assert first.json["next"] is None
    assert first.json["items"][0]["html"].startswith('&lt;i&gt;0&lt;/i&gt; <a href="http://matinee.org/"')
    assert (by_member.status, by_creator.status, unknown.status) == (403, 204, 404)
    assert deleted["message_id"] == message
    assert message not in {m["id"] for m in left.json["items"]}


async def test_who_comes_and_goes_is_told_once_over_all_gateways(
    ann: Person, bob: Person, gateways: tuple[GatewayProcess, GatewayProcess]
) -> None:
    """A member's first connection anywhere is `joined`, his last one's end is `left`."""
    room = await ann.make_room()
    async with connected(ann) as a:
        await a.join(room)
        async with connected(bob) as b:
            await b.join(room)
            joined = await a.until(lambda f: f["type"] == "member" and f["member"]["user"]["id"] == bob.user)
            async with connected(bob, gateways[0].own) as second:
                await second.join(room)
                await a.drained(1.2)
        left = await a.until(
            lambda f: f["type"] == "member" and f["member"]["user"]["id"] == bob.user, within=GRACE_S + 3
        )
        await a.drained(1.2)

        told = [
            e["change"]
            for e in a.events(room)
            if e["type"] == "member" and e["member"]["user"]["id"] == bob.user
        ]
        assert (joined["change"], joined["member"]["online"]) == ("joined", True)
        assert (left["change"], left["member"]["online"]) == ("left", False)
        assert told == ["joined", "left"]
        assert [f["count"] for f in a.frames if f["type"] == "viewers"][-1] == 1


async def test_rights_change_at_once(ann: Person, bob: Person) -> None:
    """A changed mask is told to its owner and holds for his next frame, on socket and HTTP alike."""
    room = await ann.make_room()
    item = await item_in(ann, room)
    async with connected(bob) as b:
        await b.join(room)
        removed = str(int(Permission.PLAY_CONTROL | Permission.SEND_CHAT | Permission.CHANGE_CURRENT_MOVIE))
        assert (
            await ann.send("PATCH", f"rooms/{room}/members/{bob.user}", {"removed": removed})
        ).status == 200
        you = await b.of("you")

        assert not int(you["permissions"]) & int(removed)
        for action in ("play", "pause", "next", "previous"):
            assert await b.refused("playback", room=room, action=action) == "forbidden"
            assert (await bob.post(f"rooms/{room}/playback", {"action": action})).code == "forbidden"
        assert await b.refused("playback", room=room, action="select", item=item) == "forbidden"
        assert await b.refused("chat", room=room, client_id="c", text="may I?") == "forbidden"
        assert (await b.ask("playback", room=room, action="rate", rate=1.5))["type"] == "ack"


async def test_new_settings_change_everybodys_rights(ann: Person, bob: Person) -> None:
    """A room that takes a right from its members tells each of them."""
    room = await ann.make_room()
    async with connected(bob) as b:
        before = await b.join(room)
        mask = int(before["you"]["permissions"]) & ~Permission.SEND_CHAT
        settings = {"settings": {"role_defaults": {"member": str(mask)}}}
        assert (await ann.send("PATCH", f"rooms/{room}", settings)).status == 200

        assert (await b.of("you"))["permissions"] == str(mask)
        assert await b.refused("chat", room=room, client_id="c", text="may I?") == "forbidden"


async def test_the_put_out_are_told_and_hear_nothing_more(ann: Person, bob: Person) -> None:
    """Kicked is a frame, not a close; other rooms of the socket go on."""
    room, other = await ann.make_room(), await ann.make_room()
    async with connected(ann) as a, connected(bob) as b:
        for socket in (a, b):
            await socket.join(room)
            await socket.join(other)
        assert (await ann.send("DELETE", f"rooms/{room}/members/{bob.user}")).status == 204
        kicked = await b.of("kicked")
        await a.ask("chat", room=room, client_id="c1", text="now among us")
        await a.ask("chat", room=other, client_id="c2", text="still here?")
        await b.until(lambda _: b.texts(other) == ["still here?"])

        assert (kicked["room"], kicked["reason"]) == (room, "kicked")
        assert b.texts(room) == []
        assert await b.refused("chat", room=room, client_id="c3", text="hello?") == "forbidden"


async def test_the_banned_do_not_come_back(ann: Person, bob: Person) -> None:
    """A ban puts out at once, and joining again is forbidden."""
    room = await ann.make_room()
    async with connected(bob) as b:
        await b.join(room)
        assert (
            await ann.send("PATCH", f"rooms/{room}/members/{bob.user}", {"state": "banned"})
        ).status == 200

        assert (await b.of("kicked"))["reason"] == "banned"
        assert await b.refused("join", room=room) == "forbidden"


async def test_a_deleted_room_says_so_and_is_gone(ann: Person, bob: Person) -> None:
    """Members get `room_deleted`; the room is not found any more."""
    room = await ann.make_room()
    async with connected(bob) as b:
        await b.join(room)
        assert (await ann.send("DELETE", f"rooms/{room}")).status == 204

        await b.of("room_deleted")
        assert await b.refused("join", room=room) == "not_found"
        assert await b.refused("chat", room=room, client_id="c", text="hello?") == "not_found"


async def test_a_password_is_wanted_once(ann: Person, bob: Person) -> None:
    """The socket asks for the room's password as HTTP does, and lets a member in without it."""
    room = await ann.make_room(password="open sesame")
    async with connected(bob) as b:
        assert await b.refused("join", room=room) == "forbidden"
        assert await b.refused("join", room=room, password="close sesame") == "forbidden"
        assert (await b.join(room, password="open sesame"))["type"] == "joined"
        assert (await b.join(room))["type"] == "joined"


async def test_a_left_room_is_silent_and_joined_again_whole(ann: Person, bob: Person) -> None:
    """After `leave` nothing of the room comes; the membership stays."""
    room = await ann.make_room()
    async with connected(ann) as a, connected(bob) as b:
        await a.join(room)
        await b.join(room)
        assert (await b.ask("leave", room=room))["type"] == "ack"
        await a.ask("chat", room=room, client_id="c1", text="while away")

        joined = await b.join(room)

        assert b.texts(room) == []
        assert [message["text"] for message in joined["messages"]] == ["while away"]


async def test_private_streams_come_with_play_tokens(ann: Person) -> None:
    """A member of a private room is given a token for each of its streams, also for a new one."""
    room = await ann.make_room(password="open sesame")
    first = (await ann.post(f"rooms/{room}/streams", {"title": "cam"})).json["stream"]
    async with connected(ann) as a:
        joined = await a.join(room)
        given = await a.of("play_token", stream=first)
        second = (await ann.post(f"rooms/{room}/streams", {"title": "screen"})).json["stream"]
        later = await a.of("play_token", stream=second)

    assert [(stream["stream"], stream["status"]) for stream in joined["streams"]] == [(first, "offline")]
    assert given["expires_at"] > time.time() * 1000
    assert later["token"]


async def test_resuming_gives_exactly_what_was_missed(
    ann: Person, bob: Person, gateways: tuple[GatewayProcess, GatewayProcess]
) -> None:
    """A member who comes back, here or elsewhere, gets the missed events in order, nothing twice."""
    room = await ann.make_room()
    async with connected(ann) as a:
        await a.join(room)
        async with connected(bob) as b:
            joined = await b.join(room)
            await a.ask("chat", room=room, client_id="c0", text="seen")
            seen = await b.of("chat")
        for number in range(30):
            await a.ask("chat", room=room, client_id=f"m{number}", text=f"missed {number}")
        for at in (gateways[1].own, gateways[0].own):
            async with connected(bob, at) as back:
                resumed = await back.join(room, after=seen["seq"], epoch=joined["epoch"])
                await back.until(lambda _, s=back: len(s.texts(room)) >= 30)
                await a.ask("chat", room=room, client_id=f"n{at}", text="after")
                await back.until(lambda _, s=back: s.texts(room)[-1] == "after")

                assert (resumed["type"], resumed["after"]) == ("resumed", seen["seq"])
                assert resumed["seq"] > seen["seq"]
                assert back.texts(room)[:30] == [f"missed {number}" for number in range(30)]
                numbers = [event["seq"] for event in back.events(room)]
                assert numbers == sorted(set(numbers))
                assert numbers[0] > seen["seq"]


async def test_resuming_is_exact_from_every_number_while_the_room_talks(ann: Person, bob: Person) -> None:
    """However many events pass while somebody resumes, he sees each of them once."""
    room = await ann.make_room()
    async with connected(ann) as a, AsyncExitStack() as stack:
        joined = await a.join(room)

        async def talk() -> None:
            for number in range(60):
                await a.send("chat", room=room, client_id=f"t{number}", text=str(number))
                await asyncio.sleep(0.005)

        async def come_back(at: str) -> Socket:
            socket = await stack.enter_async_context(connected(bob, at))
            await socket.join(room, after=joined["seq"], epoch=joined["epoch"])
            return socket

        talking = asyncio.ensure_future(talk())
        backs = []
        for number in range(12):
            backs.append(await come_back((ann.http, bob.http)[number % 2]))
            await asyncio.sleep(0.01)
        await talking
        for socket in [*backs, a]:
            await socket.until(lambda _, s=socket: s.texts(room)[-1:] == ["59"], 15)

        for socket in backs:
            assert socket.texts(room) == [str(number) for number in range(60)]


async def test_what_cannot_be_proved_is_joined_anew(ann: Person) -> None:
    """Another epoch, a number ahead of the stream, or half of the two: `joined`."""
    room = await ann.make_room()
    async with connected(ann) as a:
        joined = await a.join(room)
        await a.ask("chat", room=room, client_id="c1", text="one")

        for fields in (
            {"after": joined["seq"], "epoch": "another"},
            {"after": 1 << 40, "epoch": joined["epoch"]},
            {"after": joined["seq"]},
            {"epoch": joined["epoch"]},
        ):
            assert (await a.join(room, **fields))["type"] == "joined"


async def test_a_killed_gateway_costs_one_reconnect(rooms: RoomStack, ann: Person, bob: Person) -> None:
    """kill -9 under talk: the member resumes elsewhere without loss or repeat."""
    doomed = rooms.gateway()
    room = await ann.make_room()
    async with connected(ann) as a:
        await a.join(room)
        async with connected(bob, doomed.own) as b:
            joined = await b.join(room)
            for number in range(5):
                await a.ask("chat", room=room, client_id=f"a{number}", text=str(number))
            await b.until(lambda _: len(b.texts(room)) == 5)
            last = b.events(room)[-1]["seq"]
            os.kill(doomed.process.pid, signal.SIGKILL)
            await b.closed()
        for number in range(5, 10):
            await a.ask("chat", room=room, client_id=f"a{number}", text=str(number))
        async with connected(bob) as back:
            resumed = await back.join(room, after=last, epoch=joined["epoch"])
            await back.until(lambda _: len(back.texts(room)) == 5)

            assert resumed["type"] == "resumed"
            assert back.texts(room) == ["5", "6", "7", "8", "9"]


async def test_members_a_killed_gateway_had_are_told_to_have_left(
    rooms: RoomStack, ann: Person, bob: Person
) -> None:
    """The gateway that comes back under the name of the dead one answers for those who do not come back."""
    doomed = rooms.gateway(NODE="phoenix")
    room = await ann.make_room()
    carol = await ann.somebody_else().register(f"carol-{next(_names)}")
    async with connected(ann) as a:
        await a.join(room)
        async with connected(bob, doomed.own) as b, connected(carol, doomed.own) as c:
            await b.join(room)
            await c.join(room)
            await a.of("member", change="joined", within=20)
            os.kill(doomed.process.pid, signal.SIGKILL)
            await b.closed()
        risen = rooms.gateway(NODE="phoenix")
        async with connected(bob, risen.own) as back:
            await back.join(room)
            left = await a.of("member", change="left", within=GRACE_S + 4)
            await a.drained(1.2)

    told = [e["member"]["user"]["id"] for e in a.events(room) if e.get("change") == "left"]
    assert left["member"]["user"]["id"] == carol.user
    assert told == [carol.user]


async def test_a_draining_gateway_sends_its_sockets_elsewhere(rooms: RoomStack, ann: Person) -> None:
    """SIGTERM: 4012 to everybody, and the process is gone in good time."""
    going = rooms.gateway()
    room = await ann.make_room()
    async with connected(ann, going.own) as a:
        await a.join(room)
        going.process.send_signal(signal.SIGTERM)
        assert await a.closed() == 4012
    began = time.monotonic()
    assert going.process.wait(20) == 0
    assert time.monotonic() - began < 15


async def test_how_members_keep_to_the_room_is_told_over_gateways(ann: Person, bob: Person) -> None:
    """Bob's player at the other gateway stalls, is off, is well again: his row changes, nobody's rights are touched."""
    room = await ann.make_room()
    item = await item_in(ann, room)
    async with connected(ann) as a, connected(bob) as b:
        await a.join(room)
        await b.join(room)

        async def shown(drift_ms: float | None, *, buffering: bool) -> dict[str, object]:
            await b.ask("report", room=room, item=item, buffering=buffering, drift_ms=drift_ms)
            event = await a.until(
                lambda f: (
                    f["type"] == "member"
                    and f["change"] == "updated"
                    and f["member"]["sync"] == {"drift_ms": drift_ms, "buffering": buffering}
                )
            )
            assert event["member"]["user"]["id"] == bob.user
            assert event["member"]["online"]
            return dict(event["member"])

        await shown(12.0, buffering=True)
        await shown(12.0, buffering=False)
        last = await shown(180.0, buffering=False)
        for drift_ms in (170.0, 190.0, 200.0):
            await b.ask("report", room=room, item=item, buffering=False, drift_ms=drift_ms)
        quiet = await a.drained(1.2)

        assert [frame for frame in quiet if frame["type"] == "member"] == []
        assert [frame for frame in b.frames if frame["type"] == "you"] == []
        listed = {one["user"]["id"]: one for one in (await ann.get(f"rooms/{room}/members")).json["items"]}
        assert listed[bob.user]["permissions"] == last["permissions"]
