"""The sync worker behind its real subscribers, without a server."""

import itertools

import pytest

from bus_schemas.messages.room import PlaybackAction, PlaybackRequested, PresentMember
from bus_schemas.messages.shapes import PlaybackMode, PlaybackState, User, UserRef
from bus_schemas.streams import SYNC_CONSUMER
from bus_schemas.subjects import ROOM_COMMAND
from runtime.broker import BusBroker
from runtime.metrics import Metrics
from runtime.settings import SyncSettings
from tests.bus.twins import (
    NOW,
    Died,
    MemoryDeadlines,
    MemoryPlaylists,
    MemoryPresences,
    MemoryRooms,
    Replies,
    deliver,
    die,
    in_memory,
    unconnected,
)
from workers.sync.autoplay import Entry
from workers.sync.commands import Commands
from workers.sync.playback import Lead
from workers.sync.worker import make_broker

ADA = UserRef(id="u1", username="Ada")
A, B = Entry("a", position=1, duration=60.0), Entry("b", position=2, duration=30.0)
CAM = Entry("cam", position=3, live=True)


class Sync:
    """One worker with all it stands on."""

    def __init__(self, *items: Entry) -> None:
        self.rooms = MemoryRooms()
        self.playlists = MemoryPlaylists(*items)
        self.deadlines = MemoryDeadlines()
        self.presences = MemoryPresences()
        self.replies = Replies()
        self.metrics = Metrics()
        self.now = NOW
        commands = Commands(
            self.rooms,
            self.playlists,
            self.deadlines,
            self.presences,
            lambda *reply: self.replies.answer(*reply),
            self.metrics,
            Lead(),
            lambda: self.now,
        )
        self.broker: BusBroker = make_broker(unconnected(), self.metrics, commands, SyncSettings())
        self._ids = itertools.count(1)

    async def ask(self, action: PlaybackAction, **fields: object) -> PlaybackRequested:
        """Deliver a command, once."""
        request = PlaybackRequested.model_validate(
            {
                "id": f"c{next(self._ids)}",
                "room": "r1",
                "action": action,
                "by": ADA,
                "reply_subject": "reply.gw.x",
            }
            | fields
        )
        await self.deliver(request)
        return request

    async def deliver(self, request: PlaybackRequested) -> None:
        """Deliver this very command."""
        await deliver(self.broker, ROOM_COMMAND, SYNC_CONSUMER, request)

    @property
    def state(self) -> PlaybackState:
        """The room's state now."""
        change = self.rooms.held["r1"].change
        assert change
        return change.state

    @property
    def revision(self) -> int:
        """The room's revision now."""
        return self.state.revision


async def test_a_command_becomes_one_agreed_state() -> None:
    """A play command from a gateway comes back as the room's new playback state, by whom it was."""
    sync = Sync(A)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        await sync.ask(PlaybackAction.PLAY)

    change = sync.rooms.held["r1"].change
    assert change
    assert (change.state.item, change.state.playing, change.state.at) == ("a", True, NOW + 300)
    assert (change.by, change.duration, change.commands) == (ADA, 60.0, ("c1", "c2"))
    assert [(reply.ok, reply.state and reply.state.revision) for reply in sync.replies.given] == [
        (True, 1),
        (True, 2),
    ]


async def test_the_same_command_again_is_the_same_answer() -> None:
    """Nothing is applied twice, and the deadline is set again, in case its writer died before it."""
    sync = Sync(A)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        play = await sync.ask(PlaybackAction.PLAY)
        sync.deadlines.due.clear()

        await sync.deliver(play)

    assert sync.revision == 2
    assert sync.replies.given[-1] == sync.replies.given[-2]
    assert "r1" in sync.deadlines.due


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("part", "step"), [("rooms", "write"), ("replies", "answer"), ("deadlines", "set")])
async def test_a_worker_may_die_at_any_line(part: str, step: str, after: bool) -> None:
    """What it began, the next delivery ends: applied once, answered, with its deadline."""
    sync = Sync(A)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        play = PlaybackRequested(id="play", room="r1", action=PlaybackAction.PLAY, reply_subject="reply.gw.x")
        revive = die(getattr(sync, part), step, after=after)
        with pytest.raises(Died):
            await sync.deliver(play)
        revive()
        await sync.deliver(play)

    assert sync.revision == 2
    assert sync.replies.given[-1].state
    assert sync.replies.given[-1].state.playing
    assert sync.deadlines.due["r1"][1].revision == 2


