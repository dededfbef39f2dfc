"""Holds and undo of the playback state machine."""

from dataclasses import replace

import pytest

from bus_schemas.errors import ErrorCode
from bus_schemas.messages.room import PlaybackAction
from bus_schemas.messages.shapes import Hold, PlaybackMode, UserRef
from workers.sync.playback import DVR_MARGIN_S, DVR_WINDOW_S, Command, Lead, Playback, Refusal, Target, apply
from workers.sync.waiting import HOLD_MS, Laggard, Watch

NOW = 1_790_000_000_000
LEAD = Lead(300, 1_500)
BOB = UserRef(id="bob", username="Bob")
SLOW = Watch(4, (Laggard(BOB, first=False),))
WELL = Watch(4, ())
PLAYING = Playback(item="a", playing=True, position=10.0, at=NOW - 5_000, revision=4, duration=100.0)
HELD = replace(
    PLAYING, playing=False, position=15.0, at=NOW - 2_000,
    hold=Hold(since=NOW - 2_000, until=NOW - 2_000 + HOLD_MS, members=(BOB,)),
)  # fmt: skip


def done(playback: Playback, action: PlaybackAction, now_ms: int = NOW, **fields: object) -> Playback:
    """The playback after a command that must be accepted."""
    after = apply(playback, Command(action, **fields), now_ms, LEAD)  # type: ignore[arg-type]
    assert isinstance(after, Playback), after
    assert after.revision == playback.revision + 1
    assert after.hold is None or not after.playing
    return after


def refused(playback: Playback, action: PlaybackAction, **fields: object) -> Refusal:
    """Why a command that must be refused was."""
    after = apply(playback, Command(action, **fields), NOW, LEAD)  # type: ignore[arg-type]
    assert isinstance(after, Refusal), after
    return after


def test_the_room_stops_for_one_who_buffers_and_says_for_whom() -> None:
    """Where it is now, and until when at most; a client that knows no holds sees a pause."""
    after = done(PLAYING, PlaybackAction.BUFFERING, watch=SLOW)

    assert (after.playing, after.position, after.at) == (False, 15.0, NOW)
    assert after.state().hold == Hold(since=NOW, until=NOW + HOLD_MS, members=(BOB,))
    assert after.due_at() == NOW + HOLD_MS


def test_the_room_goes_on_together_when_all_are_ready() -> None:
    """From where it stood, a moment ahead; the wait is remembered."""
    after = done(HELD, PlaybackAction.BUFFERING, watch=WELL)

    assert (after.playing, after.position, after.at, after.hold) == (True, 15.0, NOW + 300, None)
    assert [(debt.user, debt.ms) for debt in after.debts] == [("bob", 2_000.0)]


def test_a_hold_ends_by_itself() -> None:
    """Its deadline plays on, without the playlist; before it nothing happens."""
    assert refused(HELD, PlaybackAction.DEADLINE, revision=4).code is ErrorCode.CONFLICT

    over = done(HELD, PlaybackAction.DEADLINE, NOW + HOLD_MS, revision=4)

    assert (over.playing, over.item, over.position, over.hold) == (True, "a", 15.0, None)
    assert apply(over, Command(PlaybackAction.BUFFERING, watch=SLOW), NOW + HOLD_MS + 1_000, LEAD) == Refusal(
        ErrorCode.CONFLICT, "There is nobody else to wait for."
    )


def test_whoever_may_control_goes_on_without_them() -> None:
    """Play ends the hold, and the same one does not stop the room again in a moment."""
    after = done(HELD, PlaybackAction.PLAY, by_member=True, watch=SLOW)

    assert (after.playing, after.position, after.hold) == (True, 15.0, None)
    assert after.debts[0].ms == HOLD_MS
    assert refused(after, PlaybackAction.BUFFERING, watch=SLOW).code is ErrorCode.CONFLICT


def test_a_pause_is_a_pause_also_during_a_hold() -> None:
    """Whoever gets ready then starts nothing."""
    after = done(HELD, PlaybackAction.PAUSE)

    assert (after.playing, after.hold, after.position) == (False, None, 15.0)
    assert refused(after, PlaybackAction.BUFFERING, watch=WELL).code is ErrorCode.CONFLICT


def test_a_seek_during_a_hold_moves_it() -> None:
    """The room waits on, at the new place."""
    after = done(HELD, PlaybackAction.SEEK, position=50.0)

    assert (after.position, after.hold, after.playing) == (50.0, HELD.hold, False)


@pytest.mark.parametrize("action", [PlaybackAction.NEXT, PlaybackAction.PREVIOUS])
def test_stepping_during_a_hold_plays(action: PlaybackAction) -> None:
    """It would have played; another item, another wait."""
    after = done(replace(HELD, debts=()), action, target=Target("b", 50.0))

    assert (after.item, after.playing, after.hold, after.debts) == ("b", True, None, ())


def test_play_waits_for_those_who_load_already() -> None:
    """Who reported that he loads the item that was selected is waited for before anything moves."""
    paused = replace(PLAYING, playing=False, position=0.0)
    loads = Watch(4, (Laggard(BOB, first=True),))

    after = done(paused, PlaybackAction.PLAY, watch=loads)

    assert (after.playing, after.position, after.due_at()) == (False, 0.0, NOW + 60_000)


