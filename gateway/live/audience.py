"""How many may watch from one address."""

from __future__ import annotations

from bus_schemas.errors import ErrorCode, Refused


class ViewersPerAddress:
    """Counts open connections by address; a limit of 0 is none."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: dict[str, int] = {}

    def enter(self, address: str) -> None:
        """One more; raises `Refused` rate_limited above the limit."""
        here = self._open.get(address, 0)
        if self._limit and here >= self._limit:
            raise Refused(
                ErrorCode.RATE_LIMITED,
                f"{here} streams are open from this address already: close one first.",
                retry_after=5,
            )
        self._open[address] = here + 1

    def leave(self, address: str) -> None:
        """One less."""
        left = self._open.pop(address, 1) - 1
        if left > 0:
            self._open[address] = left