async def test_a_lost_race_is_run_again() -> None:
    """Another worker's command came first: this one is decided anew on top of it."""
    sync = Sync(A)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        before = sync.rooms.held["r1"].change
        assert before
        theirs = before.model_copy(
            update={"state": before.state.model_copy(update={"position": 5.0, "revision": 2})}
        )
        sync.rooms.interfere.append(theirs)

        await sync.ask(PlaybackAction.PLAY)

    change = sync.rooms.held["r1"].change
    assert change
    assert (change.state.revision, change.state.position, change.state.playing) == (3, 5.0, True)
    assert b"matinee_sync_contended_total 1.0" in sync.metrics.render()


async def test_a_stale_command_carries_the_state_back() -> None:
    """The conflict says what is so now."""
    sync = Sync(A)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        await sync.ask(PlaybackAction.PLAY, revision=0)

    refused = sync.replies.given[-1]
    assert (refused.ok, refused.code, sync.revision) == (False, "conflict", 1)
    assert refused.state
    assert refused.state.revision == 1


async def test_the_deadline_follows_the_state() -> None:
    """One while it plays towards a known end, at that end; none when it stops."""
    sync = Sync(A)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        assert "r1" not in sync.deadlines.due
        await sync.ask(PlaybackAction.PLAY)
        assert sync.deadlines.due["r1"][0] == NOW + 300 + 60_000
        await sync.ask(PlaybackAction.RATE, rate=2.0)
        assert sync.deadlines.due["r1"][0] == NOW + 300 + 30_000
        await sync.ask(PlaybackAction.PAUSE)
        assert "r1" not in sync.deadlines.due


async def test_an_end_leads_on_by_itself() -> None:
    """The deadline plays the next item, then the last one's stops the room; nobody did it."""
    sync = Sync(A, B)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        await sync.ask(PlaybackAction.PLAY)
        seen = []
        for _ in range(2):
            sync.now, deadline = sync.deadlines.due["r1"]
            await sync.deliver(deadline)
            change = sync.rooms.held["r1"].change
            assert change
            seen.append((change.state.item, change.state.playing, change.state.position, change.by))

    assert seen == [("b", True, 0.0, None), ("b", False, 30.0, None)]
    assert "r1" not in sync.deadlines.due


async def test_a_deadline_that_does_not_fit_changes_nothing() -> None:
    """It is of an older revision: the one that fits is set again, and the playlist is not read for it."""
    sync = Sync(A, B)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        await sync.ask(PlaybackAction.PLAY)
        _, stale = sync.deadlines.due["r1"]
        await sync.ask(PlaybackAction.SEEK, position=30)
        sync.deadlines.due.clear()
        asked = sync.playlists.asked

        await sync.deliver(stale)

    assert sync.revision == 3
    assert sync.deadlines.due["r1"][1].revision == 3
    assert sync.playlists.asked == asked


async def test_a_bus_whose_clock_is_ahead_is_asked_once_more() -> None:
    """The deadline came three seconds early by our clock: it is set for when ours will be there, not at once."""
    sync = Sync(A, B)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        await sync.ask(PlaybackAction.PLAY)
        due, deadline = sync.deadlines.due["r1"]
        sync.now = due - 3_000
        await sync.deliver(deadline)
        again, deadline = sync.deadlines.due["r1"]
        sync.now += again - due
        await sync.deliver(deadline)

    assert again == due + 3_000
    assert (sync.state.item, sync.revision) == ("b", 3)


async def test_a_deadline_overtaken_while_it_was_set_is_put_right() -> None:
    """Another worker paused meanwhile, and took its deadline away before ours was written."""
    sync = Sync(A)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")

        def paused_elsewhere() -> None:
            held = sync.rooms.held["r1"]
            assert held.change
            state = held.change.state.model_copy(update={"playing": False, "revision": 3})
            sync.rooms.held["r1"] = type(held)(
                held.change.model_copy(update={"state": state}), held.revision + 1
            )

        sync.deadlines.on_set.append(paused_elsewhere)
        await sync.ask(PlaybackAction.PLAY)

    assert "r1" not in sync.deadlines.due


