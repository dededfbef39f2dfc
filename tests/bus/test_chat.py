"""The chat worker behind its real subscribers, without a server."""

import itertools

import pytest

from bus_schemas.messages.room import ChatDeleteRequested, ChatSubmitted, DanmakuSubmitted
from bus_schemas.messages.shapes import UserRef
from bus_schemas.streams import CHAT_CONSUMER, CHAT_DELETE_CONSUMER, DANMAKU_CONSUMER
from bus_schemas.subjects import CHAT_DELETE, CHAT_SUBMIT, DANMAKU_SUBMIT
from runtime.metrics import Metrics
from runtime.settings import ChatSettings
from tests.bus.twins import NOW, Died, Ears, MemoryMessages, Replies, deliver, die, in_memory, unconnected
from workers.chat.rules import Filter
from workers.chat.submissions import Submissions
from workers.chat.worker import make_broker

ADA = UserRef(id="u1", username="Ada")


class Chat:
    """One worker with all it stands on."""

    def __init__(self) -> None:
        self.messages = MemoryMessages()
        self.ears = Ears()
        self.replies = Replies()
        self.metrics = Metrics()
        ids = itertools.count(1)
        submissions = Submissions(
            self.messages,
            self.ears,
            lambda *reply: self.replies.answer(*reply),
            Filter(["darn"]),
            self.metrics,
            lambda: NOW,
            lambda: f"m{next(ids)}",
        )
        self.broker = make_broker(unconnected(), self.metrics, submissions, ChatSettings())

    async def say(self, client_id: str, text: str, *, room: str = "r1", delivery: int = 1) -> None:
        """Deliver a submission."""
        submitted = ChatSubmitted(
            id=f"s-{client_id}", room=room, client_id=client_id or "", user=ADA, text=text, at=NOW,
            reply_subject="reply.gw.x",
        )  # fmt: skip
        await deliver(self.broker, CHAT_SUBMIT, CHAT_CONSUMER, submitted, delivery=delivery, room=room)


async def test_a_submission_is_filtered_stored_heard_and_answered() -> None:
    """The members hear what the sender is told."""
    chat = Chat()
    async with in_memory(chat.broker):
        await chat.say("c1", "darn\x00 it")

    (reply,) = chat.replies.given
    assert reply.message
    assert (reply.ok, reply.message.id, reply.message.text) == (True, "m1", "**** it")
    event = chat.ears.events["m1"].root
    assert event.type == "chat"
    assert (event.message, event.client_id) == (reply.message, "c1")
    assert chat.messages.stored["m1"].posted


async def test_a_resend_is_answered_the_same_and_not_heard_again() -> None:
    """One message, one event, two answers."""
    chat = Chat()
    async with in_memory(chat.broker):
        await chat.say("c1", "hello")
        chat.ears.events.clear()
        await chat.say("c1", "hello")

    assert chat.replies.given[0] == chat.replies.given[1]
    assert chat.ears.events == {}
    assert len(chat.messages.stored) == 1


async def test_a_message_the_bus_did_not_take_comes_again_and_is_heard_once() -> None:
    """Not answered before it is published; the next delivery finds it stored and goes on."""
    chat = Chat()
    chat.ears.deaf = 1
    async with in_memory(chat.broker):
        await chat.say("c1", "hello")
        assert chat.replies.given == []
        await chat.say("c1", "hello", delivery=2)

    rendered = chat.metrics.render().decode()
    for outcome in ("retried", "ok"):
        assert f'matinee_handled_total{{outcome="{outcome}",subject="chat.submit.{{room}}"}} 1.0' in rendered
    assert [reply.ok for reply in chat.replies.given] == [True]
    assert list(chat.ears.events) == ["m1"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("part", "step"),
    [("messages", "add"), ("ears", "event"), ("replies", "answer"), ("messages", "mark_posted")],
)
async def test_a_worker_may_die_at_any_line(part: str, step: str, after: bool) -> None:
    """What it began, the next delivery ends: stored once, heard once, answered, the same each time."""
    chat = Chat()
    async with in_memory(chat.broker):
        revive = die(getattr(chat, part), step, after=after)
        with pytest.raises(Died):
            await chat.say("c1", "hello")
        revive()
        await chat.say("c1", "hello", delivery=2)

    assert len(chat.messages.stored) == len(chat.ears.events) == 1
    (stored,) = chat.messages.stored.values()
    assert stored.posted
    assert chat.replies.given
    assert all(reply.message == stored.message for reply in chat.replies.given)


@pytest.mark.parametrize(
    ("client_id", "text", "room", "code"),
    [("c1", " \n", "r1", "invalid"), ("", "hello", "r1", "invalid"), ("c1", "hello", "gone", "not_found")],
)
async def test_a_refusal_is_an_answer(client_id: str, text: str, room: str, code: str) -> None:
    """It is handled: not tried again, not stored, not heard."""
    chat = Chat()
    submitted = ChatSubmitted(
        id="s1", room=room, client_id=client_id, user=ADA, text=text, at=NOW, reply_subject="reply.gw.x"
    )
    async with in_memory(chat.broker):
        await deliver(chat.broker, CHAT_SUBMIT, CHAT_CONSUMER, submitted, room=room)

    (reply,) = chat.replies.given
    assert (reply.ok, reply.code, bool(reply.detail)) == (False, code, True)
    assert chat.messages.stored == {}
    assert chat.ears.events == {}


@pytest.mark.parametrize(("message_id", "ok"), [("m1", True), ("m9", False)])
async def test_deleting(message_id: str, ok: bool) -> None:
    """All hear that it is gone; what was never there is not found."""
    chat = Chat()
    asked = ChatDeleteRequested(id="d1", room="r1", message_id=message_id, by=ADA, reply_subject="reply.gw.x")
    async with in_memory(chat.broker):
        await chat.say("c1", "hello")
        await deliver(chat.broker, CHAT_DELETE, CHAT_DELETE_CONSUMER, asked)

    assert (chat.replies.given[-1].ok, chat.replies.given[-1].code) == (ok, None if ok else "not_found")
    assert (f"deleted-{message_id}" in chat.ears.events) == ok


async def test_a_danmaku_is_one_whatever_is_delivered() -> None:
    """The same client_id flies once; somebody else's flies too."""
    chat = Chat()
    async with in_memory(chat.broker):
        for number, user in ((1, ADA), (2, ADA), (3, UserRef(id="u2", username="Bob"))):
            submitted = DanmakuSubmitted(
                id=f"s{number}", room="r1", client_id="c\u00fc1", user=user, text="darn\nwow", at=NOW,
                reply_subject="reply.gw.x",
            )  # fmt: skip
            await deliver(chat.broker, DANMAKU_SUBMIT, DANMAKU_CONSUMER, submitted)

    assert [reply.ok for reply in chat.replies.given] == [True, True, True]
    assert [(one.user.id, one.text) for one in chat.ears.danmaku_heard.values()] == [
        ("u1", "**** wow"), ("u2", "**** wow"),
    ]  # fmt: skip
    assert all(msg_id.isascii() and msg_id.isalnum() for msg_id in chat.ears.danmaku_heard)
