"""The playback state machine."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.errors import ErrorCode
from bus_schemas.messages.room import PlaybackAction
from bus_schemas.messages.shapes import PlaybackMode
from workers.sync.playback import (
    DVR_MARGIN_S,
    DVR_WINDOW_S,
    TRANSITIONS,
    Command,
    Lead,
    Playback,
    Refusal,
    Target,
    apply,
)

NOW = 1_790_000_000_000
LEAD = Lead(300, 1_500)
PAUSED = Playback(item="a", position=10.0, at=NOW - 5_000, revision=4, duration=100.0)
PLAYING = replace(PAUSED, playing=True)
LIVE = Playback(item="cam", playing=True, position=NOW / 1000 - 8, at=NOW - 5_000, revision=4, live=True)


def done(playback: Playback, action: PlaybackAction, now_ms: int = NOW, **fields: object) -> Playback:
    """The playback after a command that must be accepted."""
    after = apply(playback, Command(action, **fields), now_ms, LEAD)  # type: ignore[arg-type]
    assert isinstance(after, Playback), after
    return after


def refused(playback: Playback, action: PlaybackAction, **fields: object) -> Refusal:
    """Why a command that must be refused was."""
    after = apply(playback, Command(action, **fields), NOW, LEAD)  # type: ignore[arg-type]
    assert isinstance(after, Refusal), after
    return after


def test_play_starts_a_moment_ahead_where_it_stood() -> None:
    """All members hear of it before it takes effect, and none runs ahead until then."""
    after = done(PAUSED, PlaybackAction.PLAY, rtt_ms=40)

    assert (after.playing, after.position, after.at) == (True, 10.0, NOW + 300)
    assert after.position_at(NOW + 299) == 10.0
    assert after.position_at(NOW + 1_300) == 11.0


@pytest.mark.parametrize(
    ("rtt_ms", "lead_ms"), [(0, 300), (150, 300), (400, 800), (750, 1_500), (9_000, 1_500)]
)
def test_the_lead_is_twice_the_slowest_round_trip_within_bounds(rtt_ms: float, lead_ms: int) -> None:
    """From 300 ms to 1.5 s, whoever is slow."""
    assert done(PAUSED, PlaybackAction.SEEK, position=1.0, rtt_ms=rtt_ms).at == NOW + lead_ms


def test_play_while_it_plays_keeps_the_timeline() -> None:
    """A second press moves nobody."""
    after = done(PLAYING, PlaybackAction.PLAY)

    assert after.position_at(NOW + 10_000) == PLAYING.position_at(NOW + 10_000)


def test_play_at_the_end_begins_again() -> None:
    """An item that is over is played from its start."""
    over = replace(PAUSED, position=100.0)

    assert done(over, PlaybackAction.PLAY).position == 0.0


def test_pause_names_where_everyone_stops() -> None:
    """It takes effect now, at the position of now."""
    after = done(PLAYING, PlaybackAction.PAUSE)

    assert (after.playing, after.position, after.at) == (False, 15.0, NOW)


def test_pause_before_a_scheduled_start_stops_where_it_would_have_started() -> None:
    """Nobody has moved yet."""
    ahead = done(PAUSED, PlaybackAction.PLAY)

    assert done(ahead, PlaybackAction.PAUSE).position == 10.0


@pytest.mark.parametrize(("asked", "position"), [(0.0, 0.0), (50.5, 50.5), (100.0, 100.0), (1e9, 100.0)])
def test_a_seek_past_the_end_is_a_seek_to_the_end(asked: float, position: float) -> None:
    """The end is where an item ends."""
    assert done(PAUSED, PlaybackAction.SEEK, position=asked).position == position


def test_a_seek_goes_anywhere_while_the_length_is_unknown() -> None:
    """Nobody knows the end, so nobody clamps."""
    assert done(replace(PAUSED, duration=None), PlaybackAction.SEEK, position=1e6).position == 1e6


@pytest.mark.parametrize("position", [-0.001, -math.inf, math.inf, math.nan])
@pytest.mark.parametrize("action", [PlaybackAction.SEEK, PlaybackAction.PLAY, PlaybackAction.PAUSE])
def test_a_position_that_is_none_is_invalid(action: PlaybackAction, position: float) -> None:
    """Wherever it is given."""
    assert refused(PLAYING, action, position=position).code is ErrorCode.INVALID


@pytest.mark.parametrize("rate", [0.2499, 0.0, -1.0, 4.01, math.inf, math.nan])
def test_a_rate_out_of_range_is_invalid(rate: float) -> None:
    """From a quarter to four times."""
    assert refused(PLAYING, PlaybackAction.RATE, rate=rate).code is ErrorCode.INVALID


def test_a_rate_takes_effect_now_without_a_jump() -> None:
    """The position of now is where both rates meet."""
    after = done(PLAYING, PlaybackAction.RATE, rate=2.0)

    assert after.position_at(NOW) == PLAYING.position_at(NOW) == 15.0
    assert after.position_at(NOW + 1_000) == 17.0


def test_a_rate_leaves_a_scheduled_start_where_it_is() -> None:
    """Who waits for the start still waits."""
    ahead = done(PAUSED, PlaybackAction.PLAY)

    after = done(ahead, PlaybackAction.RATE, rate=2.0)

    assert (after.at, after.position) == (ahead.at, 10.0)


def test_select_stops_at_the_start() -> None:
    """Another item is chosen, nothing plays yet; what was known of the old one is forgotten."""
    after = done(PLAYING, PlaybackAction.SELECT, target=Target("b", 30.0))

    assert (after.item, after.playing, after.position, after.duration) == ("b", False, 0.0, 30.0)


@pytest.mark.parametrize(("before", "at"), [(PLAYING, NOW + 300), (PAUSED, NOW)])
def test_next_goes_on_as_it_was(before: Playback, at: int) -> None:
    """Who was watching goes on watching, from the start of the next one."""
    after = done(before, PlaybackAction.NEXT, target=Target("b", 30.0))

    assert (after.item, after.playing, after.position, after.at) == ("b", before.playing, 0.0, at)


@pytest.mark.parametrize("action", [PlaybackAction.SELECT, PlaybackAction.NEXT, PlaybackAction.PREVIOUS])
def test_an_item_that_is_not_there_is_not_found(action: PlaybackAction) -> None:
    """And nothing changes."""
    assert refused(PLAYING, action).code is ErrorCode.NOT_FOUND


@pytest.mark.parametrize("action", [PlaybackAction.PLAY, PlaybackAction.PAUSE])
def test_without_an_item_there_is_nothing_to_play(action: PlaybackAction) -> None:
    """A room that has selected nothing says so."""
    assert refused(Playback(), action).code is ErrorCode.CONFLICT


@pytest.mark.parametrize("revision", [0, 3, 5])
@pytest.mark.parametrize("action", list(PlaybackAction))
def test_a_command_on_another_revision_is_a_conflict(action: PlaybackAction, revision: int) -> None:
    """Older or from nowhere: it was meant for a state that is not this one."""
    reply = refused(
        PLAYING,
        action,
        revision=revision,
        position=1.0,
        rate=1.0,
        mode=PlaybackMode.SHUFFLE,
        target=Target("b"),
    )

    assert reply.code is ErrorCode.CONFLICT


@pytest.mark.parametrize(
    "action", [PlaybackAction.SEEK, PlaybackAction.RATE, PlaybackAction.MODE, PlaybackAction.DEADLINE]
)
def test_a_command_without_what_it_needs_is_invalid(action: PlaybackAction) -> None:
    """A seek to nowhere is no seek."""
    assert refused(PLAYING, action).code is ErrorCode.INVALID


def test_shuffle_counts_the_item_that_plays() -> None:
    """The round begins with it; leaving the mode forgets the round."""
    shuffled = done(PLAYING, PlaybackAction.MODE, mode=PlaybackMode.SHUFFLE)

    assert (shuffled.mode, shuffled.played) == (PlaybackMode.SHUFFLE, ("a",))
    assert done(shuffled, PlaybackAction.MODE, mode=PlaybackMode.SEQUENTIAL).played == ()


def test_an_item_ends_when_its_rest_has_played() -> None:
    """From the moment it starts, at the rate it plays."""
    assert PLAYING.ends_at() == NOW - 5_000 + 90_000
    assert replace(PLAYING, rate=2.0).ends_at() == NOW - 5_000 + 45_000
    assert replace(PLAYING, duration=None).ends_at() is None
    assert PAUSED.ends_at() is None
    assert LIVE.ends_at() is None


@pytest.mark.parametrize(
    ("duration", "rate", "lasts_ms"),
    [(0.0, 1, 1_000), (0.3, 1, 1_000), (3.0, 4, 1_000), (4.0, 4, 1_000), (1.5, 1, 1_500)],
)
def test_an_item_lasts_a_second_at_least(duration: float, rate: float, lasts_ms: int) -> None:
    """One of no length, repeated, is no storm of changes; near the end of a longer one the end is near."""
    short = Playback("a", playing=True, position=0.0, rate=rate, at=NOW, duration=duration)

    assert short.ends_at() == NOW + lasts_ms
    assert replace(PLAYING, position=99.9, at=NOW).ends_at() == NOW + 100


def test_at_the_deadline_the_next_item_plays() -> None:
    """Scheduled like any other start."""
    ends_at = PLAYING.ends_at()
    assert ends_at

    after = done(PLAYING, PlaybackAction.DEADLINE, ends_at, revision=4, target=Target("b", 5.0))

    assert (after.item, after.playing, after.position, after.at) == ("b", True, 0.0, ends_at + 300)


def test_at_the_last_deadline_the_room_stops_at_the_end() -> None:
    """There is nothing to follow."""
    ends_at = PLAYING.ends_at()
    assert ends_at

    after = done(PLAYING, PlaybackAction.DEADLINE, ends_at, revision=4)

    assert (after.item, after.playing, after.position) == ("a", False, 100.0)


@pytest.mark.parametrize("before", [PLAYING, PAUSED, LIVE, replace(PLAYING, duration=None)])
def test_a_deadline_that_does_not_fit_does_nothing(before: Playback) -> None:
    """It does not end now."""
    assert refused(before, PlaybackAction.DEADLINE, revision=4, target=Target("b")).code is ErrorCode.CONFLICT


def test_live_plays_behind_the_publisher() -> None:
    """Chosen it stands at no moment yet; played, its position is the date of `at`, less the room's delay."""
    selected = done(PAUSED, PlaybackAction.SELECT, target=Target("cam", live=True), live_delay_ms=3_000)
    played = done(selected, PlaybackAction.PLAY, live_delay_ms=3_000)

    assert (selected.live, selected.playing, selected.position) == (True, False, 0.0)
    assert (played.playing, played.position, played.at) == (True, (NOW + 300) / 1000 - 3, NOW + 300)
    assert played.position_at(NOW + 60_000) == (NOW + 60_000) / 1000 - 3


