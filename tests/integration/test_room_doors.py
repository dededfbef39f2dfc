"""The doors of a room: approval, invitations, cool-down, hand-over, idleness, over two gateways."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from urllib.parse import quote

import asyncpg
import pytest

from bus_schemas.permissions import SITE_DEFAULTS, Permission, RoomRole
from ops.accounts import make_invitation
from tests.integration.gateway_process import Answer, GatewayProcess, Person, visiting
from tests.integration.room_stack import RoomStack
from tests.integration.sockets import Frame, connected

pytestmark = pytest.mark.connected

_names = itertools.count(1)
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def rooms(
    tmp_path_factory: pytest.TempPathFactory,
    nats_url: str,
    module_postgres_dsn: str,
    module_redis_url: str,
) -> Iterator[RoomStack]:
    """Gateways as they are asked for; nothing here wants a worker."""
    stack = RoomStack(
        tmp_path_factory.mktemp("doors"), nats=nats_url, postgres=module_postgres_dsn, redis=module_redis_url
    )
    try:
        yield stack
    finally:
        stack.close()


@pytest.fixture(scope="module")
def gateways(rooms: RoomStack) -> tuple[GatewayProcess, GatewayProcess]:
    """Two gateways, shared by the tests of this module."""
    public = {"GATEWAY__PUBLIC_URL": "https://watch.example/"}
    return rooms.gateway(**public), rooms.gateway(**public)


@pytest.fixture(scope="module")
def inviting(rooms: RoomStack) -> GatewayProcess:
    """A gateway at which accounts are by invitation."""
    return rooms.gateway(AUTH__REGISTRATION="invite", GATEWAY__PUBLIC_URL="https://watch.example")


@pytest.fixture
async def ann(gateways: tuple[GatewayProcess, GatewayProcess]) -> AsyncIterator[Person]:
    """Somebody with an account at the first gateway, who runs the rooms."""
    async with visiting(gateways[0].own) as person:
        yield await person.register(f"ann-{next(_names)}")


@pytest.fixture
async def bob(ann: Person, gateways: tuple[GatewayProcess, GatewayProcess]) -> Person:
    """Somebody with an account at the second gateway, who wants to come in."""
    return await ann.somebody_else(gateways[1].own).register(f"bob-{next(_names)}")


@pytest.fixture
async def database(module_postgres_dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection, for what only time or an operator does."""
    connection = await asyncpg.connect(module_postgres_dsn)
    yield connection
    await connection.close()


async def somebody(ann: Person) -> Person:
    return await ann.somebody_else().register(f"somebody-{next(_names)}")


async def invitation(host: Person, room: str, **draft: object) -> str:
    answer = await host.post(f"rooms/{room}/invitations", draft)
    assert answer.status == 201, answer.body
    return str(answer.json["code"])


def waiting_user(frame: Frame) -> bool:
    return bool(frame["type"] == "member" and frame["member"]["state"] == "pending")


async def test_who_asks_waits_and_those_who_may_let_him_in_hear_it(ann: Person, bob: Person) -> None:
    """He gets nothing of the room and knows his state; other members learn nothing of him."""
    room = await ann.make_room(settings={"approval": True})
    member = await somebody(ann)
    code = await invitation(ann, room)
    assert (await member.post(f"rooms/{room}/join", {"invitation": code})).status == 200
    async with connected(ann) as a, connected(member) as m, connected(bob) as b:
        await a.join(room)
        await m.join(room)

        asked = await b.ask("join", room=room)
        you = next(frame for frame in b.frames if frame["type"] == "you")
        heard = await a.until(waiting_user)
        await a.ask("leave", room=room)
        await b.drained(0.5)
        seen_by_member = await m.drained(0.5)

        assert (asked["type"], asked["code"]) == ("error", "forbidden")
        assert "let you in" in asked["detail"]
        assert (you["state"], you["permissions"], you["user"]["id"]) == ("pending", "0", bob.user)
        assert {frame["type"] for frame in b.frames} == {"you", "error"}
        assert (heard["change"], heard["member"]["user"]["id"]) == ("updated", bob.user)
        assert not any(waiting_user(frame) for frame in [*seen_by_member, *m.frames])
        assert await b.refused("chat", room=room, client_id="c", text="hello?") == "forbidden"
        for path in ("members", "playlist", "messages", "playback"):
            assert (await bob.get(f"rooms/{room}/{path}")).code == "forbidden"
        assert (await bob.post(f"rooms/{room}/join")).json["member"]["state"] == "pending"
        assert room not in {one["id"] for one in (await bob.get("rooms/mine")).json["items"]}


