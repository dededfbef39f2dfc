"""What a gateway answers ingest workers who ask whether an RTMP player may play."""

import pytest

from bus_schemas.messages.live import PlayAnswered, PlayAsked
from bus_schemas.subjects import LIVE_PLAY
from tests.integration.gateway_process import GatewayProcess, StartGateways
from tests.integration.live_site import Site

pytestmark = pytest.mark.connected


@pytest.fixture(scope="module")
def gateways(start_gateways: StartGateways) -> list[GatewayProcess]:
    """Two gateways: one of them answers."""
    return start_gateways(2)


async def ask(site: Site, stream: str, token: str = "") -> PlayAnswered:
    """As an ingest worker does."""
    asked = PlayAsked(stream=stream, token=token).model_dump_json().encode()
    reply = await site.bus.nc.request(LIVE_PLAY.at(stream=stream), asked, timeout=20)
    return PlayAnswered.model_validate_json(reply.data)


async def test_a_public_stream_plays_without_a_token(site: Site) -> None:
    """Whether it is live is not the gateway's question."""
    stream = await site.make_stream()

    assert await ask(site, stream) == PlayAnswered(stream=stream, allowed=True)


async def test_a_private_stream_wants_its_own_token(site: Site) -> None:
    """None, rubbish and another stream's are refused with a sentence; the one from the API is good."""
    stream, other = await site.make_stream(private=True), await site.make_stream(private=True)
    mine = (await site.owner.get(f"streams/{stream}")).json["play_token"]["token"]
    foreign = (await site.owner.get(f"streams/{other}")).json["play_token"]["token"]

    answers = [await ask(site, stream, token) for token in ("", "rubbish", foreign, mine)]

    assert [answer.allowed for answer in answers] == [False, False, False, True]
    assert "play token" in answers[0].detail
    assert all(answer.detail for answer in answers[:3])


async def test_a_name_that_is_no_stream_is_refused(site: Site) -> None:
    """In words, as over HTTP."""
    answer = await ask(site, "no-such-stream")

    assert (answer.allowed, answer.detail) == (False, "There is no such stream.")


async def test_rubbish_is_not_answered(site: Site) -> None:
    """Which denies; and the next question is answered again."""
    with pytest.raises(TimeoutError):
        await site.bus.nc.request(LIVE_PLAY.at(stream="x"), b"{rubbish", timeout=0.5)

    assert not (await ask(site, "x")).allowed
