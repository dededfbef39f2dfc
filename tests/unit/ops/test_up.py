"""What `matinee up` prints when everything serves."""

from pathlib import Path

from ops.data_directory import Endpoints
from ops.supervisor import Ready
from ops.up import banner
from runtime.settings import Settings


def printed(*, rtmps: str | None = None, password: str | None = None, **gateway: str) -> list[str]:
    endpoints = Endpoints("nats://n", "postgresql://p", "redis://r", "http://h:8080")
    ready = Ready("http://h:8080", "rtmp://h:1935/live", rtmps, "http://h:9090/metrics", endpoints)
    settings = Settings.model_validate({"gateway": gateway})
    return banner(ready, settings, Path("/somewhere"), password).splitlines()


def test_the_addresses_are_printed() -> None:
    """Those that the operator set for the public stand in place of our own."""
    own = printed()
    public = printed(public_url="https://watch.example", public_rtmp_url="rtmp://watch.example/live")

    assert "  Watch together   http://h:8080/" in own
    assert any(line.startswith("  Publish to       rtmp://h:1935/live ") for line in own)
    assert "  Watch together   https://watch.example/" in public
    assert any(line.startswith("  Publish to       rtmp://watch.example/live ") for line in public)


def test_the_encrypted_address_is_printed_where_there_is_one() -> None:
    """And nothing about it where no certificate is set."""
    assert "  or encrypted     rtmps://h:1936/live" in printed(rtmps="rtmps://h:1936/live")
    assert not any("encrypted" in line for line in printed())


def test_the_first_password_is_printed_once() -> None:
    """Only where an account was made."""
    assert any("password hunter22" in line for line in printed(password="hunter22"))
    assert not any("password" in line for line in printed())
