"""The essentials of the HTTP API (DESIGN.md §7), as far as clients of rooms live on them."""

from __future__ import annotations

import json
import time
from typing import Any, Final

from bus_schemas.limits import JSON_BODY_MAX
from bus_schemas.messages.shapes import Item, Member, PlaybackState, Room, User
from ops.conformance.case import Case, cases
from ops.conformance.shapes import fault_in
from ops.conformance.verdict import Failed, Skipped, expect
from ops.conformance.world import PASSWORD, ROOM_PASSWORD, Answer, World

NEAR_S: Final = 60.0
"""A server's clock is this near to ours, or one of them is wrong."""


def shaped(model: Any, answer: Answer, status: int, part: str = "") -> Any:
    """The answer's JSON, or its field `part`, which has this shape; raises Failed for another status or shape."""
    expect(answer.status == status, f"status {status}", answer.shown)
    found = (
        answer.json[part] if part and isinstance(answer.json, dict) and part in answer.json else answer.json
    )
    fault = fault_in(model, json.dumps(found))
    expect(not fault, f"the shape {model.__name__}", f"{fault}; in {answer.shown}")
    return found


def refused(answer: Answer, status: int, code: str) -> None:
    """Raises Failed unless it is a problem document with this status and code."""
    expect(answer.status == status, f"status {status}", answer.shown)
    expect(answer.code == code, f"a problem document with code {code}", answer.shown)


async def openapi_is_served(world: World) -> None:
    """The API is described by OpenAPI 3.1 at /api/v1/openapi.json."""
    answer = await world.send("GET", "openapi.json")
    expect(answer.status == 200, "status 200", answer.shown)
    expect(str((answer.json or {}).get("openapi", "")).startswith("3.1"), "openapi 3.1", answer.shown)


async def asyncapi_is_served(world: World) -> None:
    """The socket is described by AsyncAPI 3 at /api/v1/asyncapi.json."""
    answer = await world.send("GET", "asyncapi.json")
    expect(answer.status == 200, "status 200", answer.shown)
    expect(str((answer.json or {}).get("asyncapi", "")).startswith("3."), "asyncapi 3", answer.shown)


async def health_is_told(world: World) -> None:
    """/healthz and /readyz answer 200, and the keys of the tokens are at /.well-known/jwks.json."""
    for path in ("/healthz", "/readyz"):
        answer = await world.send("GET", path)
        expect(answer.status == 200, f"status 200 of {path}", answer.shown)
    answer = await world.send("GET", "/.well-known/jwks.json")
    expect(answer.status == 200 and (answer.json or {}).get("keys"), "a set of keys", answer.shown)


async def pages_that_do_not_exist_are_404(world: World) -> None:
    """Anything that is no page is 404."""
    answer = await world.send("GET", "/no/such/page")
    expect(answer.status == 404, "status 404", answer.shown)


async def problems_are_documents(world: World) -> None:
    """Errors are RFC 9457 problem documents with `code` and `request_id`."""
    answer = await world.send("POST", "rooms", {"name": "x"})
    refused(answer, 401, "unauthenticated")
    expect(answer.json.get("request_id"), "a request_id", answer.shown)
    expect(answer.json.get("status") == 401, "status in the document", answer.shown)


async def guests_come_in(world: World) -> None:
    """POST auth/guest gives 201 with user, access_token and expires_in; the user is a guest."""
    guest = await world.guest()
    fault = fault_in(User, json.dumps(guest.user))
    expect(not fault and guest.user.get("guest") is True, "a user with guest true", f"{fault} {guest.user}")
    expect(guest.token and guest.expires_in > 0, "a token and its life in seconds", guest.expires_in)


