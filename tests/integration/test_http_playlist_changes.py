"""Folders, additions of many, undo, versions and learned lengths of a playlist, on a real gateway."""

import asyncio
import itertools
import json
from typing import Any

import nats
import pytest

from bus_schemas.permissions import Permission
from tests.integration.gateway_process import Answer, GatewayProcess, Person, StartGateways

pytestmark = pytest.mark.connected

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def gateway(start_gateways: StartGateways) -> GatewayProcess:
    """One gateway, limits off, shared by the tests of this module."""
    return start_gateways(LIMITS__ENABLED="false")[0]


class List:
    """One room's playlist in somebody's hands."""

    def __init__(self, person: Person, room: str) -> None:
        self.person = person
        self.path = f"rooms/{room}/playlist"

    async def add(self, title: str, **more: Any) -> str:
        """A film, unless it is told to be something else; its id."""
        draft = (
            {"title": title} | ({} if "kind" in more else {"url": f"https://media.example/{title}"}) | more
        )
        answer = await self.person.post(self.path, draft)
        assert answer.status == 201, answer.body
        return str(answer.json["id"])

    async def folder(self, title: str, **more: Any) -> str:
        """A folder; its id."""
        return await self.add(title, kind="folder", **more)

    async def move(self, item: str, **where: Any) -> Answer:
        """Move an item."""
        return await self.person.post(f"{self.path}/{item}/move", where)

    async def undo(self) -> Answer:
        """Take the last change back."""
        return await self.person.post(f"{self.path}/undo", {})

    async def page(self) -> dict[str, Any]:
        """All of it."""
        return dict((await self.person.get(f"{self.path}?limit=200")).json)

    async def tree(self) -> list[Any]:
        """Titles in their order, folders as [title, …]."""
        items = (await self.page())["items"]

        def below(parent: str | None) -> list[Any]:
            return [
                [item["title"], *below(item["id"])] if item["kind"] == "folder" else item["title"]
                for item in items
                if item["parent"] == parent
            ]

        return below(None)


async def events(nats_url: str, room: str, count: int) -> list[dict[str, Any]]:
    """The first events of a room."""
    client = await nats.connect(nats_url)
    try:
        subscription = await client.jetstream().subscribe(
            f"room.{room}.event", stream="ROOM_EVENTS", ordered_consumer=True
        )
        return [json.loads((await subscription.next_msg(timeout=20)).data) for _ in range(count)]
    finally:
        await client.close()


async def test_items_go_into_folders_and_out(host: Person) -> None:
    """By `parent`, or by what they are to stand in front of; a folder takes along what is in it."""
    mine = List(host, await host.make_room())
    film, shows = await mine.add("film"), await mine.folder("shows")
    season = await mine.folder("season", parent=shows)
    pilot = await mine.add("pilot", parent=season)
    await mine.add("second", before=pilot)
    assert await mine.tree() == ["film", ["shows", ["season", "second", "pilot"]]]

    assert (await mine.move(pilot, parent=None, before=film)).json["parent"] is None
    assert await mine.tree() == ["pilot", "film", ["shows", ["season", "second"]]]
    assert (await mine.move(film, parent=shows)).json["parent"] == shows
    assert (await mine.move(season, parent=None)).status == 200
    assert await mine.tree() == ["pilot", ["shows", "film"], ["season", "second"]]
    assert (await mine.move(pilot, before=film)).json["parent"] == shows
    assert (await mine.move(pilot)).json["parent"] == shows
    assert await mine.tree() == [["shows", "film", "pilot"], ["season", "second"]]


async def test_no_circles_no_depths_no_strangers(host: Person) -> None:
    """A folder into itself or below itself, a file as a folder, another room's folder, a ninth level."""
    mine, other = List(host, await host.make_room()), List(host, await host.make_room())
    theirs = await other.folder("theirs")
    film, top = await mine.add("film"), await mine.folder("1")
    deepest = top
    for level in range(2, 9):
        deepest = await mine.folder(str(level), parent=deepest)

    refused = [
        await mine.move(top, parent=top),
        await mine.move(top, parent=deepest),
        await mine.move(top, parent=film),
        await mine.move(film, parent=theirs),
        await mine.move(film, parent=top, before=film),
        await mine.move(film, parent=None, before=deepest),
        await host.post(mine.path, {"kind": "folder", "title": "9", "parent": deepest}),
    ]

    assert [answer.code for answer in refused] == ["invalid"] * len(refused)
    assert (await mine.page())["version"] == 9
    assert (await mine.move(film, parent=deepest)).status == 200