async def test_an_item_that_was_removed_is_followed_by_the_first() -> None:
    """What plays may go from the playlist; next finds a way on, and selecting it again does not."""
    sync = Sync(A, B)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="b")
        sync.playlists.items = [A]
        await sync.ask(PlaybackAction.SELECT, item="b")
        await sync.ask(PlaybackAction.NEXT)

    assert [reply.code for reply in sync.replies.given] == [None, "not_found", None]
    assert sync.replies.given[-1].state
    assert sync.replies.given[-1].state.item == "a"


async def test_a_duration_that_became_known_counts() -> None:
    """It is looked up when it is missing, so the item ends after all."""
    sync = Sync(Entry("a", position=1))
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        await sync.ask(PlaybackAction.PLAY)
        assert "r1" not in sync.deadlines.due
        sync.playlists.items = [A]
        await sync.ask(PlaybackAction.SEEK, position=1_000)

    assert sync.replies.given[-1].state
    assert sync.replies.given[-1].state.position == 60.0


async def test_shuffle_plays_all_once() -> None:
    """The round is kept with the state, so any worker goes on with it."""
    items = [Entry(f"i{n}", position=n, duration=1.0) for n in range(6)]
    sync = Sync(*items)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="i0")
        await sync.ask(PlaybackAction.MODE, mode=PlaybackMode.SHUFFLE)
        order = ["i0"]
        for _ in range(5):
            await sync.ask(PlaybackAction.NEXT)
            state = sync.replies.given[-1].state
            assert state
            assert state.item
            order.append(state.item)

    assert sorted(order) == [entry.id for entry in items]


@pytest.mark.parametrize("count", [1, 31, 32, 33])
async def test_the_last_commands_are_remembered(count: int) -> None:
    """As many as can be redelivered, and no more."""
    sync = Sync(A)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        for number in range(count):
            await sync.ask(PlaybackAction.SEEK, position=number)

    change = sync.rooms.held["r1"].change
    assert change
    assert len(change.commands) == min(count + 1, 32)
    assert change.commands[-1] == f"c{count + 1}"


async def test_a_removed_item_plays_no_longer() -> None:
    """When the item under the playback is gone the room stands on nothing, and no end of it is to come."""
    sync = Sync(A, B)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        await sync.ask(PlaybackAction.PLAY)
        sync.playlists.items = [B]
        await sync.ask(PlaybackAction.RECONCILE)

    change = sync.rooms.held["r1"].change
    assert change
    assert (change.state.item, change.state.playing, change.state.revision) == (None, False, 3)
    assert "r1" not in sync.deadlines.due


async def test_another_item_removed_changes_nothing() -> None:
    """What the room plays is still there: no new revision, no answer."""
    sync = Sync(A, B)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        answered = len(sync.replies.given)
        sync.playlists.items = [A]
        await sync.ask(PlaybackAction.RECONCILE)

    change = sync.rooms.held["r1"].change
    assert change
    assert change.state.revision == 1
    assert len(sync.replies.given) == answered


async def test_a_length_learned_later_sets_the_end() -> None:
    """An item whose length becomes known while it plays ends when it should."""
    sync = Sync(Entry("a", position=1))
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        await sync.ask(PlaybackAction.PLAY)
        assert "r1" not in sync.deadlines.due
        sync.playlists.items = [A]
        await sync.ask(PlaybackAction.RECONCILE)

    assert "r1" in sync.deadlines.due


async def test_a_command_that_comes_after_its_room_is_deleted_leaves_nothing() -> None:
    """It was on its way when the room went: no state of a room that is not there."""
    sync = Sync(A)
    sync.playlists.there = False
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.MODE, mode=PlaybackMode.SHUFFLE)

    assert [reply.code for reply in sync.replies.given] == ["not_found"]
    assert sync.rooms.held == {}


async def test_a_deleted_room_is_forgotten() -> None:
    """Neither its state nor its deadline outlives it."""
    sync = Sync(A)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        await sync.ask(PlaybackAction.PLAY)
        sync.playlists.there = False
        await sync.ask(PlaybackAction.RECONCILE)

    assert "r1" not in sync.rooms.held
    assert "r1" not in sync.deadlines.due


def buffers(user: str, *, yes: bool, **fields: object) -> PresentMember:
    """A member's entry while item a plays."""
    found = {"user": User(id=user, username=user), "connections": 1, "buffering": yes, "item": "a"}
    return PresentMember.model_validate(found | {"loaded": "a", "reported_at": NOW} | fields)


