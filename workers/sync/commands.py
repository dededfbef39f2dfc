"""Handling of one playback command: read, ask the pure core, compare-and-set, answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from bus_schemas.errors import ErrorCode
from bus_schemas.messages.room import CommandReply, PlaybackAction, PlaybackChanged, PlaybackRequested
from bus_schemas.messages.shapes import PlaybackState
from runtime.logs import get_logger
from runtime.metrics import Metrics
from workers.sync import autoplay
from workers.sync.autoplay import Step
from workers.sync.playback import Command, Lead, Playback, Refusal, Target, apply
from workers.sync.store import Deadlines, Held, Playlists, Rooms

log = get_logger("sync")

ATTEMPTS: Final = 50
"""Each lost attempt means that another command won: fifty in a row is no contention but a fault."""
COMMANDS_KEPT: Final = 32
"""Ids of applied commands in the state: more than can be redelivered at once for one room."""

Answer = Callable[[str | None, CommandReply], Awaitable[None]]


class Contended(Exception):
    """The state changed under every attempt."""


class Commands:
    """The handler of a sync worker; any number of them, here and elsewhere, may serve one room."""

    def __init__(
        self,
        rooms: Rooms,
        playlists: Playlists,
        deadlines: Deadlines,
        answer: Answer,
        metrics: Metrics,
        lead: Lead,
        now_ms: Callable[[], int],
    ) -> None:
        self._rooms = rooms
        self._playlists = playlists
        self._deadlines = deadlines
        self._answer = answer
        self._metrics = metrics
        self._lead = lead
        self._now_ms = now_ms

    async def on_requested(self, request: PlaybackRequested) -> None:
        """Apply the command once, however often it comes, and answer each time."""
        if request.action is PlaybackAction.RECONCILE and not await self._playlists.has_room(request.room):
            await self._deadlines.cancel(request.room)
            await self._rooms.forget(request.room)
            return
        for _ in range(ATTEMPTS):
            held = await self._rooms.read(request.room)
            before = held.change
            if before is not None and request.id in before.commands:
                await self._accepted(request, before.state, "redelivered")
                await self._settle(request.room, before, request.rtt_ms)
                return
            outcome = await self._next(request, held)
            if isinstance(outcome, Refusal):
                await self._refused(request, outcome, held)
                return
            if await self._rooms.write(outcome, held):
                await self._accepted(request, outcome.state, "applied")
                if _ends_at(outcome) is not None or (before is not None and _ends_at(before) is not None):
                    await self._settle(request.room, outcome, request.rtt_ms)
                return
            self._metrics.counter("matinee_sync_contended_total").inc()
        raise Contended(f"room {request.room} changed under {ATTEMPTS} attempts")

    async def _next(self, request: PlaybackRequested, held: Held) -> PlaybackChanged | Refusal:
        before = held.change
        playback = _playback(before)
        command = Command(
            action=request.action,
            position=request.position,
            rate=request.rate,
            mode=request.mode,
            revision=request.revision,
            rtt_ms=request.rtt_ms,
        )
        playback, command = await self._informed(playback, command, request)
        now_ms = self._now_ms()
        changed = apply(playback, command, now_ms, self._lead)
        if isinstance(changed, Refusal):
            return changed
        return PlaybackChanged(
            room=request.room,
            at=now_ms,
            state=changed.state(),
            by=request.by,
            commands=(*(before.commands if before else ()), request.id)[-COMMANDS_KEPT:],
            duration=changed.duration,
            order=changed.played,
        )

    async def _informed(
        self, playback: Playback, command: Command, request: PlaybackRequested
    ) -> tuple[Playback, Command]:
        """Both with what only the playlist knows, read only where the action turns on it."""
        room = request.room
        match request.action:
            case PlaybackAction.SELECT:
                entry = await self._playlists.entry(room, request.item) if request.item else None
                step = autoplay.chosen(entry, playback.mode, playback.played) if entry else Step(None)
                command = _leading(command, step)
            case PlaybackAction.NEXT | PlaybackAction.PREVIOUS | PlaybackAction.DEADLINE:
                if request.action is PlaybackAction.DEADLINE and request.revision != playback.revision:
                    return playback, command  # refused in any case: no need to read the playlist
                playlist = autoplay.depth_first(await self._playlists.entries(room))
                find = {
                    PlaybackAction.NEXT: autoplay.following,
                    PlaybackAction.PREVIOUS: autoplay.preceding,
                    PlaybackAction.DEADLINE: autoplay.at_end,
                }[request.action]
                command = _leading(command, find(playlist, playback.item, playback.mode, playback.played))
            case PlaybackAction.RECONCILE:
                entry = await self._playlists.entry(room, playback.item) if playback.item else None
                return playback, _leading(command, Step(entry))
            case PlaybackAction.PLAY | PlaybackAction.SEEK:
                if playback.item is not None and not playback.live and playback.duration is None:
                    # It may have become known since the item was selected.
                    entry = await self._playlists.entry(room, playback.item)
                    playback = replace(playback, duration=entry.duration if entry else None)
            case _:
                return playback, command
        if playback.live or (command.target is not None and command.target.live):
            command = replace(command, live_delay_ms=await self._playlists.live_delay_ms(room))
        return playback, command

    async def _accepted(self, request: PlaybackRequested, state: PlaybackState, outcome: str) -> None:
        self._metrics.counter("matinee_sync_commands_total").labels(request.action, outcome).inc()
        await self._answer(request.reply_subject, CommandReply(id=request.id, ok=True, state=state))

    async def _refused(self, request: PlaybackRequested, refusal: Refusal, held: Held) -> None:
        self._metrics.counter("matinee_sync_commands_total").labels(request.action, refusal.code).inc()
        if request.action is PlaybackAction.RECONCILE:
            return
        if request.action is PlaybackAction.DEADLINE:
            # It was set for a state that is gone. Whoever changed the state may have died before setting the
            # next one, so it is set again here.
            if held.change is not None:
                await self._settle(request.room, held.change, request.rtt_ms)
            return
        state = _playback(held.change).state() if refusal.code is ErrorCode.CONFLICT else None
        reply = CommandReply(id=request.id, ok=False, code=refusal.code, detail=refusal.detail, state=state)
        await self._answer(request.reply_subject, reply)

    async def _settle(self, room: str, change: PlaybackChanged, rtt_ms: float) -> None:
        """Set the deadline that fits the room's state, and look again: the last of two writers puts it right."""
        for _ in range(ATTEMPTS):
            ends_at = _ends_at(change)
            if ends_at is None:
                await self._deadlines.cancel(room)
            else:
                await self._deadlines.set(ends_at, _deadline(room, change, rtt_ms))
            now = (await self._rooms.read(room)).change
            if now is None or now.state.revision == change.state.revision:
                return
            change = now
        log.warning("deadline not settled", room=room)


def _playback(change: PlaybackChanged | None) -> Playback:
    return Playback.of(change.state, change.duration, change.order) if change else Playback()


def _ends_at(change: PlaybackChanged) -> int | None:
    return _playback(change).ends_at()


def _leading(command: Command, step: Step) -> Command:
    entry = step.entry
    target = Target(entry.id, entry.duration, entry.live) if entry else None
    return replace(command, target=target, played=step.played)


def _deadline(room: str, change: PlaybackChanged, rtt_ms: float) -> PlaybackRequested:
    revision = change.state.revision
    return PlaybackRequested(
        id=f"deadline-{revision}",
        room=room,
        action=PlaybackAction.DEADLINE,
        revision=revision,
        rtt_ms=rtt_ms,
    )