async def test_who_waits_is_listed_to_those_who_may_let_him_in(ann: Person, bob: Person) -> None:
    """`?state=pending` wants APPROVE_MEMBER, `banned` BAN_MEMBER; without a state one gets what one may see."""
    room = await ann.make_room()
    member, banned = await somebody(ann), await somebody(ann)
    for person in (member, banned):
        await person.post(f"rooms/{room}/join")
    await ann.send("PATCH", f"rooms/{room}/members/{banned.user}", {"state": "banned"})
    await ann.send("PATCH", f"rooms/{room}", {"settings": {"approval": True}})
    await bob.post(f"rooms/{room}/join")

    async def listed(person: Person, query: str = "") -> set[str]:
        return {one["user"]["id"] for one in (await person.get(f"rooms/{room}/members{query}")).json["items"]}

    assert await listed(ann, "?state=pending") == {bob.user}
    assert await listed(ann, "?state=banned") == {banned.user}
    assert await listed(ann, "?state=active") == {ann.user, member.user}
    assert await listed(ann) == {ann.user, member.user, banned.user, bob.user}
    assert await listed(member) == {ann.user, member.user}
    assert (await member.get(f"rooms/{room}/members?state=pending")).code == "forbidden"
    assert (await member.get(f"rooms/{room}/members?state=banned")).code == "forbidden"
    assert (await ann.get(f"rooms/{room}/members?state=asleep")).code == "invalid"


async def test_who_is_let_in_learns_it_on_every_gateway_and_comes_in(
    ann: Person, bob: Person, gateways: tuple[GatewayProcess, GatewayProcess]
) -> None:
    """`you` says active on all his sockets; then `join` gives the room."""
    room = await ann.make_room(settings={"approval": True}, hidden=True)
    async with connected(bob) as here, connected(bob, gateways[0].own) as there:
        for socket in (here, there):
            assert await socket.refused("join", room=room) == "forbidden"
        approved = await ann.send("PATCH", f"rooms/{room}/members/{bob.user}", {"state": "active"})

        for socket in (here, there):
            you = await socket.of("you", state="active", within=20)
            assert int(you["permissions"]) & Permission.SEND_CHAT
            assert (await socket.join(room))["you"]["state"] == "active"
        assert (approved.status, approved.json["state"]) == (200, "active")


async def test_who_is_turned_away_learns_it_and_is_not_back_at_once(ann: Person, bob: Person) -> None:
    """Rejecting is deleting; asking again has to wait for the cool-down."""
    room = await ann.make_room(settings={"approval": True})
    async with connected(bob) as b:
        await b.refused("join", room=room)
        assert (await ann.send("DELETE", f"rooms/{room}/members/{bob.user}")).status == 204

        assert (await b.of("kicked", within=20))["reason"] == "turned away"
        assert await b.refused("join", room=room) == "forbidden"
    assert (await ann.get(f"rooms/{room}/members?state=pending")).json["items"] == []


async def test_who_waits_may_give_it_up_and_is_let_in_when_nobody_has_to_wait(
    ann: Person, bob: Person
) -> None:
    """`leave` withdraws the question; a room that wants no approval any more lets those who wait in."""
    room = await ann.make_room(settings={"approval": True})
    other = await somebody(ann)
    async with connected(bob) as b:
        await b.refused("join", room=room)
        assert (await bob.post(f"rooms/{room}/leave")).status == 204
        assert (await b.of("kicked", within=20))["reason"] == "left"
        await other.post(f"rooms/{room}/join")
        assert (await other.post(f"rooms/{room}/leave")).status == 204
        await b.refused("join", room=room)
        await ann.send("PATCH", f"rooms/{room}", {"settings": {"approval": False}})

        assert (await b.of("you", state="active", within=20))["room"] == room
        assert (await b.join(room))["type"] == "joined"
    members = {
        one["user"]["id"]: one["state"] for one in (await ann.get(f"rooms/{room}/members")).json["items"]
    }
    assert members == {ann.user: "active", bob.user: "active"}


