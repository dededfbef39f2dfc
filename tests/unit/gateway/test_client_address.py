"""Whose request it is, behind proxies or not."""

import pytest

from gateway.client_address import ClientAddresses


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("198.51.100.9", "203.0.113.7", "198.51.100.9"),
        ("10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "1.2.3.4, 203.0.113.7, 10.0.0.2", "203.0.113.7"),
        ("10.0.0.1", "rubbish", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7, rubbish, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "10.0.0.3", "10.0.0.3"),
        ("::1", "2001:db8::7", "2001:db8::7"),
        ("", "203.0.113.7", ""),
    ],
)
def test_forwarded_addresses_count_from_trusted_proxies_alone(
    peer: str, forwarded: str | None, client: str
) -> None:
    """The last hop that is no proxy of ours; what anybody may write in front of it is not believed."""
    assert ClientAddresses(("10.0.0.0/8", "::1/128")).resolve(peer, forwarded) == client


def test_without_trusted_proxies_the_peer_is_the_client() -> None:
    """The default."""
    assert ClientAddresses(()).resolve("127.0.0.1", "203.0.113.7") == "127.0.0.1"


def test_a_network_that_is_none_is_named() -> None:
    """At start, not at the first request."""
    with pytest.raises(ValueError, match=r"proxy\.example"):
        ClientAddresses(("proxy.example",))
