"""What the bus tells an ingest worker about the streams published and played here."""

from __future__ import annotations

from nats.aio.msg import Msg
from pydantic import ValidationError

from bus_schemas.messages.live import (
    LiveEvent,
    PlayRightsChanged,
    PublisherHeard,
    StopReason,
    StreamControl,
    StreamLimits,
    StreamStopped,
)
from bus_schemas.streams import PUBLISHERS
from bus_schemas.subjects import LIVE_CONTROL, LIVE_EVENT, LIVE_RIGHTS
from runtime.bus import Bus
from runtime.logs import get_logger
from workers.ingest.publisher import Publisher
from workers.ingest.registry import Registry
from workers.ingest.server import Connections

log = get_logger("orders")


class Orders:
    """Hears them, and passes each on to whom it concerns."""

    def __init__(self, bus: Bus, registry: Registry, connections: Connections) -> None:
        self._bus = bus
        self._registry = registry
        self._connections = connections

    async def listen(self) -> None:
        """Subscribe, for as long as the connection lives."""
        nc = self._bus.nc
        await nc.subscribe(LIVE_CONTROL.pattern, cb=self._on_control)
        await nc.subscribe(LIVE_EVENT.pattern, cb=self._on_event)
        await nc.subscribe(LIVE_RIGHTS.pattern, cb=self._on_rights)
        await nc.subscribe(f"$KV.{PUBLISHERS.name}.*", cb=self._on_claim)
        self._bus.on_reconnect.append(self._on_reconnect)

    async def _on_control(self, message: Msg) -> None:
        try:
            order = StreamControl.model_validate_json(message.data)
        except ValidationError as error:
            log.warning("an order does not parse", subject=message.subject, error=str(error))
            return
        publisher = self._connections.by_stream(order.stream)
        if publisher is None:
            return
        if order.action == "probe":
            heard = PublisherHeard(stream=order.stream, silent_ms=publisher.silent_ms)
            await message.respond(heard.model_dump_json().encode())
        elif order.action == "limit":
            await self._limit(publisher, order.limits or StreamLimits())
        elif order.action == "kick":
            log.info("kicked", stream=order.stream, reason=order.reason)
            publisher.kick(order.reason)

    async def _limit(self, publisher: Publisher, limits: StreamLimits) -> None:
        publisher.limit(limits)
        if publisher.publication is not None:
            # The newest word on limits counts, a hook's or that of who runs the stream.
            await self._registry.limit_viewers(publisher.publication.claim, None)

    async def _on_event(self, message: Msg) -> None:
        # Of all streams everywhere, some a second each: most are nobody's here.
        publisher = self._connections.by_stream(LIVE_EVENT.token(message.subject, "stream"))
        if publisher is None or b'"stopped"' not in message.data:
            return
        try:
            event = LiveEvent.model_validate_json(message.data).root
        except ValidationError as error:
            log.warning("an event does not parse", subject=message.subject, error=str(error))
            return
        if isinstance(event, StreamStopped) and event.reason is StopReason.LOST:
            publisher.given_up(event.epoch)

    async def _on_rights(self, message: Msg) -> None:
        """Players ask again when who may play has changed."""
        try:
            changed = PlayRightsChanged.model_validate_json(message.data)
        except ValidationError as error:
            log.warning("a change of rights does not parse", error=str(error))
            return
        for link in list(self._connections.open):
            link.player.rights_changed(changed)

    async def _on_claim(self, message: Msg) -> None:
        # Anybody's write to the bucket; only the bucket itself says who holds the stream now.
        publisher = self._connections.by_stream(message.subject.rsplit(".", 1)[1])
        publication = publisher.publication if publisher is not None else None
        if publication is not None and publication.claim.value.connection.encode() not in message.data:
            await publication.check_claim()

    async def _on_reconnect(self) -> None:
        publishers = self._connections.publishers()
        publications = [p.publication for p in publishers if p.publication is not None]
        for publication in publications:
            publication.reconnected()
        for publication in publications:
            await publication.check_claim()
