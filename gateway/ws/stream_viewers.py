"""How many watch a room's streams, told to its members: `stream_viewers {room, stream, count, protocols}`.

No number and nothing kept: a count is outdone by the next one, and `joined` has them all.
"""

from __future__ import annotations

import asyncio
from typing import Final

from bus_schemas.socket_frames import StreamViewersCounted
from gateway.http.problems import AWAY
from gateway.live.viewer_counts import Counts, ViewerCounts
from gateway.services import Services
from gateway.ws.channel import Channel
from gateway.ws.events import RoomEventFrame
from gateway.ws.frames import text_frame
from gateway.ws.hub import Hub
from runtime.logs import get_logger

log = get_logger("ws.stream_viewers")

LOOK_S: Final = 5.0
"""How often it is looked which streams the rooms have, besides when one of them says so."""
TICK_S: Final = 0.5


class StreamViewers:
    """The streams of the rooms followed here, and the telling; `run` keeps the first up to date."""

    def __init__(self, services: Services, hub: Hub, counts: ViewerCounts) -> None:
        self._services = services
        self._hub = hub
        self._rooms: dict[str, str] = {}
        """Stream → its room."""
        self._looked = -LOOK_S
        self._seen: set[str] = set()
        counts.sources.append(lambda: set(self._rooms))
        counts.on_change.append(self._tell)
        hub.on_event.append(self._on_event)

    async def run(self) -> None:
        """Look, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            rooms = {channel.room for channel in self._hub.channels()}
            if loop.time() - self._looked >= LOOK_S or not rooms <= self._seen:
                self._looked, self._seen = loop.time(), rooms
                try:
                    found = await self._services.streams.of_rooms(self._services.pool, sorted(rooms))
                    self._rooms = {stream: room for room, stream in found}
                except AWAY as exc:
                    log.debug("streams of rooms not read", error=repr(exc))
            await asyncio.sleep(TICK_S)

    def _on_event(self, _channel: Channel, event: RoomEventFrame) -> None:
        if event.kind == "stream" or (event.kind == "playlist" and event.body.get("change") != "moved"):
            self._looked = -LOOK_S

    def _tell(self, stream: str, counts: Counts) -> None:
        room = self._rooms.get(stream)
        channel = self._hub.channel(room) if room is not None else None
        if channel is not None and channel.seats:
            counted = StreamViewersCounted(
                type="stream_viewers",
                room=channel.room,
                stream=stream,
                count=sum(counts.values()),
                protocols=dict(counts),
            )
            channel.give_moment(text_frame(counted))