@pytest.mark.parametrize(
    "playback", [replace(PLAYING, playing=False), replace(PLAYING, live=True), replace(PLAYING, item=None)]
)
def test_what_does_not_play_or_is_live_is_not_held(playback: Playback) -> None:
    """A live item goes on for all the same: the late one catches up."""
    assert refused(playback, PlaybackAction.BUFFERING, watch=SLOW).code is ErrorCode.CONFLICT


@pytest.mark.parametrize("action", [PlaybackAction.RECONCILE, PlaybackAction.BUFFERING])
def test_a_room_that_waits_no_longer_goes_on_at_once(action: PlaybackAction) -> None:
    """Its settings were changed in the middle of a hold: without word of how the members do there is none to keep."""
    after = done(HELD, action, target=Target("a", 100.0))

    assert (after.playing, after.position, after.at, after.hold) == (True, 15.0, NOW + 300, None)


def test_a_hold_outlives_a_change_of_the_playlist() -> None:
    """The room waits on, for the same members and until the same moment; a length learned meanwhile counts."""
    assert refused(HELD, PlaybackAction.RECONCILE, target=Target("a", 100.0), watch=SLOW)

    learned = done(HELD, PlaybackAction.RECONCILE, target=Target("a", 50.0), watch=SLOW)

    assert (learned.hold, learned.playing, learned.duration) == (HELD.hold, False, 50.0)


def test_the_same_laggards_change_nothing() -> None:
    """No revision for news that is none; nor in a room that does not wait."""
    assert refused(HELD, PlaybackAction.BUFFERING, watch=SLOW).code is ErrorCode.CONFLICT
    assert refused(PLAYING, PlaybackAction.BUFFERING).code is ErrorCode.CONFLICT


def undone(playback: Playback, now_ms: int = NOW, **fields: object) -> Playback:
    """Undo as the worker asks for it: the last change, its item still there."""
    past = playback.history[-1]
    target = Target(past.item, past.duration) if past.item is not None else None
    more = {"past": past, "history": playback.history[:-1], "target": target, "by_member": True} | fields
    return done(playback, PlaybackAction.UNDO, now_ms, **more)


def test_undo_goes_back_to_the_place_it_had_then() -> None:
    """A seek by mistake: playing on from where it was left, and nothing more to undo."""
    sought = done(PLAYING, PlaybackAction.SEEK, position=80.0, by_member=True)
    assert sought.state().undoable == 1

    after = undone(sought, NOW + 8_000)

    assert (after.playing, after.position, after.at) == (True, 15.0, NOW + 8_300)
    assert after.state().undoable == 0


def test_undo_brings_back_item_rate_and_mode() -> None:
    """Each change by itself, the newest first."""
    first = replace(PLAYING, mode=PlaybackMode.REPEAT_ALL)
    second = done(first, PlaybackAction.RATE, rate=2.0, by_member=True)
    third = done(second, PlaybackAction.MODE, mode=PlaybackMode.SHUFFLE, by_member=True)
    fourth = done(third, PlaybackAction.SELECT, target=Target("b", 30.0), by_member=True)

    back = [fourth]
    for _ in range(3):
        back.append(undone(back[-1], played=()))

    assert [(one.item, one.rate, one.mode.value) for one in back[1:]] == [
        ("a", 2.0, "shuffle"),
        ("a", 2.0, "repeat_all"),
        ("a", 1.0, "repeat_all"),
    ]
    assert (back[3].playing, back[3].duration, back[3].history) == (True, 100.0, ())


def test_the_last_ten_can_be_undone() -> None:
    """And what the room did by itself is no change of anybody's."""
    playback = PLAYING
    for place in range(12):
        playback = done(playback, PlaybackAction.SEEK, position=float(place), by_member=True)
    playback = done(playback, PlaybackAction.BUFFERING, watch=SLOW)

    assert playback.state().undoable == 10
    for _ in range(10):
        playback = undone(playback)
    assert playback.position == pytest.approx(1.0)
    assert refused(playback, PlaybackAction.UNDO, by_member=True).code is ErrorCode.CONFLICT


def test_undo_of_a_seek_in_a_live_item_is_as_far_behind_as_before() -> None:
    """The edge has moved on meanwhile, and the room with it; within what can be rewound to."""
    live = Playback(item="cam", playing=True, position=NOW / 1000 - 3, at=NOW, live=True)
    sought = done(live, PlaybackAction.SEEK, position=NOW / 1000 - 60, live_delay_ms=3_000, by_member=True)

    soon = undone(sought, NOW + 9_700, live_delay_ms=3_000)
    paused = done(live, PlaybackAction.PAUSE, by_member=True)
    late = undone(done(paused, PlaybackAction.PLAY, by_member=True), NOW + 600_000, live_delay_ms=3_000)

    assert soon.position_at(NOW + 10_000) == pytest.approx(NOW / 1000 + 7)
    assert late.position == pytest.approx((NOW + 600_000) / 1000 - DVR_WINDOW_S + DVR_MARGIN_S)
