"""Streams as a resource: made, described, given another key, taken away; and what their room hears."""

import asyncio
import hashlib
import json
from typing import Any

import pytest

from bus_schemas.messages.live import (
    LiveEvent,
    StopReason,
    StreamControl,
    StreamKey,
    StreamStarted,
    StreamStopped,
)
from bus_schemas.streams import STREAM_KEYS
from bus_schemas.subjects import LIVE_CONTROL, LIVE_EVENT, ROOM_EVENT
from runtime.emit import emit
from runtime.kv import Bucket
from tests.embedded import fresh_name
from tests.integration.gateway_process import GatewayProcess, StartGateways
from tests.integration.live_encoder import Encoder
from tests.integration.live_site import Site

pytestmark = pytest.mark.connected


SETTINGS = {
    "LIMITS__SIGN_INS_PER_MINUTE": "1000",
    "LIMITS__STREAMS_PER_USER": "3",
    "GATEWAY__RTMP_PORT": "1936",
}


@pytest.fixture(scope="module")
def gateways(start_gateways: StartGateways) -> list[GatewayProcess]:
    """One gateway, at an RTMP port of its own."""
    return start_gateways(**SETTINGS)


async def key_in_bucket(site: Site, key: str) -> StreamKey | None:
    entry = await Bucket(site.bus.js, STREAM_KEYS).get(hashlib.sha256(key.encode()).hexdigest())
    return StreamKey.model_validate_json(entry.value) if entry else None


async def room_events(site: Site, room: str) -> "asyncio.Queue[dict[str, Any]]":
    """Events of a room from now on."""
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def on_event(message: Any) -> None:
        heard.put_nowait(json.loads(message.data))

    await site.bus.nc.subscribe(ROOM_EVENT.at(room=room), cb=on_event)
    await site.bus.nc.flush()
    return heard


async def test_a_stream_of_a_room_has_a_key_and_an_item(site: Site) -> None:
    """The key is shown once and opens the stream for ingest; the playlist has a live item, and the room hears of it."""
    room = await site.owner.make_room()
    heard = await room_events(site, room)

    made = await site.owner.post(f"rooms/{room}/streams", {"title": "Match of the day"})

    assert made.status == 201
    stream, key = made.json["stream"], made.json["stream_key"]
    assert made.json["rtmp_url"] == "rtmp://127.0.0.1:1936/live"
    item = made.json["item"]
    assert (item["kind"], item["stream"], item["title"]) == ("live", stream, "Match of the day")
    stored = await key_in_bucket(site, key)
    assert stored is not None
    assert (stored.stream, stored.room, stored.owner) == (stream, room, site.owner.user)
    event = await asyncio.wait_for(heard.get(), 20)
    assert (event["change"], event["item"]["id"]) == ("added", item["id"])
    assert key not in (await site.owner.get(f"streams/{stream}")).body.decode()


async def test_only_who_may_publish_makes_streams_in_a_room(site: Site) -> None:
    """A member without the right, a guest outside rooms, and a stranger are refused."""
    room = await site.owner.make_room()
    member = await site.owner.somebody_else().register(fresh_name("member"))
    await member.post(f"rooms/{room}/join")
    guest = await site.owner.somebody_else().come_as_guest()
    stranger = await site.owner.somebody_else().register(fresh_name("stranger"))

    answers = [
        await member.post(f"rooms/{room}/streams", {}),
        await guest.post("streams", {}),
        await stranger.post(f"rooms/{room}/streams", {}),
    ]

    assert [answer.code for answer in answers] == ["forbidden"] * 3


async def test_a_live_stream_is_described(site: Site) -> None:
    """Offline first; then with addresses and what its headers say."""
    stream = await site.make_stream(title="Cup")
    offline = (await site.owner.get(f"streams/{stream}")).json
    await Encoder(site.bus, stream).begin()

    live = (await site.owner.somebody_else().get(f"streams/{stream}")).json

    assert (offline["status"], offline["live"]) == ("offline", None)
    assert (live["status"], live["title"], live["private"], live["play_token"]) == (
        "live",
        "Cup",
        False,
        None,
    )
    assert live["urls"]["flv"] == f"{site.gateways[0].http}/live/{stream}.flv"
    assert live["urls"]["hls"] == f"{site.gateways[0].http}/live/{stream}/index.m3u8"
    assert live["live"]["audio_codec"] == "mp4a.40.2"
    assert live["viewers"] == 0


async def test_the_stream_of_a_locked_room_is_described_to_its_members_only(site: Site) -> None:
    """With a play token in its addresses; others learn nothing."""
    room = await site.owner.make_room(hidden=True)
    stream = (await site.owner.post(f"rooms/{room}/streams", {})).json["stream"]
    stranger = await site.owner.somebody_else().register(fresh_name("stranger"))

    shown = (await site.owner.get(f"streams/{stream}")).json
    nobody = await site.owner.somebody_else().get(f"streams/{stream}")
    other = await stranger.get(f"streams/{stream}")

    assert shown["private"]
    assert shown["urls"]["flv"].endswith(f"?token={shown['play_token']['token']}")
    assert (nobody.code, other.code) == ("unauthenticated", "not_found")


async def test_a_rotated_key_opens_the_stream_and_the_old_one_does_not(site: Site) -> None:
    """The bucket follows the database."""
    made = (await site.owner.post("streams", {})).json

    rotated = await site.owner.post(f"streams/{made['stream']}/rotate-key")

    assert rotated.status == 200
    assert await key_in_bucket(site, made["stream_key"]) is None
    stored = await key_in_bucket(site, rotated.json["stream_key"])
    assert stored is not None
    assert stored.stream == made["stream"]


