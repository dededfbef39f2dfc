"""`GET time`: one sample for a client's clock."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from bus_schemas.messages.base import Shape
from gateway.http.endpoints import Call, Endpoint, add_endpoints
from runtime.clock import now_us


class TimeQuery(Shape):
    """`t0`: the client's clock when it sent this, ms; given back as it came."""

    t0: int | float = Field(ge=-(2**53), le=2**53)


class TimeSample(Shape):
    """Milliseconds; t1 and t2 by the server's clock, at arrival and at answer."""

    t0: int | float
    t1: float
    t2: float


async def sample(call: Call) -> TimeSample:
    """Arrival and answer are the same moment but for the parsing in between."""
    t1 = now_us() / 1000
    return TimeSample(t0=call.query(TimeQuery).t0, t1=t1, t2=now_us() / 1000)


def add_routes(app: web.Application) -> None:
    """Register the resource."""
    add_endpoints(
        app,
        [
            Endpoint(
                "GET", "time", sample, "One sample for clock synchronisation", "time",
                query=TimeQuery, answer=TimeSample, access="anybody",
            )
        ],
    )  # fmt: skip
