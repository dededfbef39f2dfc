"""Playlists over HTTP on a real gateway, and the events that follow."""

import asyncio
import itertools
import json
from typing import Any

import asyncpg
import nats
import pytest

from tests.integration.gateway_process import GatewayProcess, Person, StartGateways

pytestmark = pytest.mark.connected

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def gateway(start_gateways: StartGateways) -> GatewayProcess:
    """One gateway, limits off but for 30 items a room, shared by the tests of this module."""
    return start_gateways(LIMITS__ENABLED="false", LIMITS__ITEMS_PER_ROOM="30")[0]


async def add(person: Person, room: str, name: str, **more: Any) -> str:
    draft = {"kind": "url", "url": f"https://media.example/{name}.mp4", **more}
    answer = await person.post(f"rooms/{room}/playlist", draft)
    assert answer.status == 201, answer.body
    return str(answer.json["id"])


async def titles(person: Person, room: str) -> list[str]:
    page = (await person.get(f"rooms/{room}/playlist?limit=200")).json
    return [item["title"] for item in page["items"]]


async def test_items_are_added_edited_moved_removed_and_cleared(host: Person, nats_url: str) -> None:
    """Each change is seen in the list, and as an event with the next version, in order."""
    room = await host.make_room()
    first, second, third = [await add(host, room, name) for name in ("one", "two", "three")]

    assert await titles(host, room) == ["one.mp4", "two.mp4", "three.mp4"]
    edited = await host.send("PATCH", f"rooms/{room}/playlist/{second}", {"title": "Zwei", "duration": 90.5})
    moved = await host.send("POST", f"rooms/{room}/playlist/{third}/move", {"before": first})
    assert await titles(host, room) == ["three.mp4", "one.mp4", "Zwei"]
    removed = await host.send("DELETE", f"rooms/{room}/playlist/{first}")
    last = await host.send("POST", f"rooms/{room}/playlist/{third}/move", {"before": None, "parent": None})
    assert await titles(host, room) == ["Zwei", "three.mp4"]
    cleared = await host.send("DELETE", f"rooms/{room}/playlist")

    assert (edited.status, moved.status, removed.status, last.status, cleared.status) == (
        200,
        200,
        204,
        200,
        204,
    )
    assert (edited.json["duration"], edited.json["url"]) == (90.5, "https://media.example/two.mp4")
    assert (await host.get(f"rooms/{room}/playlist")).json == {"items": [], "next": None, "version": 8}
    client = await nats.connect(nats_url)
    try:
        subscription = await client.jetstream().subscribe(
            f"room.{room}.event", stream="ROOM_EVENTS", ordered_consumer=True
        )
        events = [json.loads((await subscription.next_msg(timeout=20)).data) for _ in range(8)]
    finally:
        await client.close()
    assert [event["change"] for event in events] == [
        "added", "added", "added", "edited", "moved", "removed", "moved", "cleared",
    ]  # fmt: skip
    assert [event["version"] for event in events] == list(range(1, 9))
    assert {event["by"]["id"] for event in events} == {host.user}
    assert events[3]["item"] == edited.json
    assert events[4]["item"] == moved.json


@pytest.mark.parametrize(
    ("draft", "path"),
    [
        ({"kind": "url"}, ""),
        ({"kind": "live"}, ""),
        ({"kind": "url", "url": "ftp://media.example/a"}, "url"),
        ({"kind": "url", "url": "javascript:alert(1)"}, "url"),
        ({"kind": "url", "url": "https://"}, "url"),
        ({"kind": "url", "url": "https://a b/c"}, "url"),
        ({"kind": "url", "url": "https://a/\nb"}, "url"),
        ({"kind": "url", "url": "http://[::1"}, "url"),
        ({"kind": "url", "url": "http://a:99999/"}, "url"),
        ({"kind": "url", "url": "https://a/" + "x" * 4_096}, "url"),
        ({"kind": "url", "url": "https://a/b", "duration": -1}, "duration"),
        ({"kind": "url", "url": "https://a/b", "duration": "NaN"}, "duration"),
        ({"kind": "url", "url": "https://a/b", "title": "t" * 201}, "title"),
        ({"kind": "url", "url": "https://a/b", "before": "nothing"}, "before"),
        ({"kind": "url", "url": "https://a/b", "before": "a.*"}, "before"),
        ({"kind": "url", "url": "https://a/b", "subtitles": [{"url": "file:///etc"}]}, "subtitles.0.url"),
        ({"kind": "folder", "title": ""}, ""),
        ({"kind": "folder", "title": "x", "url": "https://a/b"}, ""),
        ({"kind": "folder", "title": "x", "duration": 5}, ""),
        ({"kind": "folder", "title": "x", "parent": "nothing"}, "parent"),
        ({"kind": "provider", "title": "x"}, "kind"),
        ({"items": []}, "items"),
        ({"items": [{"url": "https://a/b"}], "url": "https://a/b"}, ""),
        ({"items": [{"url": "https://a/b"}, {"url": "ftp://a/b"}]}, "items.1.url"),
        ({"items": [{"kind": "live", "stream": "unknown"}]}, "items.0.stream"),
        ({"items": [{"url": "https://a/b"}] * 201}, "items"),
        ({"kind": "live", "stream": "unknown"}, "stream"),
    ],
)
async def test_what_is_wrong_with_an_item_is_named(host: Person, draft: dict[str, object], path: str) -> None:
    """422 with the path, and the playlist stays at its version."""
    room = await host.make_room()

    answer = await host.post(f"rooms/{room}/playlist", draft)

    assert (answer.status, answer.code) == (422, "invalid")
    assert [fault["path"] for fault in answer.json["errors"]] == [path]
    assert (await host.get(f"rooms/{room}/playlist")).json["version"] == 0


