"""Live streams: events, jobs, control, and the values of the buckets ingest reads and writes."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, RootModel

from bus_schemas.messages.base import BusMessage, EpochMs, Id


class StopReason(StrEnum):
    """Why a stream stopped."""

    UNPUBLISHED = "unpublished"
    """The publisher said so."""
    LOST = "lost"
    """The link was gone for longer than the grace period."""
    KICKED = "kicked"
    REPLACED = "replaced"
    """Its key was taken over by a newer publisher; the stream itself goes on."""
    LIMIT = "limit"
    """It broke a limit of its key."""
    CODEC = "codec"
    """It sent a codec that is not carried."""


class StreamStarted(BusMessage):
    """A publisher was accepted."""

    type: Literal["started"] = "started"
    stream: Id
    epoch: int
    at: EpochMs
    node: Id
    protocol: Literal["rtmp"] = "rtmp"
    room: Id | None = None
    title: str | None = None
    """A title to be set, where a hook gave one."""


class StreamStopped(BusMessage):
    """A publish session is over for good."""

    type: Literal["stopped"] = "stopped"
    stream: Id
    epoch: int
    at: EpochMs
    reason: StopReason
    room: Id | None = None


class StreamDescribed(BusMessage):
    """What the codec headers say; again at each real change of them."""

    type: Literal["metadata"] = "metadata"
    stream: Id
    epoch: int
    at: EpochMs
    generation: int
    video_codec: str | None = None
    audio_codec: str | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    sample_rate: int | None = None
    channels: int | None = None
    encoder: str | None = None


class StreamMeasured(BusMessage):
    """Figures of the last interval."""

    type: Literal["statistics"] = "statistics"
    stream: Id
    epoch: int
    at: EpochMs
    interval_ms: int
    bytes: int
    video_frames: int
    audio_frames: int
    key_frames: int
    repairs: int
    """Timestamps repaired since the epoch began."""
    refused: int
    """Access units refused since the epoch began."""
    gaps: int = 0
    """Tag messages that the bus did not take, since the epoch began."""
    video_codec: str | None = None
    audio_codec: str | None = None


class LiveEvent(
    RootModel[
        Annotated[
            StreamStarted | StreamStopped | StreamDescribed | StreamMeasured, Field(discriminator="type")
        ]
    ]
):
    """Whatever `live.event.{stream}` carries."""


class TransmuxJob(BusMessage):
    """Package this publish session; the lease is the message left un-acked."""

    stream: Id
    epoch: int
    room: Id | None = None

    @property
    def msg_id(self) -> str:
        """`Nats-Msg-Id`: one job for a publish session, whoever submits it."""
        return f"{self.stream}-{self.epoch}"


class StreamLimits(BusMessage):
    """What a key allows; 0 means the site's default."""

    bitrate_kbps: int = Field(default=0, ge=0, lt=1 << 31)
    access_unit_bytes: int = Field(default=0, ge=0, lt=1 << 31)
    """Of one frame."""
    duration_s: int = Field(default=0, ge=0, lt=1 << 31)
    """Of one publish."""
    viewers: int = Field(default=0, ge=0, lt=1 << 31)
    """Over all gateways and protocols."""


class StreamControl(BusMessage):
    """An order to whoever ingests the stream; a `probe` is answered with `PublisherHeard`."""

    stream: Id
    action: Literal["kick", "probe", "limit"] = "kick"
    reason: str = ""
    limits: StreamLimits | None = None
    """With `limit`: what holds from now on."""


class PublisherHeard(BusMessage):
    """When something came from the stream's publisher last: a frozen one does not hold its name."""

    stream: Id
    silent_ms: int = Field(ge=0)


class PlayAsked(BusMessage):
    """May this player, who came to a worker without a database, play the stream? Then that he still does
    (each 4 s), answered with whether he still may, and, unanswered, that he does no more."""

    stream: Id
    stage: Literal["begin", "beat", "end"] = "begin"
    token: str = Field(default="", max_length=4_096)
    """Play token; empty: none was given."""
    protocol: Literal["rtmp"] = "rtmp"
    session: str = Field(default="", pattern=r"^[A-Za-z0-9]{0,32}$")
    """Of this viewer, made by the worker; empty: he is not counted."""
    address: str = ""
    query: str = Field(default="", max_length=4_096)
    """What stood behind `?`, without the token; for hooks."""
    user: Id | None = None
    """With `beat`: whose token it was, as the first answer said."""
    duration_s: int = Field(default=0, ge=0)
    """With `end`: how long he played."""


class PlayAnswered(BusMessage):
    """A gateway's answer."""

    stream: Id
    allowed: bool
    detail: str = ""
    """Where it is not: a sentence for the player."""
    user: Id | None = None
    """Whose token it was; None where it takes none."""
    room: Id | None = None
    """The stream's room."""


class PlayRightsChanged(BusMessage):
    """Who may play is to be looked up again: of those who play, everybody whom all that is named fits."""

    room: Id | None = None
    stream: Id | None = None
    user: Id | None = None

    def concerns(self, *, room: str | None, stream: str, user: str | None) -> bool:
        """Whether it is about this viewer."""
        return (
            self.room in (None, room)
            and self.stream in (None, stream)
            and (self.user is None or self.user == user)
        )


class StreamKey(BusMessage):
    """Bucket `STREAM_KEYS`: the SHA-256 (hex) of a key → what it opens."""

    stream: Id
    room: Id | None = None
    owner: Id
    private: bool = False
    on_conflict: Literal["takeover", "refuse"] = "takeover"
    limits: StreamLimits = StreamLimits()
    title: str | None = None
    """Set by a hook, for one publish: in the bucket there is none."""
    viewers: int | None = Field(default=None, ge=0)
    """The same: in place of the stream's own limit of viewers; 0 is the site's."""


class PublisherClaim(BusMessage):
    """Bucket `PUBLISHERS`: who publishes `{stream}` now."""

    stream: Id
    epoch: int
    node: Id
    connection: str
    """Tells two connections of one node apart."""
    address: str = ""
    """Host of the publisher."""
    protocol: str = "rtmp"
    encoder: str = ""
    at: EpochMs
    """Start of the publish session."""
    takeovers: tuple[EpochMs, ...] = ()
    """When the stream was taken over lately, oldest first: what the takeover limit counts."""
    viewers: int | None = Field(default=None, ge=0)
    """How many may watch, as a hook said; 0: as many as the site allows; None: as stands with the stream."""
    leaving: bool = False
    """His worker drains and asked him to connect again: whoever has the key may follow, uncounted."""
