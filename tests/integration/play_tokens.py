"""Play tokens of the gateways' own making, with any life."""

import asyncpg
from redis.asyncio import Redis

from gateway.auth.keys import Keys
from gateway.auth.revocation import Revocations
from gateway.auth.tokens import Tokens
from runtime.settings import AuthSettings


async def play_token(dsn: str, stream: str, user: str, *, life_s: int) -> str:
    """One that lives so long from now; below 0: as it is so long after its life."""
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
        keys = Keys(pool)
        await keys.reload()
    revocations = Revocations(Redis(), 1)
    return Tokens(keys, revocations, AuthSettings()).issue_play(stream, user, life_s)[0]