async def accounts_sign_in_and_out(world: World) -> None:
    """Register, login, a wrong password (401), refresh, logout (the token counts no more)."""
    if world.token:
        raise Skipped("an account was named: none is registered here")
    account = await world.account()
    name = account.user["username"]
    wrong = await world.send("POST", "auth/login", {"username": name, "password": "x" * 12})
    refused(wrong, 401, "unauthenticated")
    right = await world.send("POST", "auth/login", {"username": name, "password": PASSWORD})
    expect(right.status == 200 and right.json.get("access_token"), "200 with tokens", right.shown)
    fresh = await world.send("POST", "auth/refresh", {"refresh_token": right.json["refresh_token"]})
    expect(fresh.status == 200, "refresh to give 200", fresh.shown)
    expect(
        fresh.json["refresh_token"] != right.json["refresh_token"], "another refresh token", "the same one"
    )
    token = fresh.json["access_token"]
    out = await world.send("POST", "auth/logout", token=token)
    expect(out.status in (200, 204), "logout to give 204", out.shown)
    after = await world.send("GET", "users/me", token=token)
    refused(after, 401, "unauthenticated")


async def usernames_are_taken_once(world: World) -> None:
    """A username that is taken is a conflict (409)."""
    if world.token:
        raise Skipped("an account was named: none is registered here")
    taken = (await world.owner()).user["username"]
    answer = await world.send("POST", "auth/register", {"username": taken, "password": PASSWORD})
    refused(answer, 409, "conflict")


async def rooms_have_their_shape(world: World) -> None:
    """POST rooms gives 201 with the room, GET rooms/{room} the same; rooms/mine lists it."""
    owner = await world.owner()
    room = await owner.room(password=ROOM_PASSWORD, hidden=True)
    found = shaped(Room, await owner.get(f"rooms/{room}"), 200)
    expect(found["id"] == room and found["has_password"] is True, "the room, with has_password", found)
    mine = await owner.get("rooms/mine?limit=100")
    expect(mine.status == 200 and "items" in mine.json and "next" in mine.json, "items and next", mine.shown)


async def hidden_rooms_are_secret(world: World) -> None:
    """A hidden room is not found by those who are not in it, like one that does not exist."""
    owner, guest = await world.owner(), await world.guest()
    room = await owner.room(hidden=True)
    refused(await guest.get(f"rooms/{room}"), 404, "not_found")
    refused(await guest.get("rooms/no-such-room"), 404, "not_found")


async def passwords_are_asked_for(world: World) -> None:
    """POST join wants the room's password: forbidden (403) without it or with another, 200 with it."""
    owner, guest = await world.owner(), await world.guest()
    room = await owner.room(password=ROOM_PASSWORD)
    refused(await guest.post(f"rooms/{room}/join", {}), 403, "forbidden")
    refused(await guest.post(f"rooms/{room}/join", {"password": ROOM_PASSWORD[::-1]}), 403, "forbidden")
    answer = await guest.post(f"rooms/{room}/join", {"password": ROOM_PASSWORD})
    expect(answer.status == 200, "status 200", answer.shown)


async def members_have_their_shape(world: World) -> None:
    """GET members lists {user, role, state, permissions, online, sync}; masks are decimal strings."""
    owner, guest = await world.owner(), await world.guest()
    room = await owner.room()
    await guest.post(f"rooms/{room}/join")
    answer = await owner.get(f"rooms/{room}/members")
    expect(answer.status == 200, "status 200", answer.shown)
    members = {member["user"]["id"]: member for member in answer.json["items"]}
    expect(set(members) == {owner.id, guest.id}, "both members", list(members))
    for member in members.values():
        fault = fault_in(Member, json.dumps(member))
        mask = member.get("permissions")
        expect(not fault, "the shape of a member", f"{fault}; in {member}")
        expect(isinstance(mask, str) and mask.isdigit(), "permissions as a decimal string", mask)
    expect(members[owner.id]["role"] == "creator", "the room's maker to be its creator", members[owner.id])


