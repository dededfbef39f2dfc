"""What the three embedded servers have in common, as their supervisor sees them."""

from typing import Protocol

from ops.embedded.launch import Launch


class EmbeddedServer(Protocol):
    """A server below the data directory: prepared once, started as often as needed, always on one port."""

    @property
    def name(self) -> str:
        """What it is: nats, postgres or redis."""

    @property
    def port(self) -> int:
        """Its port on loopback."""

    def prepare(self) -> None:
        """Make its folder and configuration; safe to call again. Raises OperatorError."""

    def launch(self) -> Launch:
        """How to start its program."""

    def is_ready(self) -> bool:
        """Ask it over its own protocol whether it serves; takes at most the probe timeout, never raises."""

    def url(self) -> str:
        """The address for clients, with its password."""
