"""Publishers and the operator's hooks: asked before one begins, told when his publish is over.

What a hook is told never has the stream key in it: SRS's `stream` is our stream's id, and `param` is the
query without the key.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bus_schemas.messages.live import StopReason, StreamKey, StreamLimits
from runtime.hook_reply import HookAnswer, HookDeniedError
from runtime.hooks import Facts, Hooks
from workers.ingest.admission import PublishAttempt
from workers.ingest.registry import PublishRefusedError

FACT_MAX: Final = 500


class PublishHooks:
    """`on_publish` as an `Admission`, and `on_unpublish`."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    @property
    def deadline_s(self) -> float:
        """The longest that asking takes; 0 where nobody is asked."""
        return self._hooks.timeout_s if self._hooks.asks("on_publish") else 0.0

    async def __call__(self, attempt: PublishAttempt) -> StreamKey:
        """What the publisher gets; raises `PublishRefusedError` where a hook does not allow it."""
        if not self._hooks.asks("on_publish"):
            return attempt.key
        try:
            answer = await self._hooks.ask("on_publish", facts_of(attempt))
        except HookDeniedError as denied:
            raise PublishRefusedError("NetStream.Publish.Denied", denied.detail, "hook") from denied
        return as_answered(attempt.key, answer)

    def over(
        self, attempt: PublishAttempt, *, reason: StopReason, epoch: int, lasted_s: float, received: int
    ) -> None:
        """A publish that was allowed is over, for this or that reason, or never began (epoch 0)."""
        if self._hooks.asks("on_unpublish") and (epoch or self._hooks.asks("on_publish")):
            more: Facts = {
                "epoch": epoch, "reason": reason.value, "duration": round(lasted_s), "recv_bytes": received,
            }  # fmt: skip
            self._hooks.tell("on_unpublish", {**facts_of(attempt), **more})


def with_answered(attempt: PublishAttempt, key: StreamKey) -> PublishAttempt:
    """The attempt with what the publisher got."""
    return replace(attempt, key=key)


def as_answered(key: StreamKey, answer: HookAnswer) -> StreamKey:
    """The key's value as a hook changed it. Another stream is not in the key's room."""
    changes: dict[str, str | int | StreamLimits | None] = {}
    if answer.stream is not None and answer.stream != key.stream:
        changes |= {"stream": answer.stream, "room": None}
    if answer.title is not None:
        changes["title"] = answer.title
    if answer.limits is not None:
        changes |= {"limits": answer.limits, "viewers": answer.limits.viewers}
    return key.model_copy(update=changes)


def facts_of(attempt: PublishAttempt) -> dict[str, str | int | None]:
    """What a hook is told, by SRS's names and some of our own."""
    stream = attempt.key.stream
    return {
        "client_id": attempt.connection,
        "ip": attempt.address,
        "vhost": "__defaultVhost__",
        "app": _fact(attempt.app),
        "tcUrl": "",
        "stream": stream,
        "param": _fact(f"?{attempt.query}") if attempt.query else "",
        "stream_url": f"/{_fact(attempt.app)}/{stream}",
        "stream_id": stream,
        "protocol": "rtmps" if attempt.secure else "rtmp",
        "encoder": _fact(attempt.encoder),
        "owner": attempt.key.owner,
        "room": attempt.key.room,
    }


def _fact(text: str) -> str:
    """What somebody sent, short, and without what is no text."""
    return text[:FACT_MAX].encode("utf-8", "replace").decode()
