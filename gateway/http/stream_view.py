"""How a stream is shown: what the database, the bus and Redis know of it, as much as the caller may see."""

from __future__ import annotations

from pydantic import BaseModel

from bus_schemas.messages.base import EpochMs, Id
from bus_schemas.messages.shapes import StreamStatus
from bus_schemas.parts import SOURCE_RENDITION
from gateway.db.streams import StreamRow
from gateway.http.endpoints import Call
from gateway.live.description import LiveFacts
from gateway.live.overview import PublisherShown, Statistics, read_states
from gateway.live.parts import LIVE


class PlayTokenShown(BaseModel):
    """What goes into `?token=`."""

    token: str
    expires_at: EpochMs


class StreamUrls(BaseModel):
    """Where to play it, the token included."""

    flv: str
    ws_flv: str
    """FLV as binary WebSocket messages."""
    hls: str
    """Low latency where the player knows it."""
    hls_ts: str
    """For players without fragmented MP4."""
    dash: str
    mp4: str


class LimitsShown(BaseModel):
    """What is allowed of the stream; 0: the site's own limit."""

    bitrate_kbps: int
    access_unit_bytes: int
    duration_s: int
    viewers: int


class StreamShown(BaseModel):
    """One stream."""

    stream: Id
    title: str
    room: Id | None
    private: bool
    """Whether playing takes a play token."""
    status: StreamStatus
    viewers: int
    viewers_by_protocol: dict[str, int]
    """Protocols without any are left out."""
    urls: StreamUrls
    play_token: PlayTokenShown | None
    live: LiveFacts | None
    """Null while offline."""
    statistics: Statistics | None
    """Null while offline, and in the first seconds."""
    publisher: PublisherShown | None = None
    """Only for who runs the stream."""
    limits: LimitsShown | None = None
    """Only for who runs the stream."""
    created_at: EpochMs


def _urls(base: str, query: str) -> StreamUrls:
    return StreamUrls(
        flv=f"{base}.flv{query}",
        ws_flv=f"{base.replace('http', 'ws', 1)}/ws{query}",
        hls=f"{base}/index.m3u8{query}",
        hls_ts=f"{base}/{SOURCE_RENDITION}/ts.m3u8{query}",
        dash=f"{base}/manifest.mpd{query}",
        mp4=f"{base}.mp4{query}",
    )


async def shown(
    call: Call, rows: list[StreamRow], *, token: PlayTokenShown | None = None, private: bool
) -> list[StreamShown]:
    """These streams as they are now; with `private` what only those see who run them."""
    services = call.services
    sessions = call.request.app[LIVE].sessions
    states = await read_states(services.ctx.bus, sessions, [row.id for row in rows])
    base = services.addresses.origin(call.request, services.ctx.settings.gateway.public_url)
    query = f"?token={token.token}" if token else ""
    return [
        StreamShown(
            stream=row.id,
            title=row.title,
            room=row.room,
            private=row.restricted,
            status=StreamStatus.LIVE if state.facts is not None else StreamStatus.OFFLINE,
            viewers=sum(state.viewers.values()),
            viewers_by_protocol={protocol.value: count for protocol, count in state.viewers.items()},
            urls=_urls(f"{base}/live/{row.id}", query),
            play_token=token,
            live=state.facts,
            statistics=state.statistics,
            publisher=state.publisher if private else None,
            limits=LimitsShown(**row.limits.model_dump(exclude={"v"})) if private else None,
            created_at=row.created_at,
        )
        for row, state in ((row, states[row.id]) for row in rows)
    ]