async def test_many_at_once_are_one_change(host: Person, nats_url: str) -> None:
    """In their order, in front of what was named, with one version and one event; all or none."""
    room = await host.make_room()
    mine = List(host, room)
    last = await mine.add("last")
    drafts = [{"url": f"https://media.example/{n}", "title": str(n)} for n in range(150)]

    added = await host.post(mine.path, {"items": drafts, "before": last})
    wrong = await host.post(mine.path, {"items": [*drafts[:3], {"kind": "live", "stream": "none"}]})

    page = await mine.page()
    assert (added.status, wrong.status, page["version"]) == (201, 422, 2)
    assert [item["title"] for item in page["items"]] == [*map(str, range(150)), "last"]
    told = (await events(nats_url, room, 2))[1]
    assert (told["change"], told["item"], told["version"]) == ("added", None, 2)
    by_id = {item["id"]: item for item in page["items"]}
    assert [by_id[item["id"]] for item in added.json["items"]] == added.json["items"]
    assert all(by_id[item["id"]] == item for item in told["items"])


async def test_an_event_is_never_larger_than_a_page(host: Person, nats_url: str) -> None:
    """A folder of 250 that goes names none of them: the list is to be read again."""
    room = await host.make_room()
    mine = List(host, room)
    folder = await mine.folder("many")
    for part in range(2):
        drafts = [{"url": f"https://media.example/{part}-{n}"} for n in range(125)]
        assert (await host.post(mine.path, {"items": drafts, "parent": folder})).status == 201

    removed = await host.send("DELETE", f"{mine.path}/{folder}")

    assert removed.status == 204
    assert (await mine.page())["items"] == []
    told = (await events(nats_url, room, 4))[3]
    assert (told["change"], told["item"], told["items"]) == ("removed", None, None)
    assert (await mine.undo()).status == 200
    count, after = 0, ""
    while after is not None:
        page = (await host.get(f"{mine.path}?limit=200&after={after}")).json
        count, after = count + len(page["items"]), page["next"]
    assert count == 251


async def test_each_of_the_last_ten_changes_can_be_undone(host: Person, nats_url: str) -> None:
    """Newest first, back to how it was; the eleventh is history."""
    room = await host.make_room()
    mine = List(host, room)
    one, two = await mine.add("one"), await mine.add("two")
    seen = [(await mine.page())["items"]]
    shelf = await mine.folder("shelf")
    steps = [
        lambda: mine.move(one, parent=shelf),
        lambda: mine.move(two, before=shelf),
        lambda: host.send("PATCH", f"{mine.path}/{two}", {"title": "Zwei", "duration": 5}),
        lambda: host.send("DELETE", f"{mine.path}/{shelf}"),
        lambda: host.post(mine.path, {"items": [{"url": "https://a/x"}, {"url": "https://a/y"}]}),
        lambda: host.send("DELETE", mine.path),
        lambda: host.post(mine.path, {"url": "https://a/z"}),
    ]
    seen.append((await mine.page())["items"])
    for step in steps:
        assert (await step()).status in {200, 201, 204}
        seen.append((await mine.page())["items"])

    undone = []
    for expected in reversed(seen[:-1]):
        answer = await mine.undo()
        assert answer.status == 200, answer.body
        undone.append(answer.json["change"])
        assert (await mine.page())["items"] == expected

    assert undone == ["added", "cleared", "added", "removed", "edited", "moved", "moved", "added"]
    assert [(await mine.undo()).status for _ in range(3)] == [200, 200, 409]
    told = (await events(nats_url, room, 20))[10:]
    assert all(event["undo"] for event in told)
    assert [event["change"] for event in told[:4]] == ["removed", "added", "removed", "added"]
    for n in range(12):
        await mine.add(str(n))
    assert [(await mine.undo()).status for _ in range(11)] == [200] * 10 + [409]
    assert await mine.tree() == ["0", "1"]