async def test_a_deleted_room_is_told_to_those_in_front_of_it(ann: Person, bob: Person) -> None:
    """Nobody waits for a room that is gone."""
    room = await ann.make_room(settings={"approval": True})
    async with connected(bob) as b:
        await b.refused("join", room=room)
        await ann.send("DELETE", f"rooms/{room}")

        await b.of("room_deleted", within=20)
        assert await b.refused("join", room=room) == "not_found"


async def test_the_streams_of_a_room_that_wants_approval_are_for_its_members(
    ann: Person, bob: Person
) -> None:
    """Neither outsiders nor those who wait may play them; where nobody has to wait, everybody may."""
    room = await ann.make_room(settings={"approval": True})
    stream = (await ann.post(f"rooms/{room}/streams", {"title": "cam"})).json["stream"]

    outside = await bob.get(f"streams/{stream}")
    await bob.post(f"rooms/{room}/join")
    waiting = await bob.get(f"streams/{stream}")
    await bob.post(f"rooms/{room}/leave")
    await ann.send("PATCH", f"rooms/{room}", {"settings": {"approval": False}})

    assert (outside.code, waiting.code) == ("forbidden", "forbidden")
    assert (await bob.get(f"streams/{stream}")).status == 200


async def test_a_full_room_lets_nobody_in_by_approval(ann: Person, bob: Person) -> None:
    """Those who wait take no place; there must be one when they are let in."""
    room = await ann.make_room(settings={"approval": True, "member_limit": 2})
    other = await somebody(ann)
    for person in (bob, other):
        assert (await person.post(f"rooms/{room}/join")).json["member"]["state"] == "pending"

    first = await ann.send("PATCH", f"rooms/{room}/members/{bob.user}", {"state": "active"})
    second = await ann.send("PATCH", f"rooms/{room}/members/{other.user}", {"state": "active"})

    assert first.status == 200
    assert (second.code, second.json["detail"]) == ("conflict", "The room is full.")
    assert (
        await ann.send("PATCH", f"rooms/{room}/members/{bob.user}", {"state": "pending"})
    ).code == "invalid"


async def test_an_invitation_stands_for_password_and_approval(ann: Person, bob: Person) -> None:
    """By HTTP and by socket; in a room nobody else can see it shows who holds it the door."""
    room = await ann.make_room(hidden=True, password="sesame", settings={"approval": True})
    made = await ann.post(f"rooms/{room}/invitations", {"max_uses": 5, "expires_in": 3600})
    code, other = made.json["code"], await somebody(ann)

    assert made.json["url"] == f"https://watch.example/r/{room}?invitation={code}"
    assert (made.json["uses"], made.json["max_uses"], made.json["created_by"]["id"]) == (0, 5, ann.user)
    assert abs(made.json["expires_at"] - time.time() * 1000 - 3_600_000) < 10_000
    assert (await bob.get(f"rooms/{room}")).status == 404
    assert (await bob.get(f"rooms/{room}?invitation=nosuch")).status == 404
    assert (await bob.get(f"rooms/{room}?invitation={code}")).json["id"] == room
    async with connected(bob) as b:
        joined = await b.join(room, invitation=code)
        assert joined["you"]["state"] == "active"
    assert (await other.post(f"rooms/{room}/join", {"invitation": code})).json["member"]["state"] == "active"
    assert (await ann.get(f"rooms/{room}/invitations")).json["items"] == [{**made.json, "uses": 2}]


