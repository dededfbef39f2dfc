"""Frames of the socket: what is taken, what is refused and how, what is written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.socket_frames import Pong
from gateway.ws import frames
from gateway.ws.frames import Chat, Danmaku, FrameError, Join, Playback, Time, parse


def code_of(text: str) -> ErrorCode | None:
    try:
        parse(text)
    except FrameError as exc:
        return exc.why.code
    return None


def refusal(text: str) -> FrameError:
    with pytest.raises(FrameError) as caught:
        parse(text)
    assert caught.value.why.code is ErrorCode.INVALID
    return caught.value


def test_a_frame_is_read_into_what_it_asks() -> None:
    """Every field of a frame arrives with its type, and unknown fields are no fault."""
    join = parse(
        '{"type":"join","id":"a","room":"r1","password":"pw","invitation":"i","after":7,"epoch":"e","new_field":1}'
    )
    seek = parse('{"type":"playback","id":3,"room":"r1","action":"seek","position":12,"revision":4}')
    chat = parse('{"type":"chat","room":"r1","client_id":"c-1","text":"<b>hi</b>","reply_to":"m1"}')
    fly = parse(
        '{"type":"danmaku","room":"r1","client_id":"c-2","text":"wow","color":"#FF0000","mode":"top"}'
    )

    assert join == Join(type="join", id="a", room="r1", password="pw", invitation="i", after=7, epoch="e")
    assert seek == Playback(type="playback", id=3, room="r1", action="seek", position=12.0, revision=4)
    assert chat == Chat(type="chat", room="r1", client_id="c-1", text="<b>hi</b>", reply_to="m1")
    assert isinstance(fly, Danmaku)
    assert (fly.color, fly.mode.value, fly.size.value) == ("#FF0000", "top", "normal")


@pytest.mark.parametrize(
    ("text", "frame_id", "path"),
    [
        ("", None, ""),
        ("{", None, ""),
        ("nonsense", None, ""),
        ('{"type":"chat","room":"r","client_id":"c","text":"\\ud800"}', None, ""),
        ("[" * 5_000, None, ""),
        ("[]", None, ""),
        ("null", None, ""),
        ("12", None, ""),
        ('{"id":"x"}', "x", "type"),
        ('{"id":"x","type":"nope"}', "x", "type"),
        ('{"id":"x","type":7}', "x", "type"),
        ('{"id":"x","type":"join"}', "x", "room"),
        ('{"id":"x","type":"join","room":"a.b"}', "x", "room"),
        ('{"id":"x","type":"join","room":"*"}', "x", "room"),
        ('{"id":"x","type":"join","room":">"}', "x", "room"),
        ('{"id":"x","type":"join","room":"a\\n"}', "x", "room"),
        ('{"id":"x","type":"join","room":""}', "x", "room"),
        ('{"id":"x","type":"join","room":["r"]}', "x", "room"),
        ('{"id":"x","type":"join","room":"r","after":"7"}', "x", "after"),
        ('{"id":"x","type":"join","room":"r","after":-1}', "x", "after"),
        ('{"id":"x","type":"join","room":"r","epoch":{}}', "x", "epoch"),
        ('{"id":"x","type":"playback","room":"r","action":"explode"}', "x", "action"),
        ('{"id":"x","type":"playback","room":"r","action":"deadline"}', "x", "action"),
        ('{"id":"x","type":"playback","room":"r","action":"seek"}', "x", ""),
        ('{"id":"x","type":"playback","room":"r","action":"seek","position":"12"}', "x", "position"),
        ('{"id":"x","type":"playback","room":"r","action":"seek","position":true}', "x", "position"),
        ('{"id":"x","type":"playback","room":"r","action":"seek","position":-0.1}', "x", "position"),
        ('{"id":"x","type":"playback","room":"r","action":"seek","position":NaN}', "x", "position"),
        ('{"id":"x","type":"playback","room":"r","action":"seek","position":1e999}', "x", "position"),
        ('{"id":"x","type":"playback","room":"r","action":"rate","rate":0}', "x", "rate"),
        ('{"id":"x","type":"playback","room":"r","action":"rate","rate":4.01}', "x", "rate"),
        ('{"id":"x","type":"playback","room":"r","action":"select","item":"a.*"}', "x", "item"),
        ('{"id":"x","type":"chat","room":"r","client_id":"c","text":""}', "x", "text"),
        ('{"id":"x","type":"chat","room":"r","client_id":"c","text":5}', "x", "text"),
        ('{"id":"x","type":"chat","room":"r","client_id":"a\\u0000b","text":"t"}', "x", "client_id"),
        ('{"id":"x","type":"chat","room":"r","text":"t"}', "x", "client_id"),
        ('{"id":"x","type":"danmaku","room":"r","client_id":"c","text":"t","color":"red"}', "x", "color"),
        ('{"id":"x","type":"danmaku","room":"r","client_id":"c","text":"t","mode":"spin"}', "x", "mode"),
        ('{"id":"x","type":"time","t0":"now"}', "x", "t0"),
        ('{"id":{},"type":"ping"}', None, "id"),
        ('{"id":true,"type":"ping"}', None, "id"),
    ],
)
def test_what_is_no_frame_is_refused_by_path_and_id(text: str, frame_id: str | None, path: str) -> None:
    """Whatever is wrong, the refusal is `invalid`, says where, and carries the id if there is one."""
    exc = refusal(text)

    assert exc.frame_id == frame_id
    assert exc.why.errors is not None
    assert path in {error["path"] for error in exc.why.errors}
    assert len(exc.why.detail) < 500


@pytest.mark.parametrize(("count", "fits"), [(2_000, True), (2_001, False)])
def test_chat_has_a_longest_text(count: int, fits: bool) -> None:
    """A chat message has up to 2,000 characters, whatever their size in bytes."""
    text = json.dumps({"type": "chat", "room": "r", "client_id": "c", "text": "é" * count})

    if fits:
        assert isinstance(parse(text), Chat)
    else:
        assert "text" in refusal(text).why.detail


@given(st.text())
def test_any_text_is_a_frame_or_refused(text: str) -> None:
    """No text makes the parser do anything but give a frame or a refusal."""
    assert code_of(text) in {None, ErrorCode.INVALID}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    ),
    st.sampled_from(frames.FRAME_TYPES),
    st.sampled_from(["room", "action", "position", "text", "client_id", "after", "t0", "token", "id"]),
)
def test_any_value_in_any_field_is_a_frame_or_refused(value: object, kind: str, name: str) -> None:
    """Whatever stands in whichever field, there is a frame or a refusal."""
    frame = {
        "type": kind,
        "room": "r",
        "client_id": "c",
        "text": "t",
        "t0": 1,
        "token": "t",
        "action": "play",
    }

    assert code_of(json.dumps({**frame, name: value})) in {None, ErrorCode.INVALID}


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_frames_are_framed_by_their_length(size: int, header: bytes) -> None:
    """A server's frame is whole, unmasked, with its length in one, three or nine bytes."""
    assert frames.frame(b"x" * size) == header + b"x" * size


