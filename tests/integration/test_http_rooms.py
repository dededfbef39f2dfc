"""Rooms and members over HTTP, and the events that follow, on a real gateway."""

import asyncio
import itertools
import json
import time
from typing import Any

import asyncpg
import nats
import pytest

from bus_schemas.permissions import SITE_DEFAULTS, Permission, RoomRole
from tests.integration.gateway_process import GatewayProcess, Person, StartGateways

pytestmark = pytest.mark.connected

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def gateway(start_gateways: StartGateways) -> GatewayProcess:
    """One gateway, limits off, shared by the tests of this module."""
    return start_gateways(LIMITS__ENABLED="false")[0]


async def friend_of(person: Person, room: str = "") -> Person:
    friend = await person.somebody_else().register(f"friend-{next(_numbers)}")
    if room:
        assert (await friend.post(f"rooms/{room}/join")).status == 200
    return friend


async def events_of(nats_url: str, room: str, count: int) -> list[dict[str, Any]]:
    """The first `count` events of the room, in the stream's order."""
    client = await nats.connect(nats_url)
    try:
        subscription = await client.jetstream().subscribe(
            f"room.{room}.event", stream="ROOM_EVENTS", ordered_consumer=True
        )
        return [json.loads((await subscription.next_msg(timeout=20)).data) for _ in range(count)]
    finally:
        await client.close()


async def test_a_room_is_made_and_shown(host: Person) -> None:
    """The creator gets the room as everybody will see it, with the preset's role defaults."""
    answer = await host.post(
        "rooms", {"name": "  Film '); DROP TABLE rooms;-- <b>  ", "settings": {"wait": "wait"}}
    )

    room = answer.json
    assert answer.status == 201
    assert room["name"] == "Film '); DROP TABLE rooms;-- <b>"
    assert room["creator"]["id"] == host.user
    assert (room["hidden"], room["has_password"]) == (False, False)
    assert (room["settings"]["wait"], room["settings"]["guest_access"]) == ("wait", True)
    assert int(room["settings"]["role_defaults"]["member"]) & Permission.PLAY_CONTROL
    assert (await host.get(f"rooms/{room['id']}")).json == room
    assert {**room, "online": 0} in (await host.get("rooms/mine")).json["items"]


@pytest.mark.parametrize(
    ("draft", "path"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "n" * 65}, "name"),
        ({"name": "x" * 1_000_000}, "name"),
        ({"name": "bell\u0007"}, "name"),
        ({"name": "x", "preset": "anarchy"}, "preset"),
        ({"name": "x", "settings": {"live_delay_ms": -1}}, "settings.live_delay_ms"),
        ({"name": "x", "settings": {"role_defaults": {"member": "-1"}}}, "settings.role_defaults.member"),
        ({"name": "x", "settings": {"role_defaults": {"creator": "1"}}}, "settings.role_defaults"),
    ],
)
async def test_what_is_wrong_with_a_room_is_named(host: Person, draft: dict[str, object], path: str) -> None:
    """422 with the path of the fault."""
    answer = await host.post("rooms", draft)

    assert answer.code == "invalid"
    assert [fault["path"] for fault in answer.json["errors"]] == [path]


@pytest.mark.parametrize("room", ["a.b", "*", "%3E", "a%20b", "%2e%2e", "x" * 65, "r%C3%B6m", "%00"])
async def test_what_can_be_no_id_is_not_found(host: Person, room: str) -> None:
    """Dots, wildcards and bytes of other kinds are an unknown room, on every method."""
    for method, path in (
        ("GET", f"rooms/{room}"), ("POST", f"rooms/{room}/join"), ("GET", f"rooms/{room}/members"),
        ("DELETE", f"rooms/{room}/playlist"), ("DELETE", f"rooms/{room}"),
    ):  # fmt: skip
        answer = await host.send(method, path)
        assert (answer.status, answer.code) == (404, "not_found")