async def test_one_who_waits_comes_in_by_an_invitation(ann: Person, bob: Person) -> None:
    """Nobody has to approve him any more."""
    room = await ann.make_room(settings={"approval": True})
    async with connected(bob) as b:
        await b.refused("join", room=room)
        assert (await b.join(room, invitation=await invitation(ann, room)))["you"]["state"] == "active"


async def test_uses_are_counted_once_a_user_whoever_comes_at_once(ann: Person, bob: Person) -> None:
    """Of many at once as many get in as it allows; one who comes back by it counts once, and still gets in."""
    room = await ann.make_room(password="sesame")
    code = await invitation(ann, room, max_uses=3)
    people = [bob, *[await somebody(ann) for _ in range(5)]]

    async def come(person: Person) -> list[Answer]:
        body = {"invitation": code}
        return list(await asyncio.gather(*(person.post(f"rooms/{room}/join", body) for _ in range(3))))

    answers = await asyncio.gather(*(come(person) for person in people))
    outcomes = [{answer.status for answer in each} for each in answers]
    inside = people[outcomes.index({200})]
    await inside.post(f"rooms/{room}/leave")
    back = await inside.post(f"rooms/{room}/join", {"invitation": code})
    listed = (await ann.get(f"rooms/{room}/invitations")).json["items"]

    assert sorted(outcomes, key=str) == [{200}] * 3 + [{403}] * 3
    assert back.status == 200
    assert [(one["uses"], one["max_uses"]) for one in listed] == [(3, 3)]


async def test_an_invitation_that_is_not_good_lets_nobody_in(ann: Person, bob: Person) -> None:
    """Unknown, of another room, expired, taken back, or no code at all: `forbidden`, in a sentence."""
    room, other = await ann.make_room(password="sesame"), await ann.make_room()
    expired = await invitation(ann, room, expires_in=1)
    taken_back = await invitation(ann, room)
    assert (await ann.send("DELETE", f"rooms/{room}/invitations/{taken_back}")).status == 204
    assert (await ann.send("DELETE", f"rooms/{room}/invitations/{taken_back}")).status == 404
    of_another = await invitation(ann, other)
    async with asyncio.timeout(20):
        while (await bob.get(f"rooms/{room}?invitation={expired}")).status == 200:
            answer = await bob.post(f"rooms/{room}/join", {"invitation": expired})
            if answer.status == 403:
                break
            await bob.post(f"rooms/{room}/leave")
            await asyncio.sleep(0.1)

    for code in ("nosuch", of_another, expired, taken_back, "a.b", "*", "'; --"):
        answer = await bob.post(f"rooms/{room}/join", {"invitation": code})
        assert (answer.code, "nvitation" in answer.json["detail"]) == ("forbidden", True), code
    assert (await bob.post(f"rooms/{room}/join", {"invitation": "x" * 65})).code == "invalid"


@pytest.mark.parametrize(
    "draft",
    [{"max_uses": 0}, {"max_uses": 10_001}, {"max_uses": "3"}, {"expires_in": 0}, {"expires_in": 1e12}],
)
async def test_invitations_out_of_range_are_refused(ann: Person, draft: dict[str, object]) -> None:
    """1 to 10,000 people, 1 s to a year."""
    assert (await ann.post(f"rooms/{await ann.make_room()}/invitations", draft)).code == "invalid"


async def test_inviting_is_for_those_who_may_let_people_in(ann: Person, bob: Person) -> None:
    """Members without APPROVE_MEMBER neither make, see nor take back; those it is given to do."""
    room = await ann.make_room()
    code = await invitation(ann, room)
    await bob.post(f"rooms/{room}/join")

    refused = [
        await bob.post(f"rooms/{room}/invitations"),
        await bob.get(f"rooms/{room}/invitations"),
        await bob.send("DELETE", f"rooms/{room}/invitations/{code}"),
    ]
    bits = {"added": str(int(Permission.APPROVE_MEMBER))}
    await ann.send("PATCH", f"rooms/{room}/members/{bob.user}", bits)

    assert [answer.code for answer in refused] == ["forbidden"] * 3
    assert (await bob.post(f"rooms/{room}/invitations")).status == 201