async def test_a_room_that_waits_holds_and_goes_on() -> None:
    """Bob buffers: the room stops for him by nobody's hand, with a deadline; he is ready: it plays on."""
    sync = Sync(A)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        await sync.ask(PlaybackAction.PLAY, wait=True)
        answered = len(sync.replies.given)
        sync.now += 5_300
        sync.presences.members = [buffers("bob", yes=True), buffers("ada", yes=False)]
        await sync.ask(PlaybackAction.BUFFERING, by=None, wait=True, reply_subject=None)
        held = sync.rooms.held["r1"].change
        due = sync.deadlines.due["r1"][0]
        sync.presences.members = [buffers("bob", yes=False), buffers("ada", yes=False)]
        sync.now += 2_000
        await sync.ask(PlaybackAction.BUFFERING, by=None, wait=True, reply_subject=None)

    after = sync.rooms.held["r1"].change
    assert held
    assert held.state.hold
    assert [member.id for member in held.state.hold.members] == ["bob"]
    assert (held.state.playing, held.state.position, held.by) == (False, 5.0, None)
    assert due == NOW + 15_300
    assert after
    assert (after.state.playing, after.state.position, after.state.hold) == (True, 5.0, None)
    assert sync.deadlines.due["r1"][0] == NOW + 7_600 + 55_000
    assert len(sync.replies.given) == answered


async def test_a_hold_that_runs_out_plays_on_with_no_playlist_read() -> None:
    """The schedule ends it, whatever becomes of the one it was for, and of the database."""
    sync = Sync(A, B)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        await sync.ask(PlaybackAction.PLAY)
        sync.presences.members = [buffers("bob", yes=True), buffers("ada", yes=False)]
        await sync.ask(PlaybackAction.BUFFERING, by=None)
        asked = sync.playlists.asked
        sync.now, deadline = sync.deadlines.due["r1"]
        await sync.deliver(deadline)

    change = sync.rooms.held["r1"].change
    assert change
    assert (change.state.item, change.state.playing, change.state.hold) == ("a", True, None)
    assert sync.playlists.asked == asked


async def test_word_overtaken_by_the_hold_ends_it() -> None:
    """Bob got ready after sync had read that he buffers: it looks again once the hold stands."""
    sync = Sync(A)

    def ready() -> None:
        sync.presences.members = [buffers("bob", yes=False), buffers("ada", yes=False)]

    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        await sync.ask(PlaybackAction.PLAY)
        sync.presences.members = [buffers("bob", yes=True), buffers("ada", yes=False)]
        sync.presences.on_read.append(ready)
        await sync.ask(PlaybackAction.BUFFERING, by=None)

    change = sync.rooms.held["r1"].change
    assert change
    assert (change.state.playing, change.state.hold, change.state.revision) == (True, None, 4)


async def test_a_room_that_does_not_wait_reads_no_presence() -> None:
    """Play costs what it always did."""
    sync = Sync(A)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        await sync.ask(PlaybackAction.PLAY)

    assert sync.presences.asked == 0


async def test_undo_says_who_undid() -> None:
    """The item chosen by mistake gives way to the one before, at the place it had; the answer is the state."""
    sync = Sync(A, B)
    eve = UserRef(id="u2", username="Eve")
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        await sync.ask(PlaybackAction.SEEK, position=20)
        await sync.ask(PlaybackAction.SELECT, item="b")
        await sync.ask(PlaybackAction.UNDO, by=eve)

    change = sync.rooms.held["r1"].change
    assert change
    assert (change.state.item, change.state.position, change.by, change.duration) == ("a", 20.0, eve, 60.0)
    assert (change.state.undoable, change.state.revision) == (2, 4)


async def test_undo_passes_over_what_is_gone() -> None:
    """An item that was removed cannot come back: the change before it is undone; then there is nothing more."""
    sync = Sync(A, B)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        await sync.ask(PlaybackAction.SELECT, item="b")
        sync.playlists.items = [B]
        await sync.ask(PlaybackAction.UNDO)
        await sync.ask(PlaybackAction.UNDO)

    assert [reply.code for reply in sync.replies.given] == [None, None, None, "conflict"]
    assert sync.replies.given[2].state
    assert sync.replies.given[2].state.item is None
    assert sync.replies.given[3].state


async def test_what_a_room_came_to_is_noted_once() -> None:
    """Each item by its revision; a redelivered command adds nothing."""
    sync = Sync(A, B)
    async with in_memory(sync.broker):
        chosen = await sync.ask(PlaybackAction.SELECT, item="a")
        await sync.deliver(chosen)
        await sync.ask(PlaybackAction.NEXT)
        await sync.ask(PlaybackAction.PAUSE)

    assert sync.playlists.plays == {1: "a", 2: "b"}


