"""Addresses as a person or a program on this machine would open them."""

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - compared with, never bound


def url_of(scheme: str, host: str, port: int) -> str:
    """`http://127.0.0.1:8080`; a listener on all addresses is named by loopback's."""
    named = _ANY.get(host, host)
    return f"{scheme}://{f'[{named}]' if ':' in named else named}:{port}"