@pytest.mark.parametrize(
    ("url", "title"),
    [
        ("https://a.example/films/The%20Film%20%281%29.mkv?x=1", "The Film (1).mkv"),
        ("https://a.example/", "a.example"),
        ("https://a.example/dir/", "dir"),
        ("https://a.example/%00%0a", "a.example"),
        ("https://a.example/%F0%9F%8E%AC", "🎬"),
    ],
)
async def test_a_title_is_learned_from_the_address(host: Person, url: str, title: str) -> None:
    """The last piece of the path, else the host."""
    room = await host.make_room()

    answer = await host.post(f"rooms/{room}/playlist", {"kind": "url", "url": url, "title": " \u0000"})

    assert (answer.json["title"], answer.json["url"]) == (title, url)


async def test_a_live_item_names_a_stream_of_the_room(host: Person, module_postgres_dsn: str) -> None:
    """A stream of this room is taken, one of another room refused."""
    room, other = await host.make_room(), await host.make_room()
    stream = f"s{next(_numbers)}"
    connection = await asyncpg.connect(module_postgres_dsn)
    await connection.execute(
        "INSERT INTO streams (id, room, owner, title, key_hash, created_at) VALUES ($1, $2, $3, '', $1, 0)",
        stream, room, host.user,
    )  # fmt: skip
    await connection.close()

    taken = await host.post(f"rooms/{room}/playlist", {"kind": "live", "stream": stream})
    refused = await host.post(f"rooms/{other}/playlist", {"kind": "live", "stream": stream})

    assert (taken.status, taken.json["stream"], taken.json["url"]) == (201, stream, None)
    assert refused.status == 422


async def test_members_change_their_own_items_and_not_those_of_others(host: Person) -> None:
    """SELF bits go for one's own, ANY bits for all; without ADD_MOVIE nothing is added."""
    room = await host.make_room(preset="host_only")
    member = await host.somebody_else().register(f"m-{next(_numbers)}")
    await member.post(f"rooms/{room}/join")
    guest = await host.somebody_else().come_as_guest()
    await guest.post(f"rooms/{room}/join")
    theirs, own = await add(host, room, "theirs"), await add(member, room, "own")

    refused = [
        await member.send("PATCH", f"rooms/{room}/playlist/{theirs}", {"title": "x"}),
        await member.send("DELETE", f"rooms/{room}/playlist/{theirs}"),
        await member.send("POST", f"rooms/{room}/playlist/{own}/move", {"before": theirs}),
        await member.send("DELETE", f"rooms/{room}/playlist"),
        await guest.post(f"rooms/{room}/playlist", {"kind": "url", "url": "https://a/b"}),
    ]
    allowed = [
        await member.send("PATCH", f"rooms/{room}/playlist/{own}", {"title": "x"}),
        await member.send("DELETE", f"rooms/{room}/playlist/{own}"),
        await host.send("PATCH", f"rooms/{room}/playlist/{theirs}", {"title": "y"}),
        await guest.get(f"rooms/{room}/playlist"),
    ]

    assert [answer.code for answer in refused] == ["forbidden"] * len(refused)
    assert [answer.status for answer in allowed] == [200, 204, 200, 200]


async def test_items_of_other_rooms_and_no_items_are_not_found(host: Person) -> None:
    """An item is addressed through its own room only."""
    room, other = await host.make_room(), await host.make_room()
    item = await add(host, room, "here")

    for where, name in ((other, item), (room, "nothing"), (room, "a.b"), (room, "*")):
        for method, path, body in (
            ("PATCH", "", {"title": "x"}),
            ("DELETE", "", None),
            ("POST", "/move", {}),
        ):
            answer = await host.send(method, f"rooms/{where}/playlist/{name}{path}", body)
            assert (answer.status, answer.code) == (404, "not_found")


async def test_moves_without_end_keep_the_order(host: Person) -> None:
    """Moving into the same gap again and again renumbers when it must, and loses nothing."""
    room = await host.make_room()
    items = [await add(host, room, f"{n}") for n in range(4)]
    order = list(items)

    for turn in range(30):
        moving, before = order[-1], order[1]
        answer = await host.send("POST", f"rooms/{room}/playlist/{moving}/move", {"before": before})
        assert answer.status == 200, turn
        order.remove(moving)
        order.insert(order.index(before), moving)

    page = (await host.get(f"rooms/{room}/playlist")).json["items"]
    assert [item["id"] for item in page] == order
    assert [item["position"] for item in page] == sorted({item["position"] for item in page})


async def test_changes_at_once_take_one_version_each(host: Person) -> None:
    """Ten who add at once make ten items and ten versions."""
    room = await host.make_room()

    await asyncio.gather(*(add(host, room, f"{n}") for n in range(10)))

    page = (await host.get(f"rooms/{room}/playlist")).json
    assert page["version"] == 10
    assert len({item["position"] for item in page["items"]}) == 10


async def test_a_full_playlist_takes_no_more(host: Person) -> None:
    """The limit of items a room is a conflict."""
    room = await host.make_room()
    for n in range(30):
        await add(host, room, f"{n}")

    answer = await host.post(f"rooms/{room}/playlist", {"kind": "url", "url": "https://a/b"})

    assert answer.code == "conflict"


async def test_the_playlist_pages_in_order(host: Person) -> None:
    """Every item once, over pages."""
    room = await host.make_room()
    items = [await add(host, room, f"{n}") for n in range(5)]

    found, after = [], ""
    while True:
        page = (await host.get(f"rooms/{room}/playlist?limit=2{after}")).json
        found += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"

    assert found == items
