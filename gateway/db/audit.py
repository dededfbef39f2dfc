"""Sensitive acts: a row, and an event on the bus by way of the outbox."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bus_schemas.messages.room import AuditRecorded
from bus_schemas.subjects import AUDIT
from gateway.db.queries import Connection, load
from runtime.clock import now_ms
from runtime.ids import new_id

if TYPE_CHECKING:
    from gateway.outbox import Outbox


class Audit:
    """Writes into the caller's transaction: an act that is rolled back leaves no trace of having been done."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._sql = load("audit")

    async def record(
        self,
        connection: Connection,
        act: str,
        *,
        actor: str,
        target: str = "",
        address: str = "",
        detail: dict[str, str] | None = None,
    ) -> None:
        """`act` is `category.what`, such as `auth.login_failed`; `detail` holds no secret."""
        record = AuditRecorded(
            id=new_id(), at=now_ms(), actor=actor, act=act, target=target, address=address,
            detail=dict(detail or {}),
        )  # fmt: skip
        await connection.execute(
            self._sql["add"], record.id, record.at, actor, act, target, address, json.dumps(record.detail)
        )
        await self._outbox.add_message(connection, AUDIT, record, category=act.partition(".")[0])