KEPT_S = DVR_WINDOW_S - DVR_MARGIN_S
"""How far behind the publisher a room may be."""


@pytest.mark.parametrize(
    ("behind_s", "lands_behind_s"), [(-100.0, 3.0), (0.0, 3.0), (3.0, 3.0), (30.0, 30.0), (1e6, KEPT_S)]
)
def test_a_live_seek_stays_within_the_dvr_window(behind_s: float, lands_behind_s: float) -> None:
    """Not ahead of where the room plays, not before what is kept."""
    start = (NOW + 300) / 1000

    after = done(LIVE, PlaybackAction.SEEK, position=start - behind_s, live_delay_ms=3_000)

    assert after.position == pytest.approx(start - lands_behind_s, abs=1e-3)


def live(after: Playback) -> float:
    """How far behind the publisher the room is once it plays, s."""
    return after.at / 1000 - after.position


def test_a_live_room_that_paused_goes_on_where_it_stood() -> None:
    """So much further behind the publisher, all together; a seek to now leads back to live."""
    paused = done(LIVE, PlaybackAction.PAUSE, NOW, live_delay_ms=3_000)

    resumed = done(paused, PlaybackAction.PLAY, NOW + 20_000, live_delay_ms=3_000)
    back = done(resumed, PlaybackAction.SEEK, NOW + 30_000, position=NOW, live_delay_ms=3_000)

    assert (paused.playing, paused.position) == (False, NOW / 1000 - 3)
    assert resumed.position == paused.position
    assert live(resumed) == pytest.approx(23.3)
    assert back.playing
    assert live(back) == pytest.approx(3.0)