async def items_have_their_shape(world: World) -> None:
    """POST playlist gives 201 with the item; GET playlist lists it."""
    owner = await world.owner()
    room = await owner.room()
    draft = {"kind": "url", "url": "https://media.example/a.mp4", "title": "A"}
    item = shaped(Item, await owner.post(f"rooms/{room}/playlist", draft), 201)
    listed = await owner.get(f"rooms/{room}/playlist")
    expect(
        listed.status == 200 and [one["id"] for one in listed.json["items"]] == [item["id"]],
        "the item on the playlist",
        listed.shown,
    )


async def lists_page_by_cursor(world: World) -> None:
    """With limit and after a list comes page by page, each thing once; `next` is null at its end."""
    owner = await world.owner()
    room = await owner.room()
    made = [await owner.item(room, title=str(number)) for number in range(3)]
    found: list[str] = []
    after = ""
    for _ in range(5):
        page = await owner.get(f"rooms/{room}/playlist?limit=1{after}")
        expect(page.status == 200 and "items" in page.json, "a page with items and next", page.shown)
        found += [item["id"] for item in page.json["items"]]
        if page.json["next"] is None:
            break
        after = f"&after={page.json['next']}"
    expect(found == made, f"three items, each once, in their order: {made}", found)


async def playback_over_http(world: World) -> None:
    """POST playback answers with the state, GET playback gives the same; a stale revision is 409 with `state`."""
    owner = await world.owner()
    room = await owner.room()
    item = await owner.item(room)
    state = shaped(
        PlaybackState,
        await owner.post(f"rooms/{room}/playback", {"action": "select", "item": item}),
        200,
        "state",
    )
    read = shaped(PlaybackState, await owner.get(f"rooms/{room}/playback"), 200, "state")
    expect(read == state, f"the state of the answer, {state}", read)
    later = await owner.post(f"rooms/{room}/playback", {"action": "rate", "rate": 1.5})
    expect(later.status == 200, "status 200", later.shown)
    stale = await owner.post(
        f"rooms/{room}/playback", {"action": "rate", "rate": 2, "revision": state["revision"]}
    )
    refused(stale, 409, "conflict")
    expect(stale.json.get("state") == later.json["state"], "the current state in the conflict", stale.shown)


async def values_out_of_range_are_invalid(world: World) -> None:
    """A rate out of 0.25 to 4 and a position that is negative or no number are `invalid` with path and detail."""
    owner = await world.owner()
    room = await owner.room()
    for body in (
        {"action": "seek", "position": -1},
        {"action": "seek", "position": "12"},
        {"action": "rate", "rate": 0},
        {"action": "rate", "rate": 4.5},
        {"action": "explode"},
    ):
        answer = await owner.post(f"rooms/{room}/playback", body)
        refused(answer, 422, "invalid")
        errors = answer.json.get("errors") or [{}]
        expect({"path", "detail"} <= set(errors[0]), "errors with path and detail", answer.shown)


async def bodies_are_bounded(world: World) -> None:
    """What is no JSON is 400, more than 1 MB is 413, nesting beyond 32 is invalid."""
    owner = await world.owner()
    refused(await world.send("POST", "rooms", token=owner.token, data=b'{"name":'), 400, "invalid")
    large = b'{"name":"' + b"x" * JSON_BODY_MAX + b'"}'
    answer = await world.send("POST", "rooms", token=owner.token, data=large)
    refused(answer, 413, "too_large")
    nested = b'{"name":"x","settings":' + b"[" * 40 + b"]" * 40 + b"}"
    answer = await world.send("POST", "rooms", token=owner.token, data=nested)
    expect(
        answer.status in (400, 422) and answer.code == "invalid",
        "invalid for JSON nested 40 deep",
        answer.shown,
    )