async def test_a_folder_plays_what_it_begins_with() -> None:
    """Selecting a folder selects the first item in it, however deep; an empty one has none."""
    folder = Entry("f", position=3, folder=True)
    inner = Entry("g", parent="f", position=1, folder=True)
    sync = Sync(A, folder, inner, Entry("x", parent="g", position=1), Entry("e", position=9, folder=True))
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="f")
        await sync.ask(PlaybackAction.SELECT, item="e")
        await sync.ask(PlaybackAction.PREVIOUS)

    assert [reply.code for reply in sync.replies.given] == [None, "not_found", None]
    assert [reply.state and reply.state.item for reply in sync.replies.given] == ["x", None, "a"]


async def in_a_hold() -> Sync:
    """A room that waits for Bob, two seconds in."""
    sync = Sync(A, B)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        await sync.ask(PlaybackAction.PLAY)
        sync.now += 5_300
        sync.presences.members = [buffers("bob", yes=True), buffers("ada", yes=False)]
        await sync.ask(PlaybackAction.BUFFERING, by=None, reply_subject=None)
        sync.now += 2_000
    assert sync.state.hold
    return sync


async def test_waiting_switched_off_ends_a_hold_at_once() -> None:
    """The settings' own command says so, by whom they were changed; nothing else is due but the item's end."""
    sync = await in_a_hold()
    async with in_memory(sync.broker):
        sync.playlists.waiting = False
        await sync.ask(PlaybackAction.RECONCILE, reply_subject=None)

    change = sync.rooms.held["r1"].change
    assert change
    assert (change.state.playing, change.state.position, change.state.hold, change.by) == (
        True,
        5.0,
        None,
        ADA,
    )
    assert sync.deadlines.due["r1"][0] == sync.now + 300 + 55_000


async def test_a_hold_begun_while_waiting_was_switched_off_does_not_stand() -> None:
    """The command came after the settings' own, from a gateway that had not heard of them."""
    sync = Sync(A)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        await sync.ask(PlaybackAction.PLAY)
        sync.presences.members = [buffers("bob", yes=True), buffers("ada", yes=False)]
        sync.deadlines.on_set.append(lambda: setattr(sync.playlists, "waiting", False))
        await sync.ask(PlaybackAction.BUFFERING, by=None, wait=True)

    assert (sync.state.playing, sync.state.hold, sync.revision) == (True, None, 4)


@pytest.mark.parametrize("action", [PlaybackAction.BUFFERING, PlaybackAction.PLAY])
async def test_a_room_that_does_not_wait_is_never_held(action: PlaybackAction) -> None:
    """Whatever a gateway believes, the room's own settings decide."""
    sync = Sync(A)
    sync.playlists.waiting = False
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        await sync.ask(PlaybackAction.PLAY)
        if action is PlaybackAction.PLAY:
            await sync.ask(PlaybackAction.PAUSE)
        sync.presences.members = [buffers("bob", yes=True), buffers("ada", yes=False)]
        await sync.ask(action, wait=True)

    assert (sync.state.playing, sync.state.hold) == (True, None)


async def test_a_change_of_the_playlist_leaves_a_hold_as_it_is() -> None:
    """Another item goes: the room waits on."""
    sync = await in_a_hold()
    before = sync.state
    async with in_memory(sync.broker):
        sync.playlists.items = [A]
        await sync.ask(PlaybackAction.RECONCILE, reply_subject=None)

    assert sync.state == before


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("part", "step"), [("rooms", "write"), ("deadlines", "set")])
async def test_a_worker_that_dies_as_a_hold_begins_leaves_its_end_set(
    part: str, step: str, after: bool
) -> None:
    """The next delivery finishes what it began: one hold, one deadline that ends it, whoever takes it."""
    sync = Sync(A)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        await sync.ask(PlaybackAction.PLAY)
        sync.presences.members = [buffers("bob", yes=True), buffers("ada", yes=False)]
        word = PlaybackRequested(id="word", room="r1", action=PlaybackAction.BUFFERING, wait=True)
        revive = die(getattr(sync, part), step, after=after)
        with pytest.raises(Died):
            await sync.deliver(word)
        revive()
        await sync.deliver(word)
        hold = sync.state.hold
        due, deadline = sync.deadlines.due["r1"]
        sync.now = due
        await sync.deliver(deadline)
        await sync.deliver(deadline)

    assert hold
    assert due == hold.until
    assert (sync.state.playing, sync.state.hold, sync.revision) == (True, None, 4)