def test_a_live_room_that_stood_too_long_comes_back_to_live() -> None:
    """What it stood at is not kept any more."""
    paused = done(LIVE, PlaybackAction.PAUSE)

    resumed = done(paused, PlaybackAction.PLAY, NOW + 119_000, live_delay_ms=3_000)

    assert live(resumed) == pytest.approx(3.0)


def test_play_while_a_rewound_live_room_plays_moves_nobody() -> None:
    """A second press is none; nor does a rewound room creep back to live."""
    rewound = replace(LIVE, position=LIVE.position - 60)

    after = done(rewound, PlaybackAction.PLAY, live_delay_ms=3_000)

    assert after.position_at(NOW + 9_000) == pytest.approx(rewound.position_at(NOW + 9_000))


def test_a_live_item_that_was_chosen_and_not_played_begins_live() -> None:
    """Whenever that is; a pause before it changes nothing."""
    selected = done(PAUSED, PlaybackAction.SELECT, target=Target("cam", live=True), live_delay_ms=3_000)
    paused = done(selected, PlaybackAction.PAUSE, NOW + 1_000)

    played = done(paused, PlaybackAction.PLAY, NOW + 60_000, live_delay_ms=3_000)

    assert paused.position == 0.0
    assert live(played) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("behind_s", "old_ms", "new_ms", "lands_behind_s"),
    [(3.0, 3_000, 1_000, 1.0), (3.0, 3_000, 8_000, 8.0), (30.0, 3_000, 8_000, None), (6.0, 3_000, 9_000, 9.0)],
)  # fmt: skip
def test_a_live_room_follows_its_delay(
    behind_s: float, old_ms: int, new_ms: int, lands_behind_s: float | None
) -> None:
    """Whoever plays live does so by the new setting at once; whoever was rewound further stays there."""
    room = replace(LIVE, position=NOW / 1000 - 5 - behind_s)
    command = Command(
        PlaybackAction.RECONCILE,
        target=Target("cam", live=True),
        live_delay_ms=new_ms,
        old_live_delay_ms=old_ms,
    )

    after = apply(room, command, NOW, LEAD)

    if lands_behind_s is None:
        assert isinstance(after, Refusal)
    else:
        assert isinstance(after, Playback)
        assert (after.playing, after.at) == (True, NOW + 300)
        assert live(after) == pytest.approx(lands_behind_s)


