"""Handling of one playback command: read, ask the pure core, compare-and-set, answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final

from bus_schemas.errors import ErrorCode
from bus_schemas.messages.room import CommandReply, PlaybackAction, PlaybackChanged, PlaybackRequested
from bus_schemas.messages.shapes import PlaybackMode, PlaybackState
from runtime.logs import get_logger
from runtime.metrics import Metrics
from workers.sync import autoplay, waiting
from workers.sync.autoplay import Step
from workers.sync.playback import Command, Lead, Playback, Refusal, Target, apply
from workers.sync.store import Deadlines, Held, Playlists, Presences, Rooms

log = get_logger("sync")

ATTEMPTS: Final = 50
"""Each lost attempt means that another command won: fifty in a row is no contention but a fault."""
COMMANDS_KEPT: Final = 32
"""Ids of applied commands in the state: more than can be redelivered at once for one room."""

INTERNAL: Final = frozenset({PlaybackAction.DEADLINE, PlaybackAction.RECONCILE, PlaybackAction.BUFFERING})
"""Nobody waits for an answer to these; where there is nothing to do, nothing is done."""
STEPPING: Final = frozenset(
    {
        PlaybackAction.SELECT,
        PlaybackAction.NEXT,
        PlaybackAction.PREVIOUS,
        PlaybackAction.DEADLINE,
        PlaybackAction.UNDO,
    }
)
"""What may lead to another item."""
AGAIN: Final = "-again"

Answer = Callable[[str | None, CommandReply], Awaitable[None]]


class Contended(Exception):
    """The state changed under every attempt."""


@dataclass(slots=True)
class Turn:
    """Whose turn it is in a room, at this worker."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    wanted: int = 0


