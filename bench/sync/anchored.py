"""Baselines whose server holds an anchor: OpenTogetherTube, SyncTV (both generations), OpenWatchParty.

Rules and constants are facts read from their sources; the code is ours, and each gets the same players, network
and people as we do. Where a rule was not clear the reading that serves the scheme better is taken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Final

from bench.sync.clock import TimeSample
from bench.sync.scheme import Place, Scheme, Wish
from bench.sync.world import EPOCH_MS, Device, World


@dataclass(slots=True)
class Anchor:
    """Where the room was at a moment of true time, ms, and whether it runs from there."""

    playing: bool = False
    position: float = 0.0
    at: float = 0.0

    def now(self, true: float) -> float:
        """Position at that true time; before `at` it stands."""
        return self.position + (max(0.0, true - self.at) / 1_000 if self.playing else 0.0)


@dataclass(slots=True)
class Offset:
    """Server minus local as the least delayed of the last exchanges says, ms."""

    keep: int
    samples: list[tuple[float, float]] = field(default_factory=list)

    def add(self, sample: TimeSample) -> None:
        """Take one exchange in."""
        delay = (sample.t3 - sample.t0) - (sample.t2 - sample.t1)
        self.samples.append((delay, (sample.t1 - sample.t0 + sample.t2 - sample.t3) / 2))
        del self.samples[: -self.keep]

    @property
    def value(self) -> float:
        """The offset, 0 before the first exchange."""
        return min(self.samples)[1] if self.samples else 0.0


class Anchored(Scheme):
    """The part they share."""

    def __init__(self, world: World, devices: list[Device]) -> None:
        super().__init__(world, devices)
        self.anchor = Anchor()

    def place(self) -> Place:
        """Where the room is now."""
        now = self.world.now
        return Place(self.anchor.playing and now >= self.anchor.at, self.anchor.now(now))

    def move(self, wish: Wish, position: float, at: float) -> None:
        """The anchor after a wish that takes effect then."""
        here = self.anchor.now(at)
        if wish == "seek":
            self.anchor = Anchor(self.anchor.playing, position, at)
        else:
            self.anchor = Anchor(wish == "play", here, at)


class OpenTogetherTube(Anchored):
    """State changes after a debounce of 50 ms; clients extrapolate from receipt and seek when off by over 1 s."""

    name: ClassVar[str] = "OpenTogetherTube"
    _DEBOUNCE_MS: Final = 50.0
    _CHECK_MS: Final = 250.0
    _SEEK_S: Final = 1.0

    def __init__(self, world: World, devices: list[Device]) -> None:
        super().__init__(world, devices)
        self._heard: dict[int, Anchor] = {}
        for device in devices:
            world.every(self._CHECK_MS, lambda device=device: self._check(device))  # type: ignore[misc]

    def act(self, device: Device, wish: Wish, position: float) -> None:
        """A button was pressed."""
        device.link.up(lambda: self._change(wish, position))

    def _change(self, wish: Wish, position: float) -> None:
        self.move(wish, position, self.world.now)
        for device in self.here:
            self.world.after(self._DEBOUNCE_MS, lambda device=device: self.join(device))  # type: ignore[misc]

    def join(self, device: Device) -> None:
        """Somebody came."""
        told = (self.anchor.playing, self.anchor.now(self.world.now))
        device.link.down(lambda: self._take(device, *told))

    def _take(self, device: Device, playing: bool, position: float) -> None:
        self._heard[device.number] = Anchor(playing, position, self.world.now)
        now = self.world.now
        if playing:
            device.player.play(now)
        else:
            device.player.pause(now)
        self._check(device)

    def _check(self, device: Device) -> None:
        heard, now = self._heard.get(device.number), self.world.now
        if heard is None or not device.awake or device.player.seeking(now):
            return
        wanted = heard.now(now)
        if abs(wanted - device.player.read(now)) > self._SEEK_S:
            device.player.seek(wanted, now)


class SyncTvGo(Anchored):
    """Clients act at once and send position and wall clock; the server corrects by the age it believes, 0 to 1.5 s."""

    name: ClassVar[str] = "SyncTV (Go)"
    _AGE_MAX_S: Final = 1.5
    _IGNORED_S: Final = 2.0
    _POLL_MS: Final = 10_000.0
    _POLL_TOLERANCE_S: Final = 10.0

    def __init__(self, world: World, devices: list[Device]) -> None:
        super().__init__(world, devices)
        for device in devices:
            world.every(self._POLL_MS, lambda device=device: self._poll(device))  # type: ignore[misc]

    def _age(self, wall: float) -> float:
        return min(max(EPOCH_MS + self.world.now - wall, 0.0) / 1_000, self._AGE_MAX_S)

    def act(self, device: Device, wish: Wish, position: float) -> None:
        """A button was pressed."""
        now, wall, player = self.world.now, device.wall(), device.player
        if wish == "seek":
            player.seek(position, now)
        elif wish == "play":
            player.play(now)
        else:
            player.pause(now)
        playing, here = not player.paused, player.read(now)
        device.link.up(lambda: self._status(device, playing, here, wall))

    def _status(self, sender: Device, playing: bool, position: float, wall: float) -> None:
        self.anchor = Anchor(playing, position + (self._age(wall) if playing else 0.0), self.world.now)
        for device in self.here:
            if device is not sender:
                self.join(device)

    def join(self, device: Device) -> None:
        """Somebody came."""
        told = (self.anchor.playing, self.anchor.now(self.world.now))
        device.link.down(lambda: self._take(device, *told))

    def _take(self, device: Device, playing: bool, position: float) -> None:
        now = self.world.now
        if abs(position - device.player.read(now)) >= self._IGNORED_S:
            device.player.seek(position, now)
        if playing:
            device.player.play(now)
        else:
            device.player.pause(now)

    def _poll(self, device: Device) -> None:
        if not (device.present and device.awake):
            return
        here, wall = device.player.read(self.world.now), device.wall()

        def at_server() -> None:
            believed = here + (self._age(wall) if self.anchor.playing else 0.0)
            if abs(self.anchor.now(self.world.now) - believed) > self._POLL_TOLERANCE_S:
                self.join(device)

        device.link.up(at_server)


class SyncTvApp(Anchored):
    """One time exchange; each 2 s a seek when off by over 1.2 s; no rate."""

    name: ClassVar[str] = "SyncTV (Rust, app)"
    _TIMER_MS: Final = 2_000.0
    _SEEK_S: Final = 1.2

    def __init__(self, world: World, devices: list[Device]) -> None:
        super().__init__(world, devices)
        self._heard: dict[int, Anchor] = {}
        self._offset = {device.number: Offset(1) for device in devices}
        for device in devices:
            world.every(self._TIMER_MS, lambda device=device: self._check(device))  # type: ignore[misc]

    def act(self, device: Device, wish: Wish, position: float) -> None:
        """A button was pressed."""
        sent = device.wall() + self._offset[device.number].value - EPOCH_MS

        def at_server() -> None:
            # The message's age by the synchronised clock is made good, when it is positive.
            self.move(wish, position, min(sent, self.world.now))
            for one in self.here:
                self._tell(one)

        device.link.up(at_server)

    def join(self, device: Device) -> None:
        """Somebody came."""
        device.ping(device.wall, self._offset[device.number].add)
        device.link.up(lambda: self._tell(device))

    def _tell(self, device: Device) -> None:
        anchor = self.anchor
        device.link.down(lambda: self._take(device, anchor))

    def _take(self, device: Device, anchor: Anchor) -> None:
        self._heard[device.number] = anchor
        now = self.world.now
        if anchor.playing:
            device.player.play(now)
        else:
            device.player.pause(now)
        self._check(device)

    def _check(self, device: Device) -> None:
        heard, now = self._heard.get(device.number), self.world.now
        if heard is None or not (device.awake and device.present) or device.player.seeking(now):
            return
        wanted = heard.now(device.wall() + self._offset[device.number].value - EPOCH_MS)
        if abs(wanted - device.player.read(now)) > self._SEEK_S:
            device.player.seek(wanted, now)


class OpenWatchParty(Anchored):
    """Scheduled acts, a host whose player is the truth, rate by the root of the drift, seeks from 2 s."""

    name: ClassVar[str] = "OpenWatchParty"
    _PLAY_MS: Final = 1_000.0
    _CONTROL_MS: Final = 300.0
    _LEAD_S: Final = 0.3
    _LOOP_MS: Final = 500.0
    _DEAD_S: Final = 0.04
    _SEEK_S: Final = 2.0
    _RATES: Final = (0.85, 2.0)
    _GAIN: Final = 0.5
    _COOL_MS: Final = 8_000.0
    _COOL_MOST_MS: Final = 30_000.0
    _COOL_EXIT_S: Final = 0.5
    _COOL_SEEK_S: Final = 10.0
    _REPORT_MS: Final = 500.0
    _JITTER_S: Final = 0.5
    _QUIET_MS: Final = 2_000.0
    _PING_MS: Final = 10_000.0

    def __init__(self, world: World, devices: list[Device]) -> None:
        super().__init__(world, devices)
        self._host = devices[0]
        self._commanded = -math.inf
        self._heard: dict[int, Anchor] = {}
        self._joined: dict[int, float] = {}
        self._offset = {device.number: Offset(8) for device in devices}
        for device in devices:
            world.every(self._LOOP_MS, lambda device=device: self._check(device))  # type: ignore[misc]
            world.every(self._PING_MS, lambda device=device: self._ping(device))  # type: ignore[misc]
        world.every(self._REPORT_MS, self._report)

    def _ping(self, device: Device) -> None:
        if device.awake:
            device.ping(device.wall, self._offset[device.number].add)

    def _server(self, device: Device) -> float:
        return device.wall() + self._offset[device.number].value - EPOCH_MS

    def act(self, device: Device, wish: Wish, position: float) -> None:
        """A button was pressed."""
        device.link.up(lambda: self._change(wish, position))

    def _change(self, wish: Wish, position: float) -> None:
        self._commanded = self.world.now
        ahead = self._PLAY_MS if wish == "play" else self._CONTROL_MS
        self.move(wish, position, self.world.now + ahead)
        for device in self.here:
            self._tell(device)

    def _tell(self, device: Device) -> None:
        anchor = self.anchor
        device.link.down(lambda: self._take(device, anchor))

    def join(self, device: Device) -> None:
        """Somebody came."""
        self._ping(device)
        if device.number not in self._joined:
            for turn in range(1, 8):
                self.world.after(turn * 300.0, lambda: self._ping(device))
        self._joined[device.number] = self.world.now
        device.link.up(lambda: self._tell(device))

    def _take(self, device: Device, anchor: Anchor) -> None:
        before = self._heard.get(device.number)
        self._heard[device.number] = anchor
        if (
            before is not None
            and before.playing == anchor.playing
            and self.world.now - self._commanded > 1_000
        ):
            return  # the host's report: the loop deals with it
        late = self._server(device) - anchor.at

        def begin() -> None:
            if self._heard.get(device.number) is not anchor or not device.awake:
                return
            now = self.world.now
            lead = self._LEAD_S if anchor.playing and late > 0 else 0.0
            wanted = anchor.now(self._server(device)) + lead
            if abs(wanted - device.player.read(now)) > (self._SEEK_S if late > 0 else self._DEAD_S):
                device.player.seek(wanted, now)
            if anchor.playing:
                device.player.play(now)
            else:
                device.player.pause(now)

        self.world.after(max(0.0, -late), begin)

    def _report(self) -> None:
        host = self._host
        if not (host.present and host.awake) or not self.anchor.playing:
            return
        if self.world.now - self._commanded < self._QUIET_MS or not host.player.moving(self.world.now):
            return
        here = host.player.read(self.world.now)

        def at_server() -> None:
            back = self.anchor.now(self.world.now) - here
            if self.world.now - self._commanded < self._QUIET_MS or 0 <= back < self._JITTER_S:
                return
            self.anchor = Anchor(True, here, self.world.now)
            for device in self.here:
                self._tell(device)

        host.link.up(at_server)

    def _check(self, device: Device) -> None:
        heard, now, player = self._heard.get(device.number), self.world.now, device.player
        if heard is None or device is self._host or not (device.awake and device.present):
            return
        if player.paused or player.seeking(now) or player.stalled(now):
            return
        drift = heard.now(self._server(device)) - player.read(now)
        since = now - self._joined[device.number]
        cooling = since < self._COOL_MS or (since < self._COOL_MOST_MS and abs(drift) >= self._COOL_EXIT_S)
        if abs(drift) >= (self._COOL_SEEK_S if cooling else self._SEEK_S):
            player.seek(heard.now(self._server(device)) + self._LEAD_S, now)
            rate = 1.0
        elif cooling or abs(drift) < self._DEAD_S:
            rate = 1.0
        else:
            rate = 1 + math.copysign(math.sqrt(abs(drift)) * self._GAIN, drift)
        rate = min(max(rate, self._RATES[0]), self._RATES[1])
        if rate != player.rate:
            player.set_rate(rate, now)
