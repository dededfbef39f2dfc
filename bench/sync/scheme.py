"""What the simulation asks of a way to keep a room together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, NamedTuple

from bench.sync.world import Device, World

Wish = Literal["play", "pause", "seek"]


class Place(NamedTuple):
    """Where the room is now by its own account: everybody is measured against that."""

    playing: bool
    """Whether it moves now: false too before a scheduled start and while the room waits."""
    position: float


class Scheme(ABC):
    """A server and its clients. Devices are told apart by identity; `world.now` is the server's clock."""

    name: ClassVar[str]

    def __init__(self, world: World, devices: list[Device]) -> None:
        self.world = world
        self.devices = devices

    @property
    def here(self) -> list[Device]:
        """Who can be told something."""
        return [device for device in self.devices if device.present and device.link.open]

    @abstractmethod
    def place(self) -> Place:
        """Where the room is now."""

    @abstractmethod
    def act(self, device: Device, wish: Wish, position: float) -> None:
        """Its user pressed a button."""

    @abstractmethod
    def join(self, device: Device) -> None:
        """It opened the room, its player has its first data; the connection is open."""

    def resume(self, device: Device) -> None:
        """Its connection is open again after a loss."""
        self.join(device)

    def wake(self, device: Device) -> None:
        """It woke from sleep, and its connection is open again."""
        self.join(device)