async def test_the_banned_and_the_kicked_stay_out_whatever_they_hold(ann: Person, bob: Person) -> None:
    """An invitation opens the door to neither; the kicked are told how long, on both ways."""
    room = await ann.make_room(settings={"kick_cooldown_s": 30})
    code = await invitation(ann, room)
    async with connected(bob) as b:
        await b.join(room, invitation=code)
        await ann.send("DELETE", f"rooms/{room}/members/{bob.user}")
        await b.of("kicked")
        refused = await b.ask("join", room=room, invitation=code)
        over_http = await bob.post(f"rooms/{room}/join", {"invitation": code})

        assert (refused["type"], refused["code"]) == ("error", "forbidden")
        assert 25 <= refused["retry_after"] <= 30
        assert (over_http.status, over_http.code) == (403, "forbidden")
        assert 25 <= over_http.json["retry_after"] <= 30
        assert int(over_http.headers["Retry-After"]) == over_http.json["retry_after"]

    other = await somebody(ann)
    await other.post(f"rooms/{room}/join")
    await ann.send("PATCH", f"rooms/{room}/members/{other.user}", {"state": "banned"})
    assert (await other.post(f"rooms/{room}/join", {"invitation": code})).code == "forbidden"
    assert (await ann.send("DELETE", f"rooms/{room}/members/{other.user}")).status == 204
    assert (await other.post(f"rooms/{room}/join")).status == 200