def test_a_live_room_that_keeps_its_delay_is_left_alone() -> None:
    """A change of the playlist re-anchors nobody."""
    room = replace(LIVE, position=NOW / 1000 - 5 - 3)

    after = refused(room, PlaybackAction.RECONCILE, target=Target("cam", live=True), live_delay_ms=3_000)

    assert after.code is ErrorCode.CONFLICT


def test_live_plays_at_rate_one_only() -> None:
    """There is nothing to run into; an item at another rate leaves it behind."""
    fast = replace(PLAYING, rate=2.0)

    assert refused(LIVE, PlaybackAction.RATE, rate=1.5).code is ErrorCode.INVALID
    assert done(fast, PlaybackAction.SELECT, target=Target("cam", live=True)).rate == 1.0


def test_every_action_has_its_row() -> None:
    """The table is complete."""
    assert set(TRANSITIONS) == set(PlaybackAction)


positions = st.none() | st.floats(allow_nan=True, allow_infinity=True)
commands = st.builds(
    Command,
    action=st.sampled_from(PlaybackAction),
    position=positions,
    rate=st.none() | st.floats(allow_nan=True),
    mode=st.none() | st.sampled_from(PlaybackMode),
    revision=st.none() | st.integers(0, 12),
    target=st.none()
    | st.builds(Target, st.sampled_from("abc"), st.none() | st.floats(0, 10_000), st.just(value=False))
    | st.just(Target("cam", None, live=True)),
    rtt_ms=st.floats(0, 60_000),
    live_delay_ms=st.integers(0, 60_000),
    old_live_delay_ms=st.none() | st.integers(0, 60_000),
)