async def test_a_deleted_stream_is_gone_with_its_key_and_its_items(site: Site) -> None:
    """Its publisher is put off, and the room hears that the item went."""
    room = await site.owner.make_room()
    made = (await site.owner.post(f"rooms/{room}/streams", {})).json
    heard = await room_events(site, room)
    orders = await control_of(site, made["stream"])

    deleted = await site.owner.send("DELETE", f"streams/{made['stream']}")

    assert deleted.status == 204
    assert await key_in_bucket(site, made["stream_key"]) is None
    assert (await site.owner.get(f"streams/{made['stream']}")).code == "not_found"
    assert (await site.owner.get(f"rooms/{room}/playlist")).json["items"] == []
    events = [await asyncio.wait_for(heard.get(), 20)]
    while events[-1]["type"] != "playlist" or events[-1]["change"] != "removed":
        events.append(await asyncio.wait_for(heard.get(), 20))
    assert (await asyncio.wait_for(orders.get(), 20)).action == "kick"


async def control_of(site: Site, stream: str) -> "asyncio.Queue[StreamControl]":
    """Orders to whoever ingests the stream, from now on."""
    orders: asyncio.Queue[StreamControl] = asyncio.Queue()

    async def on_order(message: Any) -> None:
        orders.put_nowait(StreamControl.model_validate_json(message.data))

    await site.bus.nc.subscribe(LIVE_CONTROL.at(stream=stream), cb=on_order)
    await site.bus.nc.flush()
    return orders


async def test_a_publisher_is_kicked_by_who_runs_the_stream(site: Site) -> None:
    """Offline where nobody publishes; forbidden for others; else the order goes out."""
    stream = await site.make_stream()
    stranger = await site.owner.somebody_else().register(fresh_name("stranger"))
    orders = await control_of(site, stream)

    nobody_there = await site.owner.send("DELETE", f"streams/{stream}/publisher")
    await Encoder(site.bus, stream).claim()
    not_theirs = await stranger.send("DELETE", f"streams/{stream}/publisher")
    kicked = await site.owner.send("DELETE", f"streams/{stream}/publisher")

    assert (nobody_there.code, not_theirs.code, kicked.status) == ("stream_offline", "forbidden", 204)
    assert (await asyncio.wait_for(orders.get(), 20)).action == "kick"


async def test_somebody_elses_stream_is_not_ones_own(site: Site) -> None:
    """Rotating and deleting are for its owner; of a private one others know nothing."""
    stream, private = await site.make_stream(), await site.make_stream(private=True)
    stranger = await site.owner.somebody_else().register(fresh_name("stranger"))

    answers = [
        await stranger.post(f"streams/{stream}/rotate-key"),
        await stranger.send("DELETE", f"streams/{stream}"),
        await stranger.post(f"streams/{private}/rotate-key"),
        await stranger.get(f"streams/{private}"),
        await stranger.get("streams/a.b"),
        await stranger.get("streams/nobody"),
    ]

    assert [answer.code for answer in answers] == ["forbidden"] * 2 + ["not_found"] * 4


async def test_a_user_has_so_many_streams(site: Site) -> None:
    """One more than allowed is a conflict."""
    for _ in range(3):
        await site.make_stream()

    assert (await site.owner.post("streams", {})).code == "conflict"


async def test_the_room_hears_that_its_stream_began_and_ended(site: Site) -> None:
    """Once each, though events may be delivered twice; an end that a newer session has outrun is not told."""
    room, stream = await site.owner.make_room(), fresh_name("stream")
    heard = await room_events(site, room)
    started = StreamStarted(stream=stream, epoch=10, at=1, node="n1", room=room)
    stopped = StreamStopped(stream=stream, epoch=10, at=2, reason=StopReason.UNPUBLISHED, room=room)
    await Encoder(site.bus, stream, epoch=20).claim()
    for event in (started, started, stopped):
        await emit(site.bus, LIVE_EVENT, LiveEvent(event), stream=stream)
    first = await asyncio.wait_for(heard.get(), 20)
    end = stopped.model_copy(update={"epoch": 20, "at": 3})

    await emit(site.bus, LIVE_EVENT, LiveEvent(end), stream=stream)

    events = [first]
    while events[-1].get("status") != "offline":
        events.append(await asyncio.wait_for(heard.get(), 20))
    assert {event["status"] for event in events[:-1]} == {"live"}
    assert (events[-1]["stream"], events[-1]["at"]) == (stream, 3)


async def test_a_gateway_repairs_the_keys_at_its_start(site: Site, start_gateways: StartGateways) -> None:
    """A key that is missing in the bucket comes back, one that the database does not know goes."""
    made = (await site.owner.post("streams", {})).json
    bucket = Bucket(site.bus.js, STREAM_KEYS)
    await bucket.delete(hashlib.sha256(made["stream_key"].encode()).hexdigest())
    await bucket.put("f" * 64, StreamKey(stream="ghost", owner="u1").model_dump_json().encode())

    (another,) = await asyncio.to_thread(start_gateways, **SETTINGS)
    try:
        async with asyncio.timeout(20):
            while (  # noqa: ASYNC110  # another process
                await key_in_bucket(site, made["stream_key"]) is None
                or await bucket.get("f" * 64) is not None
            ):
                await asyncio.sleep(0.02)
    finally:
        await asyncio.to_thread(another.stop)