async def test_the_cool_down_is_the_rooms_else_the_sites_and_ends(
    ann: Person, bob: Person, database: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """A minute where the room says nothing, none where it says 0; when it is over one comes back."""
    strict, lenient = await ann.make_room(), await ann.make_room(settings={"kick_cooldown_s": 0})
    for room in (strict, lenient):
        await bob.post(f"rooms/{room}/join")
        await ann.send("DELETE", f"rooms/{room}/members/{bob.user}")

    refused = await bob.post(f"rooms/{strict}/join")
    assert 50 <= refused.json["retry_after"] <= 60
    assert (await bob.post(f"rooms/{lenient}/join")).status == 200
    await database.execute(
        "UPDATE room_kicks SET until = $1 WHERE room = $2", int(time.time() * 1000), strict
    )
    assert (await bob.post(f"rooms/{strict}/join")).status == 200


async def test_lifting_a_ban_wants_the_right_to_ban(ann: Person, bob: Person) -> None:
    """KICK_MEMBER alone does not undo what BAN_MEMBER did."""
    room, other = await ann.make_room(), await somebody(ann)
    for person in (bob, other):
        await person.post(f"rooms/{room}/join")
    kicker = {"added": str(int(Permission.KICK_MEMBER))}
    await ann.send("PATCH", f"rooms/{room}/members/{bob.user}", kicker)
    await ann.send("PATCH", f"rooms/{room}/members/{other.user}", {"state": "banned"})

    assert (await bob.send("DELETE", f"rooms/{room}/members/{other.user}")).code == "forbidden"
    assert (await other.post(f"rooms/{room}/join")).code == "forbidden"


async def test_a_room_is_handed_over_in_one_step_and_everybody_learns(ann: Person, bob: Person) -> None:
    """The new creator has all rights at once, the old one is an admin; room, members and rights say so everywhere."""
    room = await ann.make_room()
    async with connected(ann) as a, connected(bob) as b:
        await a.join(room)
        await b.join(room)
        answer = await ann.send("PATCH", f"rooms/{room}/members/{bob.user}", {"role": "creator"})

        assert (answer.status, answer.json["role"]) == (200, "creator")
        assert (await b.of("you", within=20))["role"] == "creator"
        assert (await a.of("you", within=20))["role"] == "admin"
        await a.drained(0.5)
        settings = next(event for event in a.events(room) if event["type"] == "settings")
        assert settings["settings"]["creator"]["id"] == bob.user
        told = {
            e["member"]["user"]["id"]: e["member"]["role"] for e in a.events(room) if e["type"] == "member"
        }
        assert told == {ann.user: "admin", bob.user: "creator"}
    assert (await bob.get(f"rooms/{room}")).json["creator"]["id"] == bob.user
    assert int((await bob.post(f"rooms/{room}/join")).json["member"]["permissions"]) & Permission.DELETE_ROOM
    mine = (await ann.post(f"rooms/{room}/join")).json["member"]
    assert mine["permissions"] == str(int(SITE_DEFAULTS[RoomRole.ADMIN]))
    assert (
        await ann.send("PATCH", f"rooms/{room}/members/{ann.user}", {"role": "creator"})
    ).code == "forbidden"
    assert (await ann.post(f"rooms/{room}/leave")).status == 204


async def test_a_room_goes_to_nobody_who_cannot_have_it(
    ann: Person, bob: Person, rooms: RoomStack, database: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Not by an admin, not to a guest, a stranger, one who waits; root of the site may; a full hand takes no more."""
    room = await ann.make_room()
    guest, root = await ann.somebody_else().come_as_guest(), await somebody(ann)
    await bob.post(f"rooms/{room}/join")
    await guest.post(f"rooms/{room}/join")
    await ann.send("PATCH", f"rooms/{room}/members/{bob.user}", {"role": "admin"})
    path, wanted = f"rooms/{room}/members", {"role": "creator"}

    assert (await bob.send("PATCH", f"{path}/{bob.user}", wanted)).code == "forbidden"
    assert (await ann.send("PATCH", f"{path}/{guest.user}", wanted)).code == "forbidden"
    assert (await ann.send("PATCH", f"{path}/{root.user}", wanted)).code == "not_found"
    assert (await root.send("PATCH", f"{path}/{bob.user}", wanted)).code == "forbidden"
    assert (await ann.send("PATCH", f"{path}/{bob.user}", {**wanted, "added": "1"})).code == "invalid"
    await database.execute("UPDATE users SET role = 'root' WHERE id = $1", root.user)
    assert (await root.send("PATCH", f"{path}/{bob.user}", wanted)).json["role"] == "creator"
    creators = await database.fetch("SELECT user_id FROM members WHERE room = $1 AND role = 'creator'", room)
    assert [row["user_id"] for row in creators] == [bob.user]

    narrow = rooms.gateway(LIMITS__ROOMS_PER_USER="1")
    host = Person(ann.session, narrow.own, token=ann.token, user=ann.user)
    full = Person(ann.session, narrow.own, token=bob.token, user=bob.user)
    second = await host.make_room()
    await full.post(f"rooms/{second}/join")
    assert (await host.send("PATCH", f"rooms/{second}/members/{bob.user}", wanted)).code == "conflict"


async def test_as_many_rooms_as_one_may_have_whoever_asks_at_once(ann: Person, rooms: RoomStack) -> None:
    """Six asked for together where one is allowed are one."""
    narrow = rooms.gateway(LIMITS__ROOMS_PER_USER="1")
    person = await ann.somebody_else(narrow.own).register(f"many-{next(_names)}")

    made = await asyncio.gather(*(person.post("rooms", {"name": "Mine"}) for _ in range(6)))

    assert sorted(answer.status for answer in made) == [201, 409, 409, 409, 409, 409]


async def test_lists_say_how_many_are_in_a_room(ann: Person, bob: Person) -> None:
    """Over all gateways, each person once; names are found in whatever case, of any script."""
    tag = f"größe-ж-{next(_names)}"
    room, empty = await ann.make_room(name=tag), await ann.make_room(name=tag)
    async with connected(ann) as a, connected(bob) as b, connected(bob) as again:
        for socket in (a, b, again):
            await socket.join(room)

        listed = {
            one["id"]: one["online"]
            for one in (await bob.get(f"rooms?query={quote(tag.replace('ö', 'Ö').replace('ж', 'Ж'))}")).json[
                "items"
            ]
        }
        mine = {one["id"]: one["online"] for one in (await ann.get("rooms/mine")).json["items"]}

    assert listed == {room: 2, empty: 0}
    assert mine == listed


async def test_a_site_by_invitation_takes_those_who_have_one_once(
    ann: Person,
    inviting: GatewayProcess,
    database: "asyncpg.Connection[asyncpg.Record]",
    module_postgres_dsn: str,
) -> None:
    """Admins and the operator make codes, each for one account; a taken name burns none; without one no account."""
    admin = await somebody(ann)
    assert (await ann.post("invitations")).code == "forbidden"
    await database.execute("UPDATE users SET role = 'admin' WHERE id = $1", admin.user)
    made = await admin.post("invitations", {"expires_in": 3600})
    code, visitor = made.json["code"], ann.somebody_else(inviting.own)
    name = f"invited-{next(_names)}"

    async def register(username: str, invitation: str | None) -> Answer:
        body = {"username": username, "password": "correct horse", "invitation": invitation}
        return await visitor.post("auth/register", body)

    assert made.json["url"] == f"https://watch.example/account?invitation={code}"
    assert (await visitor.get("auth/providers")).json["registration"] == "invite"
    assert (await ann.get("auth/providers")).json["registration"] == "open"
    for bad in (None, "", "nosuch", code.lower() + "x"):
        assert (await register(name, bad)).code == "forbidden"
    taken = (await ann.get("users/me")).json["username"]
    assert (await register(taken, code)).code == "conflict"
    answers = await asyncio.gather(*(register(f"{name}-{number}", code) for number in range(4)))
    assert sorted(answer.status for answer in answers) == [201, 403, 403, 403]
    assert (await register(f"{name}-op", await make_invitation(module_postgres_dsn, 60))).status == 201
    await database.execute("UPDATE site_invitations SET expires_at = 1, used_at = NULL, used_by = NULL")
    assert (await register(name, code)).code == "forbidden"
    stored = await database.fetch("SELECT hash FROM site_invitations")
    assert not any(code.encode() in row["hash"] for row in stored)


async def site_admin(ann: Person, database: "asyncpg.Connection[asyncpg.Record]") -> Person:
    """Somebody who may invite to the site, where there are no invitations yet."""
    admin = await somebody(ann)
    await database.execute("UPDATE users SET role = 'admin' WHERE id = $1", admin.user)
    await database.execute("DELETE FROM site_invitations")
    return admin


async def test_codes_for_accounts_are_listed_without_the_codes(
    ann: Person,
    inviting: GatewayProcess,
    database: "asyncpg.Connection[asyncpg.Record]",
    module_postgres_dsn: str,
) -> None:
    """Newest first and in pages, by whom, until when and who came; what is listed opens nothing."""
    admin = await site_admin(ann, database)
    me = {"id": admin.user, "username": (await admin.get("users/me")).json["username"]}
    by_operator = await make_invitation(module_postgres_dsn, None)
    used = (await admin.post("invitations")).json
    unused = (await admin.post("invitations", {"expires_in": 3600})).json
    await database.execute("UPDATE site_invitations SET created_at = 1 WHERE created_by = 'operator'")
    visitor = ann.somebody_else(inviting.own)
    body = {"username": f"listed-{next(_names)}", "password": "correct horse"}

    comer = (await visitor.post("auth/register", {**body, "invitation": used["code"]})).json["user"]
    first = await admin.get("invitations?limit=2")
    second = await admin.get(f"invitations?limit=2&after={first.json['next']}")

    listed = {one["id"]: one for one in first.json["items"]}
    no_code = {name: unused[name] for name in unused if name not in {"code", "url"}}
    assert listed[unused["id"]] == {**no_code, "created_by": me, "used_by": None, "used_at": None}
    assert listed[used["id"]]["used_by"] == {"id": comer["id"], "username": body["username"]}
    assert listed[used["id"]]["used_at"] >= used["created_at"]
    (operators,) = second.json["items"]
    assert operators["created_by"] == {"id": "operator", "username": "operator"}
    assert operators["expires_at"] is None
    assert second.json["next"] is None
    shown = str(first.json) + str(second.json)
    assert not any(code in shown for code in (by_operator, used["code"], unused["code"]))
    answer = await visitor.post("auth/register", {**body, "invitation": unused["id"]})
    assert answer.code == "forbidden"


async def test_a_code_for_an_account_can_be_taken_back_until_it_is_used(
    ann: Person, inviting: GatewayProcess, database: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """By any admin: it opens nothing any more and is gone from the list; a used one stands."""
    admin, other = await site_admin(ann, database), await somebody(ann)
    await database.execute("UPDATE users SET role = 'root' WHERE id = $1", other.user)
    taken_back, used = [(await admin.post("invitations")).json for _ in range(2)]
    visitor = ann.somebody_else(inviting.own)
    body = {"username": f"revoked-{next(_names)}", "password": "correct horse"}

    assert (await other.send("DELETE", f"invitations/{taken_back['id']}")).status == 204
    assert (
        await visitor.post("auth/register", {**body, "invitation": taken_back["code"]})
    ).code == "forbidden"
    assert (await visitor.post("auth/register", {**body, "invitation": used["code"]})).status == 201
    assert (await other.send("DELETE", f"invitations/{used['id']}")).code == "conflict"
    for unknown in (taken_back["id"], taken_back["code"], "nosuch", "ab.cd", "%00"):
        assert (await other.send("DELETE", f"invitations/{unknown}")).code == "not_found"
    assert [one["id"] for one in (await admin.get("invitations")).json["items"]] == [used["id"]]
    acts = await database.fetch("SELECT act, target FROM audit WHERE actor = $1", other.user)
    assert ("user.invitation_taken_back", taken_back["id"]) in [(row["act"], row["target"]) for row in acts]


async def test_codes_for_accounts_are_the_admins_business(
    ann: Person, database: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Neither users nor a banned admin see or revoke them, as they make none; a cursor that is none is refused."""
    admin, banned = await site_admin(ann, database), await somebody(ann)
    id_ = (await admin.post("invitations")).json["id"]
    await database.execute("UPDATE users SET role = 'admin', state = 'banned' WHERE id = $1", banned.user)

    for person in (ann, banned):
        assert (await person.get("invitations")).code == "forbidden"
        assert (await person.send("DELETE", f"invitations/{id_}")).code == "forbidden"
        assert (await person.post("invitations")).code == "forbidden"
    assert (await admin.get("invitations?after=nosuch")).code == "invalid"
    assert len((await admin.get("invitations")).json["items"]) == 1


async def test_abandoned_rooms_go_and_those_in_use_stay(
    ann: Person, bob: Person, rooms: RoomStack, database: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Nobody there for `rooms.idle_days`, nothing said, played or changed: deleted as by hand. Else it stays."""
    idle, occupied, spoken, fresh = [await ann.make_room(hidden=True) for _ in range(4)]
    long_ago = int(time.time() * 1000) - 3 * DAY_MS
    async with connected(bob) as b, connected(ann) as a:
        await b.join(occupied)
        await a.join(occupied)
        await database.execute(
            "UPDATE rooms SET active_at = $1 WHERE id = ANY ($2)", long_ago, [idle, occupied, spoken]
        )
        await database.execute("UPDATE members SET joined_at = $1", long_ago)
        await database.execute(
            "INSERT INTO messages (id, room, user_id, username, text, client_id, at)"
            " VALUES ('m-idle', $1, 'u', 'U', 'hi', 'c', $2)", spoken, long_ago + 2 * DAY_MS + 3_600_000,
        )  # fmt: skip
        rooms.gateway(ROOMS__IDLE_DAYS="2")

        give_up = time.monotonic() + 20
        while (await ann.get(f"rooms/{idle}")).status == 200:
            assert time.monotonic() < give_up
            await asyncio.sleep(0.05)
        for kept in (occupied, spoken, fresh):
            assert (await ann.get(f"rooms/{kept}")).status == 200
        assert not [frame for frame in b.frames if frame["type"] == "room_deleted"]
    audit = await database.fetchrow(
        "SELECT actor, detail FROM audit WHERE act = 'room.deleted' AND target = $1", idle
    )
    assert audit is not None
    assert (audit["actor"], '"idle"' in audit["detail"]) == ("server", True)
    assert await database.fetchval("SELECT active_at FROM rooms WHERE id = $1", occupied) > long_ago
