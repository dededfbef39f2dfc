"""What an operator's hook may answer, and how it is told that it is us who ask."""

import json

import pytest

from runtime.hook_reply import ANSWER_MAX, HookDeniedError, read_answer, signature


@pytest.mark.parametrize("body", [b"0", b" 0\n", b'{"code":0}', b'{"code":0,"data":{"anything":[1]}}'])
def test_what_srs_takes_for_yes_allows(body: bytes) -> None:
    """The body `0`, or an object whose code is 0, whatever else is in it."""
    assert read_answer(200, body).code == 0


@pytest.mark.parametrize(
    "body",
    [
        b"", b"1", b"ok", b"null", b"[]", b"{}", b'{"code":true}', b'{"code":"0"}', b'{"code":0.5}',
        b'{"code":null}', b"\xff\xfe", b'{"code":0', b'{"code":0,"stream":"a.b"}', b'{"code":0,"stream":""}',
        b'{"code":0,"title":7}', b'{"code":0,"limits":{"viewers":1e400}}', b"[" * ANSWER_MAX,
    ],
)  # fmt: skip
def test_what_cannot_be_read_denies(body: bytes) -> None:
    """Whatever bytes come, the outcome is an answer or this error."""
    with pytest.raises(HookDeniedError):
        read_answer(200, body)


@pytest.mark.parametrize("status", [201, 204, 302, 400, 404, 500, 503])
def test_only_status_200_allows(status: int) -> None:
    """A body that says yes changes nothing about it."""
    with pytest.raises(HookDeniedError, match=str(status)):
        read_answer(status, b'{"code":0}')


def test_an_answer_over_its_bound_denies() -> None:
    """However much it says yes."""
    body = b'{"code":0}'
    assert read_answer(200, body.ljust(ANSWER_MAX)).code == 0

    with pytest.raises(HookDeniedError, match="64 KB"):
        read_answer(200, body.ljust(ANSWER_MAX + 1))


def test_a_reason_reaches_who_asked_without_what_would_write_elsewhere() -> None:
    """At most 200 printable characters of it."""
    body = json.dumps({"code": 7, "message": "pay\x1b[2J\n first" + "!" * 300}).encode()

    with pytest.raises(HookDeniedError) as denied:
        read_answer(200, body)

    assert denied.value.detail.startswith("pay[2J first!!!")
    assert len(denied.value.detail) == 200


def test_of_two_answers_the_later_counts_where_both_say_something() -> None:
    """What only the first says stays."""
    first = read_answer(200, b'{"code":0,"title":"one","limits":{"viewers":5}}')
    second = read_answer(200, b'{"code":0,"title":"two","stream":"s2"}')

    both = first.then(second)

    assert (both.title, both.stream) == ("two", "s2")
    assert both.limits is not None
    assert both.limits.viewers == 5


def test_the_signature_covers_time_and_body() -> None:
    """HMAC-SHA256 as anybody computes it; another time, body or secret is another signature."""
    one = signature("secret", "1700000000000", b'{"action":"on_publish"}')

    assert one == "sha256=762cfc0bbb6b9dddb3dc36040c11222dfd84f5bb338a15715e66b6c7c75a2612"
    others = {
        signature("secret", "1700000000001", b'{"action":"on_publish"}'),
        signature("secret", "1700000000000", b'{"action":"on_play"}'),
        signature("other", "1700000000000", b'{"action":"on_publish"}'),
    }
    assert one not in others
    assert len(others) == 3
