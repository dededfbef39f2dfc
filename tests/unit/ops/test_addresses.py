"""Addresses as a person opens them."""

import pytest

from ops.addresses import url_of


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::", "http://[::1]:8080"),
        ("fe80::1", "http://[fe80::1]:8080"),
        ("watch.example", "http://watch.example:8080"),
    ],
)
def test_a_listener_has_an_address_that_opens(host: str, url: str) -> None:
    """All addresses are named by loopback's, IPv6 stands in brackets."""
    assert url_of("http", host, 8080) == url