@given(st.lists(st.tuples(commands, st.integers(-7_200_000, 7_200_000)), max_size=12))
def test_clocks_that_jump_leave_sound_states(steps: list[tuple[Command, int]]) -> None:
    """Put on or back by hours between commands: no revision is lost, no place leaves the item, rates stay."""
    playback, now = Playback(), NOW
    for command, jumped in steps:
        now += jumped
        after = apply(playback, command, now, LEAD)
        if isinstance(after, Refusal):
            continue
        assert after.revision == playback.revision + 1
        assert 0 <= after.position <= (after.duration if after.duration is not None else math.inf)
        assert 0.25 <= after.rate <= 4
        after.state()  # the wire takes it
        playback = after


def test_a_clock_put_back_costs_one_press_of_play() -> None:
    """The start lies an hour ahead then: play, seek and another rate each set the room going again."""
    ahead = replace(PLAYING, at=NOW + 3_600_000)

    played = done(ahead, PlaybackAction.PLAY)
    sought = done(ahead, PlaybackAction.SEEK, position=50.0)
    faster = done(ahead, PlaybackAction.RATE, rate=2.0)
    paused = done(ahead, PlaybackAction.PAUSE)

    assert [one.at for one in (played, sought, faster, paused)] == [NOW + 300, NOW + 300, NOW, NOW]
    assert [one.position for one in (played, sought, faster, paused)] == [10.0, 50.0, 10.0, 10.0]


@given(st.lists(st.tuples(commands, st.integers(0, 200_000)), max_size=12))
def test_any_commands_lead_to_sound_states(steps: list[tuple[Command, int]]) -> None:
    """Accepted: one revision more, all in range, the start within the lead. Refused: a code and a sentence."""
    playback, now = Playback(), NOW
    for command, passed in steps:
        now += passed
        after = apply(playback, command, now, LEAD)
        if isinstance(after, Refusal):
            assert after.detail
            continue
        assert after.revision == playback.revision + 1
        assert math.isfinite(after.position)
        assert 0 <= after.position <= (after.duration if after.duration is not None else math.inf)
        assert 0.25 <= after.rate <= 4
        assert after.at <= now + 1_500
        assert after.item is not None or not after.playing
        after.state()  # the wire takes it
        playback = after


@given(
    rate=st.floats(0.25, 4),
    new_rate=st.floats(0.25, 4),
    since_ms=st.integers(0, 80_000),
    position=st.floats(0, 50),
)
def test_what_does_not_seek_does_not_jump(
    rate: float, new_rate: float, since_ms: int, position: float
) -> None:
    """Pause and rate leave everyone where they are; play goes on from there."""
    playing = Playback("a", playing=True, position=position, rate=rate, at=NOW - since_ms, duration=1_000.0)
    before = playing.position_at(NOW)

    paused = done(playing, PlaybackAction.PAUSE)
    changed = done(playing, PlaybackAction.RATE, rate=new_rate)
    resumed = done(paused, PlaybackAction.PLAY, NOW + 5_000)

    assert paused.position_at(NOW) == changed.position_at(NOW) == before
    assert resumed.position_at(NOW + 5_000) == before