async def test_what_others_did_takes_the_right_to_undo(host: Person) -> None:
    """One's own by the rights of the opposite act; that of others by the rights over their items."""
    room = await host.make_room(preset="host_only")
    member = await host.somebody_else().register(f"m-{next(_numbers)}")
    await member.post(f"rooms/{room}/join")
    mine, theirs = List(host, room), List(member, room)

    await mine.add("hosts")
    assert (await theirs.undo()).code == "forbidden"
    await theirs.add("theirs")
    assert (await theirs.undo()).status == 200
    assert (await theirs.undo()).code == "forbidden"
    folder = await theirs.folder("member's folder")
    await mine.add("guest-of-it", parent=folder)
    assert (await member.send("DELETE", f"{mine.path}/{folder}")).code == "forbidden"
    assert (await mine.page())["version"] == 5
    assert (await host.send("DELETE", f"{mine.path}/{folder}")).status == 204
    assert await mine.tree() == ["hosts"]


async def test_a_change_for_another_version_is_a_conflict(host: Person) -> None:
    """By `version` or by If-Match, of every change; nothing happens then."""
    room = await host.make_room()
    mine = List(host, room)
    item = await mine.add("one")
    await mine.add("two")

    refused = [
        await host.post(mine.path, {"url": "https://a/b", "version": 1}),
        await host.send("PATCH", f"{mine.path}/{item}", {"title": "x", "version": 1}),
        await mine.move(item, version=3),
        await host.post(f"{mine.path}/undo", {"version": 0}),
        await host.send("DELETE", f"{mine.path}/{item}", **{"If-Match": '"1"'}),
        await host.send("DELETE", mine.path, **{"If-Match": "1"}),
    ]
    odd = await host.send("DELETE", mine.path, **{"If-Match": '"abc"'})

    assert [answer.code for answer in refused] == ["conflict"] * len(refused)
    assert (odd.status, odd.json["errors"][0]["path"]) == (422, "If-Match")
    assert (await mine.page())["version"] == 2
    assert (await mine.move(item, version=2)).status == 200
    assert (await host.send("DELETE", f"{mine.path}/{item}", **{"If-Match": '"3"'})).status == 204


async def test_of_ten_who_edit_one_version_one_wins(host: Person) -> None:
    """The others are told that the playlist moved on."""
    mine = List(host, await host.make_room())
    item = await mine.add("one")

    answers = await asyncio.gather(
        *(host.send("PATCH", f"{mine.path}/{item}", {"title": f"t{n}", "version": 1}) for n in range(10))
    )

    assert sorted(answer.status for answer in answers) == [200] + [409] * 9
    assert (await mine.page())["version"] == 2


async def test_a_length_is_learned_once(host: Person) -> None:
    """From those who may send the room on anyway, and of one's own item; a known one stays."""
    room = await host.make_room(preset="host_only")
    member = await host.somebody_else().register(f"m-{next(_numbers)}")
    await member.post(f"rooms/{room}/join")
    guest = await host.somebody_else().come_as_guest()
    await guest.post(f"rooms/{room}/join")
    mine = List(host, room)
    film, folder = await mine.add("film"), await mine.folder("folder")

    own = (await member.post(mine.path, {"kind": "url", "url": "http://media.example/own.mp4"})).json["id"]

    unsaid = await guest.post(f"{mine.path}/{film}/duration", {"duration": 90})
    lied = await member.post(f"{mine.path}/{film}/duration", {"duration": 0.5})
    of_own = await member.post(f"{mine.path}/{own}/duration", {"duration": 42})
    absurd = [
        await host.post(f"{mine.path}/{film}/duration", {"duration": bad})
        for bad in (0, -1, 1e9, "NaN", None, True, "90")
    ]
    first, *rest = [
        await host.post(f"{mine.path}/{film}/duration", {"duration": seconds}) for seconds in (90.5, 2, 90.5)
    ]

    assert (unsaid.code, lied.code) == ("forbidden", "forbidden")
    assert of_own.json["duration"] == 42
    assert [answer.status for answer in absurd] == [422] * 7
    assert (first.status, first.json["duration"]) == (200, 90.5)
    assert [answer.json for answer in rest] == [first.json] * 2
    assert (await host.post(f"{mine.path}/{folder}/duration", {"duration": 5})).json["duration"] is None
    assert (await member.post(f"{mine.path}/nothing/duration", {"duration": 5})).status == 404
    assert (await mine.page())["version"] == 5
    await host.send(
        "PATCH", f"rooms/{room}/members/{member.user}", {"added": str(int(Permission.PLAY_CONTROL))}
    )
    other = await mine.add("other")
    assert (await member.post(f"{mine.path}/{other}/duration", {"duration": 7})).json["duration"] == 7
    await host.send("PATCH", f"{mine.path}/{film}", {"duration": 100})
    assert (await mine.page())["items"][0]["duration"] == 100