async def test_public_rooms_page_newest_first_and_are_found_by_name(host: Person) -> None:
    """Every room once, in order, over pages; wildcards of SQL in the query are plain text."""
    tag = f"100%_{next(_numbers)}"
    rooms = [await host.make_room(name=f"{tag} {n}") for n in range(5)]
    await host.make_room(name=f"{tag} secret", hidden=True)
    await host.make_room(name=f"100xx{next(_numbers)}")

    found, after = [], ""
    while True:
        page = (await host.get(f"rooms?limit=2&query={tag.replace('%', '%25')}{after}")).json
        found += [room["id"] for room in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"

    assert found == sorted(rooms, key=found.index)
    assert set(found) == set(rooms)
    assert len(found) == 5
    assert (await host.somebody_else().get("rooms?after=rubbish")).status == 422
    assert (await host.get("rooms?limit=0")).status == 422


async def test_a_hidden_room_is_a_secret_to_those_outside(host: Person) -> None:
    """Not listed, not shown, not joined by guessing ids; but who has its link may join."""
    room = await host.make_room(hidden=True)
    other = await friend_of(host)

    assert (await other.get(f"rooms/{room}")).status == 404
    assert (await other.get(f"rooms/{room}/members")).status == 404
    assert (await other.get(f"rooms/{room}/playlist")).status == 404
    assert (await other.send("PATCH", f"rooms/{room}", {"name": "x"})).status == 404
    assert (await other.post(f"rooms/{room}/join")).status == 200
    assert (await other.get(f"rooms/{room}")).status == 200


async def test_outside_a_room_one_sees_its_name_and_nothing_in_it(host: Person) -> None:
    """A visible room is shown to all; its members and playlist are for members."""
    room = await host.make_room()
    other = await friend_of(host)

    assert (await other.get(f"rooms/{room}")).status == 200
    assert (await other.get(f"rooms/{room}/members")).code == "forbidden"
    assert (await other.get(f"rooms/{room}/playlist")).code == "forbidden"


async def test_a_password_lets_in_those_who_know_it(host: Person) -> None:
    """Missing or wrong: forbidden; a member needs it no more; taken away, anybody may come."""
    room = await host.make_room(password="sesame")
    other = await friend_of(host)

    refused = [await other.post(f"rooms/{room}/join", body) for body in (None, {"password": "simsim"})]
    joined = await other.post(f"rooms/{room}/join", {"password": "sesame"})
    again = await other.post(f"rooms/{room}/join")
    opened = await host.send("PATCH", f"rooms/{room}", {"password": None})
    third = await friend_of(host, room)

    assert [answer.code for answer in refused] == ["forbidden", "forbidden"]
    assert joined.json["room"]["has_password"] is True
    assert joined.json["member"]["role"] == "member"
    assert again.status == 200
    assert opened.json["has_password"] is False
    assert third.user


async def test_guests_come_only_where_they_are_let_in(host: Person) -> None:
    """Guests have the guest's rights; when the room closes to guests those inside are put out."""
    room = await host.make_room()
    guest = await host.somebody_else().come_as_guest()

    joined = await guest.post(f"rooms/{room}/join")
    await host.send("PATCH", f"rooms/{room}", {"settings": {"guest_access": False}})

    assert joined.json["member"]["role"] == "guest"
    assert (await guest.get(f"rooms/{room}/playlist")).code == "forbidden"
    assert (await guest.post(f"rooms/{room}/join")).code == "forbidden"


async def test_a_full_room_takes_nobody_more(host: Person) -> None:
    """Of many who come at once no more get in than there are places."""
    room = await host.make_room(settings={"member_limit": 3})
    others = [await friend_of(host) for _ in range(5)]

    answers = await asyncio.gather(*(other.post(f"rooms/{room}/join") for other in others))

    assert sorted(answer.status for answer in answers) == [200, 200, 409, 409, 409]


async def test_settings_change_field_by_field_and_everybody_hears(host: Person, nats_url: str) -> None:
    """What is not named stays, and the event carries the whole room."""
    room = await host.make_room(settings={"live_delay_ms": 5000})
    before = (await host.get(f"rooms/{room}")).json

    await host.send("PATCH", f"rooms/{room}", {"settings": {"wait": "wait"}})
    changed = await host.send("PATCH", f"rooms/{room}", {"name": "Renamed"})
    first, second = await events_of(nats_url, room, 2)

    assert changed.json == {**before, "name": "Renamed", "settings": {**before["settings"], "wait": "wait"}}
    assert (first["type"], first["settings"]["name"]) == ("settings", before["name"])
    assert second["settings"] == changed.json
    assert second["by"]["id"] == host.user


async def test_a_room_takes_on_another_preset(host: Person) -> None:
    """Role defaults as a new room of that preset has them, with what is set beside it on top."""
    room = await host.make_room()
    fresh = (await host.post("rooms", {"name": "Class", "preset": "lecture"})).json["settings"][
        "role_defaults"
    ]
    guest = {"role_defaults": {"guest": str(int(Permission.VIEW_PLAYLIST | Permission.SEND_CHAT))}}

    lecture = await host.send("PATCH", f"rooms/{room}", {"preset": "lecture"})
    open_one = await host.send("PATCH", f"rooms/{room}", {"preset": "together", "settings": guest})

    assert lecture.json["settings"]["role_defaults"] == fresh
    assert int(open_one.json["settings"]["role_defaults"]["member"]) & Permission.PLAY_CONTROL
    assert open_one.json["settings"]["role_defaults"]["guest"] == guest["role_defaults"]["guest"]
    assert (await host.send("PATCH", f"rooms/{room}", {"preset": "anarchy"})).code == "invalid"


async def test_members_may_not_do_what_their_mask_lacks(host: Person) -> None:
    """A member neither sets nor deletes the room, nor touches others."""
    room = await host.make_room()
    member, other = await friend_of(host, room), await friend_of(host, room)

    answers = [
        await member.send("PATCH", f"rooms/{room}", {"name": "Mine"}),
        await member.send("PATCH", f"rooms/{room}", {"password": "mine"}),
        await member.send("PATCH", f"rooms/{room}", {"preset": "together"}),
        await member.send("DELETE", f"rooms/{room}"),
        await member.send("DELETE", f"rooms/{room}/members/{other.user}"),
        await member.send("PATCH", f"rooms/{room}/members/{other.user}", {"state": "banned"}),
        await member.send("PATCH", f"rooms/{room}/members/{member.user}", {"role": "admin"}),
        await member.send(
            "PATCH", f"rooms/{room}/members/{member.user}", {"added": str(Permission.DELETE_ROOM)}
        ),
        await member.send("PATCH", f"rooms/{room}/members/{host.user}", {"role": "guest"}),
    ]

    assert [answer.code for answer in answers] == ["forbidden"] * len(answers)


async def test_an_admin_cannot_raise_himself_or_others_above_his_own(host: Person) -> None:
    """Neither by masks nor by role defaults; admins are the creator's to make."""
    room = await host.make_room()
    admin, member = await friend_of(host, room), await friend_of(host, room)
    promoted = await host.send("PATCH", f"rooms/{room}/members/{admin.user}", {"role": "admin"})
    delete_room = str(int(Permission.DELETE_ROOM))

    answers = [
        await admin.send("PATCH", f"rooms/{room}/members/{member.user}", {"added": delete_room}),
        await admin.send("PATCH", f"rooms/{room}/members/{member.user}", {"role": "admin"}),
        await admin.send("PATCH", f"rooms/{room}/members/{admin.user}", {"added": "1"}),
        await admin.send("PATCH", f"rooms/{room}", {"settings": {"role_defaults": {"member": delete_room}}}),
        await admin.send("DELETE", f"rooms/{room}/members/{host.user}"),
    ]
    allowed = await admin.send(
        "PATCH", f"rooms/{room}/members/{member.user}", {"removed": str(int(Permission.SEND_CHAT))}
    )

    assert promoted.json["permissions"] == str(int(SITE_DEFAULTS[RoomRole.ADMIN]))
    assert [answer.code for answer in answers] == ["forbidden"] * len(answers)
    assert not int(allowed.json["permissions"]) & Permission.SEND_CHAT


async def test_a_kicked_member_may_come_back_and_a_banned_one_not(
    host: Person, nats_url: str, module_postgres_dsn: str
) -> None:
    """Both lose the room at once, both are told why, and both acts are on record."""
    room = await host.make_room(settings={"kick_cooldown_s": 0})
    member = await friend_of(host, room)

    assert (await host.send("DELETE", f"rooms/{room}/members/{member.user}")).status == 204
    assert (await member.get(f"rooms/{room}/playlist")).code == "forbidden"
    assert (await member.post(f"rooms/{room}/join")).status == 200
    banned = await host.send("PATCH", f"rooms/{room}/members/{member.user}", {"state": "banned"})
    refused = await member.post(f"rooms/{room}/join")
    events = await events_of(nats_url, room, 2)
    connection = await asyncpg.connect(module_postgres_dsn)
    acts = await connection.fetch("SELECT act FROM audit WHERE actor = $1 ORDER BY at", host.user)
    await connection.close()

    assert (banned.json["state"], banned.json["permissions"]) == ("banned", "0")
    assert refused.code == "forbidden"
    assert [(event["change"], event["removed"]) for event in events] == [
        ("left", "kicked"),
        ("left", "banned"),
    ]
    assert {event["member"]["user"]["id"] for event in events} == {member.user}
    assert [row["act"] for row in acts][1:] == ["room.member_kicked", "room.member_banned"]


async def test_one_leaves_unless_one_made_the_room(host: Person) -> None:
    """A member goes; the creator deletes instead."""
    room = await host.make_room()
    member = await friend_of(host, room)

    assert (await member.post(f"rooms/{room}/leave")).status == 204
    assert (await member.get(f"rooms/{room}/playlist")).status == 403
    assert (await host.post(f"rooms/{room}/leave")).code == "conflict"


async def test_members_page_in_the_order_they_joined(host: Person) -> None:
    """Every member once, the creator first."""
    room = await host.make_room()
    joined = [host.user] + [(await friend_of(host, room)).user for _ in range(4)]

    found, after = [], ""
    while True:
        page = (await host.get(f"rooms/{room}/members?limit=2{after}")).json
        found += [member["user"]["id"] for member in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"

    assert found == joined


async def test_a_deleted_room_is_gone_and_its_members_hear_it(host: Person, nats_url: str) -> None:
    """404 from then on; the last event says so; an audit event is on the bus."""
    room = await host.make_room()
    member = await friend_of(host, room)

    assert (await member.send("DELETE", f"rooms/{room}")).code == "forbidden"
    assert (await host.send("DELETE", f"rooms/{room}")).status == 204

    assert (await host.get(f"rooms/{room}")).status == 404
    assert (await member.post(f"rooms/{room}/join")).status == 404
    assert [event["type"] for event in await events_of(nats_url, room, 1)] == ["room_deleted"]
    client = await nats.connect(nats_url)
    try:
        give_up = time.monotonic() + 20
        while True:
            last = await client.jetstream().get_last_msg("AUDIT", "audit.room")
            if json.loads(last.data or b"{}")["target"] == room:
                break
            assert time.monotonic() < give_up
            await asyncio.sleep(0.05)
    finally:
        await client.close()
