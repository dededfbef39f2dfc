"""Who is still there: pings, and peers that are gone (DESIGN.md §8)."""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp

from ops.conformance.case import Case, cases
from ops.conformance.verdict import Failed, expect
from ops.conformance.world import World

PING_S: Final = 20.0
DEAD_WITHIN_S: Final = 45.0
SLACK_S: Final = 2.0


async def the_server_pings(world: World) -> None:
    """The server pings every 20 s, by WebSocket's own pings."""
    guest = await world.guest()
    async with guest.socket(autoping=False) as peer:
        loop = asyncio.get_running_loop()
        pings: list[float] = []
        while len(pings) < 2:
            try:
                async with asyncio.timeout(PING_S + SLACK_S):
                    message = await peer.ws.receive()
            except TimeoutError:
                raise Failed(f"a ping within {PING_S:g} s", f"none; {len(pings)} before") from None
            if message.type is aiohttp.WSMsgType.PING:
                pings.append(loop.time())
                await peer.ws.pong(message.data)
            elif message.type is not aiohttp.WSMsgType.TEXT:
                raise Failed("a socket that stays open", f"{message.type.name} {peer.ws.close_code}")


async def dead_peers_are_found(world: World) -> None:
    """Who answers no ping is closed: two missed, within 45 s."""
    guest = await world.guest()
    async with guest.socket(autoping=False) as peer:
        loop = asyncio.get_running_loop()
        began = loop.time()
        pings = 0
        while True:
            try:
                async with asyncio.timeout(max(0.1, began + DEAD_WITHIN_S + SLACK_S - loop.time())):
                    message = await peer.ws.receive()
            except TimeoutError:
                raise Failed(f"the end of the connection within {DEAD_WITHIN_S:g} s", "it is open") from None
            if message.type is aiohttp.WSMsgType.PING:
                pings += 1
            elif message.type is not aiohttp.WSMsgType.TEXT:
                break
        expect(pings >= 2, "two pings before the end", pings)


async def quiet_peers_live_on(world: World) -> None:
    """Who only answers pings stays connected: quiet is not dead."""
    guest = await world.guest()
    async with guest.socket() as peer:
        await peer.drained(DEAD_WITHIN_S + SLACK_S)
        await peer.settle()


CASES: Final[tuple[Case, ...]] = cases(the_server_pings, dead_peers_are_found, quiet_peers_live_on, slow=True)