async def the_clock_is_told(world: World) -> None:
    """GET time gives t0 as it came, and t1 and t2 as epoch milliseconds."""
    answer = await world.send("GET", "time?t0=12345")
    expect(answer.status == 200, "status 200", answer.shown)
    found = answer.json
    expect(found.get("t0") == 12345, "t0 as it came", found)
    expect(found["t1"] <= found["t2"], "t1 not after t2", found)
    near = abs(found["t1"] - time.time() * 1000) < NEAR_S * 1000  # noqa: TID251 - an edge: the operator's clock
    expect(near, "epoch milliseconds of now", found)


async def history_pages_backwards(world: World) -> None:
    """GET messages gives the last ones; with before and limit those in front, nothing twice."""
    owner = await world.owner()
    room = await owner.room()
    async with owner.socket() as peer:
        await peer.join(room)
        for number in range(3):
            await peer.say(room, f"m{number}")
    texts: list[str] = []
    before = ""
    for _ in range(4):
        page = await owner.get(f"rooms/{room}/messages?limit=1{before}")
        expect(page.status == 200 and "items" in page.json, "a page of history", page.shown)
        texts += [message["text"] for message in page.json["items"]]
        if not page.json.get("next"):
            break
        before = f"&before={page.json['next']}"
    expect(texts == ["m2", "m1", "m0"], "three messages, the last one first", texts)


async def unknown_media_is_not_found(world: World) -> None:
    """An unknown stream is 404 `not_found`, and CORS is open on media, errors too."""
    for path in ("/live/no-such-stream.flv", "/live/no-such-stream/index.m3u8"):
        answer = await world.send("GET", path)
        refused(answer, 404, "not_found")
        allowed = answer.headers.get("Access-Control-Allow-Origin")
        expect(allowed == "*", "Access-Control-Allow-Origin: *", allowed)


async def streams_are_made_and_offline(world: World) -> None:
    """POST rooms/{room}/streams gives 201 with id, address, key and item; nobody publishes: 404 `stream_offline`."""
    owner = await world.owner()
    room = await owner.room()
    answer = await owner.post(f"rooms/{room}/streams", {"title": "camera"})
    expect(answer.status == 201, "status 201", answer.shown)
    made = answer.json
    wanted = {"stream", "rtmp_url", "stream_key", "item"}
    expect(wanted <= set(made) and isinstance(made["stream"], str), f"{sorted(wanted)}", made)
    refused(await world.send("GET", f"/live/{made['stream']}.flv"), 404, "stream_offline")


async def strangers_may_not(world: World) -> None:
    """What one may not do is `forbidden` (403): a guest steers and changes nothing in somebody's room."""
    owner, guest = await world.owner(), await world.guest()
    room = await owner.room()
    await guest.post(f"rooms/{room}/join")
    for method, path, body in (
        ("POST", f"rooms/{room}/playback", {"action": "play"}),
        ("PATCH", f"rooms/{room}", {"name": "mine"}),
        ("DELETE", f"rooms/{room}", None),
        ("PATCH", f"rooms/{room}/members/{owner.id}", {"state": "banned"}),
        ("DELETE", f"rooms/{room}/members/{owner.id}", None),
        ("POST", f"rooms/{room}/streams", {}),
    ):
        answer = await guest.send(method, path, body)
        if (answer.status, answer.code) != (403, "forbidden"):
            raise Failed(f"{method} {path} to be forbidden for a guest", answer.shown)


CASES: Final[tuple[Case, ...]] = cases(
    openapi_is_served,
    asyncapi_is_served,
    health_is_told,
    pages_that_do_not_exist_are_404,
    problems_are_documents,
    guests_come_in,
    accounts_sign_in_and_out,
    usernames_are_taken_once,
    rooms_have_their_shape,
    hidden_rooms_are_secret,
    passwords_are_asked_for,
    members_have_their_shape,
    items_have_their_shape,
    lists_page_by_cursor,
    playback_over_http,
    values_out_of_range_are_invalid,
    bodies_are_bounded,
    the_clock_is_told,
    history_pages_backwards,
    unknown_media_is_not_found,
    streams_are_made_and_offline,
    strangers_may_not,
)