class Commands:
    """The handler of a sync worker; any number of them, here and elsewhere, may serve one room."""

    def __init__(
        self,
        rooms: Rooms,
        playlists: Playlists,
        deadlines: Deadlines,
        presences: Presences,
        answer: Answer,
        metrics: Metrics,
        lead: Lead,
        now_ms: Callable[[], int],
    ) -> None:
        self._rooms = rooms
        self._playlists = playlists
        self._deadlines = deadlines
        self._presences = presences
        self._answer = answer
        self._metrics = metrics
        self._lead = lead
        self._now_ms = now_ms
        self._turns: dict[str, Turn] = {}

    async def on_requested(self, request: PlaybackRequested) -> None:
        """Apply the command once, however often it comes, and answer each time."""
        # Compare-and-set decides between workers; within one those of a room wait for each other,
        # or a hundred at once would run five thousand times.
        turn = self._turns.setdefault(request.room, Turn())
        turn.wanted += 1
        try:
            async with turn.lock:
                await self._apply(request)
        finally:
            turn.wanted -= 1
            if not turn.wanted:
                self._turns.pop(request.room, None)

    async def _apply(self, request: PlaybackRequested) -> None:
        if request.action is PlaybackAction.RECONCILE and not await self._playlists.has_room(request.room):
            await self._deadlines.cancel(request.room)
            await self._rooms.forget(request.room)
            return
        for _ in range(ATTEMPTS):
            held = await self._rooms.read(request.room)
            found_again = held.change is None and await self._find_again(request.room)
            if found_again:
                held = replace(held, change=found_again)
            before = held.change
            if before is not None and request.id in before.commands:
                await self._accepted(request, before.state, "redelivered")
                if before.commands[-1] == request.id:
                    await self._note_play(request, before)
                await self._settle(request, before)
                return
            outcome = await self._next(request, held)
            if found_again and isinstance(outcome, Refusal) and request.action is PlaybackAction.RECONCILE:
                outcome = found_again
            if isinstance(outcome, Refusal):
                await self._refused(request, outcome, held)
                return
            if await self._rooms.write(outcome, held):
                await self._accepted(request, outcome.state, "applied")
                if outcome.state.item is not None and (
                    before is None or outcome.state.item != before.state.item
                ):
                    await self._note_play(request, outcome)
                if _due_at(outcome) is not None or (before is not None and _due_at(before) is not None):
                    await self._settle(request, outcome)
                if outcome.state.hold is not None and outcome.state.hold != (before and before.state.hold):
                    await self._look_again(request)
                return
            self._metrics.counter("matinee_sync_contended_total").inc()
        raise Contended(f"room {request.room} changed under {ATTEMPTS} attempts")

    async def _find_again(self, room: str) -> PlaybackChanged | None:
        """Where a room begins whose state the bus has lost: at the item it came to last, at rest.

        None for a room that never played. Its revision is the time in seconds: more than a room has had changes, so
        that whoever still holds the state that was lost takes this one for the newer.
        """
        last = await self._playlists.last_play(room)
        if last is None:
            return None
        now_ms = self._now_ms()
        entry = await self._playlists.entry(room, last.item)
        playback = Playback(revision=max(last.revision + 1, now_ms // 1000), at=now_ms, mode=last.mode)
        if entry is not None and not entry.folder:
            playback = replace(
                playback,
                item=entry.id,
                live=entry.live,
                duration=None if entry.live else entry.duration,
                played=(entry.id,) if last.mode is PlaybackMode.SHUFFLE else (),
            )
        log.warning("state of a room begins again", room=room, item=playback.item)
        return PlaybackChanged(
            room=room, at=now_ms, state=playback.state(), duration=playback.duration, order=playback.played
        )

    async def _next(self, request: PlaybackRequested, held: Held) -> PlaybackChanged | Refusal:
        before = held.change
        if before is None and not await self._playlists.has_room(request.room):
            return Refusal(ErrorCode.NOT_FOUND, "There is no such room.")
        playback = _playback(before)
        command = Command(
            action=request.action,
            position=request.position,
            rate=request.rate,
            mode=request.mode,
            revision=request.revision,
            rtt_ms=request.rtt_ms,
            old_live_delay_ms=request.old_live_delay_ms,
            by_member=request.by is not None and request.action not in INTERNAL,
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
            history=changed.history,
            debts=changed.debts,
        )

    async def _informed(
        self, playback: Playback, command: Command, request: PlaybackRequested
    ) -> tuple[Playback, Command]:
        """Both with what only the playlist knows, read only where the action turns on it."""
        room = request.room
        match request.action:
            case PlaybackAction.SELECT:
                entry = await self._playlists.entry(room, request.item) if request.item else None
                if entry is not None and entry.folder:
                    entry = autoplay.first_below(await self._playlists.entries(room), entry.id)
                step = autoplay.chosen(entry, playback.mode, playback.played) if entry else Step(None)
                command = _leading(command, step)
            case PlaybackAction.NEXT | PlaybackAction.PREVIOUS | PlaybackAction.DEADLINE:
                if request.action is PlaybackAction.DEADLINE and request.revision != playback.revision:
                    return playback, command  # refused in any case: no need to read the playlist
                if request.action is PlaybackAction.DEADLINE and playback.hold is not None:
                    return playback, command  # the end of a hold leads to no other item
                playlist = autoplay.depth_first(await self._playlists.entries(room))
                find = {
                    PlaybackAction.NEXT: autoplay.following,
                    PlaybackAction.PREVIOUS: autoplay.preceding,
                    PlaybackAction.DEADLINE: autoplay.at_end,
                }[request.action]
                command = _leading(command, find(playlist, playback.item, playback.mode, playback.played))
            case PlaybackAction.RECONCILE:
                entry = await self._playlists.entry(room, playback.item) if playback.item else None
                command = _leading(command, Step(entry))
                if playback.hold is not None:
                    command = await self._watching(playback, command, room)
            case PlaybackAction.UNDO:
                command = await self._undoing(playback, command, room)
            case PlaybackAction.BUFFERING:
                return playback, await self._watching(playback, command, room)
            case PlaybackAction.PLAY | PlaybackAction.SEEK:
                if request.wait and request.action is PlaybackAction.PLAY and playback.hold is None:
                    command = await self._watching(playback, command, room)
                if playback.item is not None and not playback.live and playback.duration is None:
                    # It may have become known since the item was selected.
                    entry = await self._playlists.entry(room, playback.item)
                    playback = replace(playback, duration=entry.duration if entry else None)
            case _:
                return playback, command
        if playback.live or (command.target is not None and command.target.live):
            command = replace(command, live_delay_ms=await self._playlists.live_delay_ms(room))
        return playback, command

    async def _watching(self, playback: Playback, command: Command, room: str) -> Command:
        """With how the members do; without, where the room does not wait: gateways learn of that a moment later."""
        seen = waiting.watch(await self._presences.of(room), playback.item, self._now_ms())
        if seen.laggards and not await self._playlists.waits(room):
            return command
        return replace(command, watch=seen)

    async def _undoing(self, playback: Playback, command: Command, room: str) -> Command:
        """Back to the last change whose item is still there; those behind it can be undone no more."""
        history = playback.history
        while history:
            past, history = history[-1], history[:-1]
            entry = await self._playlists.entry(room, past.item) if past.item is not None else None
            if past.item is not None and entry is None:
                continue
            command = replace(command, past=past, history=history)
            if entry is None:
                return command
            played = playback.played if past.mode is PlaybackMode.SHUFFLE else ()
            return _leading(command, autoplay.chosen(entry, past.mode, played))
        return command

    async def _look_again(self, request: PlaybackRequested) -> None:
        """Whoever is waited for may have been ready before the hold stood, his word overtaken by it."""
        if request.id.endswith(AGAIN):
            return
        again = PlaybackRequested(
            id=request.id[: 64 - len(AGAIN)] + AGAIN,
            room=request.room,
            action=PlaybackAction.BUFFERING,
            rtt_ms=request.rtt_ms,
            wait=True,
        )
        await self._apply(again)

    async def _note_play(self, request: PlaybackRequested, change: PlaybackChanged) -> None:
        """The room has come to another item: that goes into its history, once however often it is said."""
        if change.state.item is not None and request.action in STEPPING:
            await self._playlists.note_play(change)

    async def _accepted(self, request: PlaybackRequested, state: PlaybackState, outcome: str) -> None:
        self._metrics.counter("matinee_sync_commands_total").labels(request.action, outcome).inc()
        await self._answer(request.reply_subject, CommandReply(id=request.id, ok=True, state=state))

    async def _refused(self, request: PlaybackRequested, refusal: Refusal, held: Held) -> None:
        self._metrics.counter("matinee_sync_commands_total").labels(request.action, refusal.code).inc()
        if request.action is PlaybackAction.DEADLINE and held.change is not None:
            # It was set for a state that is gone. Whoever changed the state may have died before setting the
            # next one, so it is set again here.
            await self._settle(request, held.change, later_ms=self._early_ms(request, held.change))
        if request.action in INTERNAL:
            return
        state = _playback(held.change).state() if refusal.code is ErrorCode.CONFLICT else None
        reply = CommandReply(id=request.id, ok=False, code=refusal.code, detail=refusal.detail, state=state)
        await self._answer(request.reply_subject, reply)

    def _early_ms(self, request: PlaybackRequested, change: PlaybackChanged) -> int:
        """By how much the bus's clock is ahead of ours, where this deadline fits and came before its time."""
        due_at = _due_at(change)
        if due_at is None or request.revision != change.state.revision:
            return 0
        return max(0, due_at - self._now_ms())

    async def _settle(self, request: PlaybackRequested, change: PlaybackChanged, later_ms: int = 0) -> None:
        """Set the deadline that fits the room's state, and look again: the last of two writers puts it right."""
        room = request.room
        for _ in range(ATTEMPTS):
            due_at = _due_at(change)
            if due_at is None:
                await self._deadlines.cancel(room)
            else:
                await self._deadlines.set(due_at + later_ms, _deadline(room, change, request.rtt_ms))
            now = (await self._rooms.read(room)).change
            if now is None or now.state.revision == change.state.revision:
                return
            change = now
        log.warning("deadline not settled", room=room)


def _playback(change: PlaybackChanged | None) -> Playback:
    return Playback.of(change) if change else Playback()


def _due_at(change: PlaybackChanged) -> int | None:
    return _playback(change).due_at()


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