async def test_a_live_room_follows_a_changed_delay() -> None:
    """From three seconds behind to eight, by the one who set it, once however often it is said."""
    sync = Sync(CAM)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="cam")
        await sync.ask(PlaybackAction.PLAY)
        sync.now += 60_000
        sync.playlists.delay_ms = 8_000
        told = await sync.ask(PlaybackAction.RECONCILE, old_live_delay_ms=3_000, reply_subject=None)
        await sync.deliver(told)

    change = sync.rooms.held["r1"].change
    assert change
    assert (change.state.at, change.state.position) == (sync.now + 300, (sync.now + 300) / 1000 - 8)
    assert (change.by, change.state.revision) == (ADA, 3)
    assert "r1" not in sync.deadlines.due


async def test_live_and_films_follow_each_other() -> None:
    """The next one is live: all play behind the publisher, and no end of it is to come; previous leads back."""
    sync = Sync(A, CAM)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        await sync.ask(PlaybackAction.RATE, rate=2.0)
        await sync.ask(PlaybackAction.PLAY)
        sync.now, deadline = sync.deadlines.due["r1"]
        await sync.deliver(deadline)
        live = sync.state
        none_due = "r1" not in sync.deadlines.due
        await sync.ask(PlaybackAction.PREVIOUS)

    assert (live.item, live.live, live.playing, live.rate) == ("cam", True, True, 1.0)
    assert live.position == live.at / 1000 - 3
    assert none_due
    assert (sync.state.item, sync.state.live, sync.state.position, sync.state.playing) == (
        "a",
        False,
        0.0,
        True,
    )
    assert "r1" in sync.deadlines.due


async def test_an_item_of_unknown_length_plays_until_somebody_tells_it() -> None:
    """No end is guessed: the room plays on past any place, and ends by itself once the length is there."""
    sync = Sync(Entry("a", position=1), B)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        await sync.ask(PlaybackAction.PLAY)
        sync.now += 3_600_000
        far = await sync.ask(PlaybackAction.SEEK, position=7_200.0)
        assert "r1" not in sync.deadlines.due
        sync.playlists.items = [A, B]
        await sync.ask(PlaybackAction.RECONCILE, reply_subject=None)
        sync.now, deadline = sync.deadlines.due["r1"]
        await sync.deliver(deadline)

    answer = next(reply for reply in sync.replies.given if reply.id == far.id)
    assert answer.state
    assert answer.state.position == 7_200.0
    assert (sync.state.item, sync.state.playing) == ("b", True)


@pytest.mark.parametrize("action", [PlaybackAction.RECONCILE, PlaybackAction.PLAY])
async def test_a_room_whose_state_was_lost_begins_again_at_its_last_item(action: PlaybackAction) -> None:
    """At rest until somebody plays it, in the room's own mode, with a revision above all that it ever had."""
    sync = Sync(A, B)
    sync.playlists.mode = PlaybackMode.SHUFFLE
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="b")
        for _ in range(5):
            await sync.ask(PlaybackAction.RATE, rate=2)
        lost = sync.state
        sync.rooms.held.clear()
        sync.now += 60_000

        await sync.ask(action)

    assert (sync.state.item, sync.state.position, sync.state.rate) == ("b", 0, 1)
    change = sync.rooms.held["r1"].change
    assert change
    assert (sync.state.mode, change.order) == (PlaybackMode.SHUFFLE, ("b",))
    assert sync.state.playing is (action is PlaybackAction.PLAY)
    assert sync.revision > lost.revision


async def test_a_room_whose_last_item_is_gone_too_begins_with_none() -> None:
    """It is not held up by what is no more."""
    sync = Sync(A)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.SELECT, item="a")
        sync.rooms.held.clear()
        sync.playlists.items.clear()

        await sync.ask(PlaybackAction.RECONCILE)

    assert (sync.state.item, sync.state.playing) == (None, False)


async def test_a_room_that_never_played_has_nothing_to_begin_again() -> None:
    """Looking at it makes no state."""
    sync = Sync(A)
    async with in_memory(sync.broker):
        await sync.ask(PlaybackAction.RECONCILE)

    assert sync.rooms.held == {}