def test_answers_carry_the_id_as_it_came() -> None:
    """The id goes back with its type; a frame without one gets an answer without one."""
    assert json.loads(frames.answer(7, Pong(type="pong"))[2:]) == {"type": "pong", "id": 7}
    assert json.loads(frames.answer("7", Pong(type="pong"))[2:]) == {"type": "pong", "id": "7"}
    assert json.loads(frames.answer(None, Pong(type="pong"))[2:]) == {"type": "pong"}


def test_errors_say_what_a_client_can_act_on() -> None:
    """Code and sentence always; when to try again and the current state where there are any."""
    plain = frames.error("a", Refused(ErrorCode.FORBIDDEN, "You may not."))
    whole = frames.error(
        None, Refused(ErrorCode.CONFLICT, "It moved on.", state={"revision": 3}, retry_after=2), room="r"
    )

    assert json.loads(plain[2:]) == {
        "type": "error",
        "id": "a",
        "code": "forbidden",
        "detail": "You may not.",
    }
    assert json.loads(whole[2:]) == {
        "type": "error",
        "code": "conflict",
        "detail": "It moved on.",
        "room": "r",
        "retry_after": 2,
        "state": {"revision": 3},
    }


def test_a_clock_sample_comes_back_as_it_was_sent() -> None:
    """t0 is the client's own: a whole number stays one."""
    frame = parse('{"type":"time","t0":1790000000000}')

    assert isinstance(frame, Time)
    assert isinstance(frame.t0, int)
