"""The handshake and the token (DESIGN.md §8)."""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp

from ops.conformance.case import Case, cases
from ops.conformance.verdict import Failed, Skipped, expect
from ops.conformance.world import World

NO_TOKEN: Final = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0."  # noqa: S105 - it claims to be root, unsigned
GRACE_S: Final = 60.0
PATIENCE_S: Final = 30.0
"""The longest life of a token that is waited for."""
LOOK_S: Final = 10.0


async def _comes_in(world: World, by: str) -> None:
    guest = await world.guest()
    async with world.socket(guest.token, by=by) as peer:
        chosen = peer.ws.protocol
        expect(chosen == "matinee.v1", "the subprotocol matinee.v1 to be chosen", chosen)
        pong = await peer.ask("ping")
        expect(pong["type"] == "pong", "a pong", pong)


async def token_by_header(world: World) -> None:
    """A token may come by `Authorization: Bearer`."""
    await _comes_in(world, "header")


async def token_by_query(world: World) -> None:
    """A token may come by `?token=`."""
    await _comes_in(world, "query")


async def token_by_subprotocol(world: World) -> None:
    """A token may come as a second subprotocol `bearer.<token>`; the first one is chosen."""
    await _comes_in(world, "subprotocol")


async def another_subprotocol_is_refused(world: World) -> None:
    """Who offers only other subprotocols gets no socket that speaks matinee.v1."""
    guest = await world.guest()
    try:
        async with world.socket(guest.token, protocols=("matinee.v9",)) as peer:
            raise Failed("the handshake to be refused", f"a socket with subprotocol {peer.ws.protocol!r}")
    except aiohttp.WSServerHandshakeError as exc:
        expect(400 <= exc.status < 500, "a status of 400 to 499", exc.status)


async def no_token_closes_with_4001(world: World) -> None:
    """Without a token the socket closes with 4001."""
    await _closes(world, "")


async def a_bad_token_closes_with_4001(world: World) -> None:
    """A token that is none closes the socket with 4001."""
    await _closes(world, NO_TOKEN)


async def _closes(world: World, token: str) -> None:
    try:
        async with world.socket(token) as peer:
            code = await peer.closed()
            expect(code == 4001, "close code 4001", code)
    except aiohttp.WSServerHandshakeError as exc:
        raise Failed(
            "a socket that closes with 4001, so that browsers can tell why", f"status {exc.status}"
        ) from exc


async def an_ended_sign_in_closes_with_4001(world: World) -> None:
    """Signing out closes the sockets of that sign-in with 4001."""
    if world.token:
        raise Skipped("an account was named: it is not signed out")
    account = await world.account()
    async with account.socket() as peer:
        await peer.settle()
        await account.post("auth/logout")
        code = await peer.closed()
        expect(code == 4001, "close code 4001", code)
    await _closes(world, account.token)


async def auth_renews_the_token(world: World) -> None:
    """`auth {token}` with a token of the same user is acked."""
    guest = await world.guest()
    async with guest.socket() as peer:
        await peer.acked("auth", token=guest.token)


async def auth_with_a_bad_token_is_refused(world: World) -> None:
    """A bad token is `unauthenticated`, somebody else's is `forbidden`; the socket goes on with the one it has."""
    guest, owner = await world.guest(), await world.owner()
    async with guest.socket() as peer:
        await peer.refused("unauthenticated", "auth", token=NO_TOKEN)
        await peer.refused("forbidden", "auth", token=owner.token)
        await peer.settle()


async def an_expired_token_closes_with_4001(world: World) -> None:
    """60 s after its token expired the socket closes with 4001, not before; one that was renewed stays."""
    account = await world.owner() if world.token else await world.account()
    if not 0 < account.expires_in <= PATIENCE_S:
        life = f"{account.expires_in:g} s" if account.expires_in else "unknown"
        raise Skipped(f"the life of a token is {life}: not waited for beyond {PATIENCE_S:g} s")
    loop = asyncio.get_running_loop()
    async with account.socket() as left, account.socket() as renewed:
        began = loop.time()
        fresh = await account.post("auth/refresh", {"refresh_token": account.refresh_token})

        async def renew() -> None:
            await renewed.acked("auth", token=fresh.json["access_token"])
            await renewed.drained(account.expires_in + GRACE_S)

        renewing = asyncio.gather(left.closed(account.expires_in + GRACE_S + LOOK_S), renew())
        code, _ = await renewing
        took = loop.time() - began
        expect(code == 4001, "close code 4001", code)
        expect(took > account.expires_in + GRACE_S - 2, "60 s of grace after the expiry", f"{took:.1f} s")
        await renewed.settle()


CASES: Final[tuple[Case, ...]] = (
    *cases(
        token_by_header,
        token_by_query,
        token_by_subprotocol,
        another_subprotocol_is_refused,
        no_token_closes_with_4001,
        a_bad_token_closes_with_4001,
        an_ended_sign_in_closes_with_4001,
        auth_renews_the_token,
        auth_with_a_bad_token_is_refused,
    ),
    *cases(an_expired_token_closes_with_4001, slow=True),
)
