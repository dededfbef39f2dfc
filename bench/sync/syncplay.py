"""Baseline: Syncplay, whose room is where its slowest watcher is. Facts from its sources; the code is ours."""

from __future__ import annotations

from typing import ClassVar, Final

from bench.sync.anchored import Anchor
from bench.sync.scheme import Place, Scheme, Wish
from bench.sync.world import Device, World


class Syncplay(Scheme):
    """One room."""

    name: ClassVar[str] = "Syncplay"
    _STATE_MS: Final = 1_000.0
    _REWIND_S: Final = 4.0
    _FORWARD_S: Final = 5.0
    _BEHIND_S: Final = 1.75
    _FORWARD_EXTRA_S: Final = 0.25
    _SUSTAINED_MS: Final = 3_000.0
    _SLOW_FROM_S: Final = 1.5
    _SLOW_TO_S: Final = 0.1
    _SLOW_RATE: Final = 0.95
    _EMA: Final = 0.85

    def __init__(self, world: World, devices: list[Device]) -> None:
        super().__init__(world, devices)
        self._set = Anchor()
        self._watchers: dict[int, Anchor] = {}
        self._rtt: dict[int, float] = {}
        self._behind_since: dict[int, float] = {}
        for device in devices:
            world.every(self._STATE_MS, lambda device=device: self._state(device, False))  # type: ignore[misc]

    def _position(self) -> float:
        now = self.world.now
        if now - self._set.at < self._STATE_MS:
            return self._set.now(now)
        watching = [self._watchers[one.number] for one in self.here if one.number in self._watchers]
        return min((one.now(now) for one in watching), default=self._set.now(now))

    def place(self) -> Place:
        """Where the room is now."""
        return Place(self._set.playing, self._position())

    def _age(self, device: Device) -> float:
        return self._rtt.get(device.number, 0.0) / 2 / 1_000

    def act(self, device: Device, wish: Wish, position: float) -> None:
        """A button was pressed."""
        now, player = self.world.now, device.player
        if wish == "seek":
            player.seek(position, now)
        elif wish == "play":
            player.play(now)
        else:
            player.pause(now)
        here, playing = player.read(now), not player.paused

        def at_server() -> None:
            age = self._age(device) if playing else 0.0
            self._set = Anchor(playing, here + age, self.world.now)
            for one in self.here:
                self._watchers[one.number] = self._set
                if one is not device:
                    self._state(one, wish == "seek")

        device.link.up(at_server)

    def join(self, device: Device) -> None:
        """Somebody came."""
        device.link.up(lambda: self._state(device, True))

    def resume(self, device: Device) -> None:
        """A connection is back."""
        device.link.up(lambda: self._state(device, False))

    def _state(self, device: Device, seek: bool) -> None:
        if not (device.present and device.awake):
            return
        playing, position, sent = self._set.playing, self._position(), self.world.now
        age = self._age(device) if playing else 0.0
        device.link.down(lambda: self._take(device, playing, position + age, seek, sent))

    def _take(self, device: Device, playing: bool, position: float, seek: bool, sent: float) -> None:
        now, player = self.world.now, device.player
        if player.paused == playing:
            if playing:
                player.play(now)
            else:
                player.pause(now)
                player.seek(position, now)
        ahead = player.read(now) - position
        self._behind(device, ahead)
        if seek or ahead > self._REWIND_S:
            player.seek(position, now)
        elif self._behind(device, ahead) and -ahead > self._FORWARD_S:
            player.seek(position + self._FORWARD_EXTRA_S, now)
        elif ahead > self._SLOW_FROM_S and player.rate == 1:
            player.set_rate(self._SLOW_RATE, now)
        elif ahead < self._SLOW_TO_S and player.rate != 1:
            player.set_rate(1.0, now)
        here, still = player.read(now), player.paused

        def at_server() -> None:
            rtt = self.world.now - sent
            average = self._rtt.get(device.number, rtt)
            self._rtt[device.number] = self._EMA * average + (1 - self._EMA) * rtt
            if now < self._set.at or still == self._set.playing:
                return  # older than the last command: Syncplay ignores these on the fly
            age = self._age(device) if self._set.playing else 0.0
            self._watchers[device.number] = Anchor(self._set.playing, here + age, self.world.now)

        device.link.up(at_server)

    def _behind(self, device: Device, ahead: float) -> bool:
        if -ahead <= self._BEHIND_S:
            self._behind_since.pop(device.number, None)
            return False
        since = self._behind_since.setdefault(device.number, self.world.now)
        return self.world.now - since >= self._SUSTAINED_MS
