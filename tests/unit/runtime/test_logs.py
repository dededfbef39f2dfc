"""Logs carry no secrets."""

import json

import pytest

from runtime import logs, trace
from runtime.settings import LogSettings


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nats://matinee:hunter2@127.0.0.1:4222", "nats://***@127.0.0.1:4222"),
        ("postgresql://u:p%40ss@db/x failed", "postgresql://***@db/x failed"),
        ("/live/abc.flv?token=eyJhbGciOi.x.y&x=1", "/live/abc.flv?token=***&x=1"),
        ("PASSWORD=hunter2 user=ada", "PASSWORD=*** user=ada"),
        ("stream_key=abc key=def secret=ghi", "stream_key=*** key=*** secret=***"),
        ("nothing to hide, monkey=1", "nothing to hide, monkey=1"),
        ("http://example.org/a:b", "http://example.org/a:b"),
    ],
)
def test_secrets_are_starred_out(text: str, shown: str) -> None:
    """Passwords in addresses, tokens and keys in queries; the rest stays readable."""
    assert logs.redact(text) == shown


def test_a_line_is_json_with_kind_node_and_trace(capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line, redacted, on standard error; what is below the level is not written."""
    logs.configure(LogSettings(), kind="sync", node="n1")
    try:
        trace.enter("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

        logs.get_logger("test").info("connected", url="nats://a:b@c")
        logs.get_logger("test").debug("unheard")

        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        line = json.loads(lines[0])
        assert (line["event"], line["level"], line["url"]) == ("connected", "info", "nats://***@c")
        assert (line["kind"], line["node"], line["where"]) == ("sync", "n1", "test")
        assert line["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    finally:
        import structlog

        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
