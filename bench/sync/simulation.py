"""An evening in one room, simulated: the same people, machines and network for every scheme. Pure, seeded."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

from bench.sync.anchored import OpenTogetherTube, OpenWatchParty, SyncTvApp, SyncTvGo
from bench.sync.jellyfin import Jellyfin
from bench.sync.matinee import Matinee
from bench.sync.scheme import Scheme, Wish
from bench.sync.syncplay import Syncplay
from bench.sync.world import Conditions, Device, World
from bench.tables import percentile

SCHEMES: Final[tuple[type[Scheme], ...]] = (
    Matinee, Jellyfin, OpenTogetherTube, Syncplay, OpenWatchParty, SyncTvGo, SyncTvApp,
)  # fmt: skip

CONVERGED_S: Final = 0.1
"""Together means this near, with a moving picture, for a second on end."""
_STAYS_MS: Final = 1_000.0
NEVER_S: Final = 30.0
"""Who is not together by then counts with this."""
_STEADY_AFTER_MS: Final = 10_000.0
"""After a command, and after someone's own join or waking, what follows is no steady state for so long."""
_FREE_SEEK_MS: Final = 10_000.0
"""A command, a join and a waking each give one seek that is not held against the scheme."""
_START_MS: Final = 2_000.0
_SAMPLE_MS: Final = 100.0


@dataclass(slots=True)
class Figures:
    """What came out: errors in s, one for each member and sample."""

    errors: list[float] = field(default_factory=list)
    hard_seeks: int = 0
    member_hours: float = 0.0
    stall_s: float = 0.0
    """The picture stood though people wished to see it move, all members together; two seconds after a command,
    join or waking are left to the columns of convergence."""
    converged: dict[str, list[float]] = field(
        default_factory=lambda: {"seek": [], "play": [], "join": [], "wake": []}
    )

    def error(self, share: float) -> float:
        """Percentile of the error, ms."""
        return percentile(self.errors, share) * 1_000

    def convergence(self, what: str) -> float:
        """p95 of the seconds until together again."""
        return percentile(self.converged[what], 0.95)

    @property
    def seeks_per_hour(self) -> float:
        """Hard seeks per member and hour."""
        return self.hard_seeks / self.member_hours

    @property
    def stall_per_hour(self) -> float:
        """Seconds of standing picture per member and hour."""
        return self.stall_s / self.member_hours


@dataclass(slots=True)
class _Trial:
    """Somebody on his way to being together again."""

    what: str
    since: float
    good_since: float | None = None


class _Evening:
    """Runs one scheme and watches it from outside, where true time is known."""

    def __init__(self, scheme: type[Scheme], conditions: Conditions, members: int, seed: int) -> None:
        self.world = World(seed)
        self.devices = [Device(number, self.world, conditions) for number in range(members)]
        self.scheme = scheme(self.world, self.devices)
        self.figures = Figures()
        self._seed = seed
        self._wished = False
        self._commanded = 0.0
        self._since = dict.fromkeys(range(members), 0.0)
        self._trials: dict[int, _Trial] = {}
        self._free = dict.fromkeys(range(members), -1.0)
        self._seen = dict.fromkeys(range(members), 0)
        self._sample_number = 0

    def run(self, seconds: float) -> Figures:
        """The whole evening."""
        self._write_script(seconds)
        self.world.every(_SAMPLE_MS, self._sample)
        self.world.run(seconds * 1_000)
        return self.figures

    def _write_script(self, seconds: float) -> None:
        """Who comes, acts, loses the network and sleeps when; drawn from a lot of its own, so the same for all."""
        lot, world, end = random.Random(self._seed), self.world, seconds * 1_000
        late = max(1, len(self.devices) // 4)
        for device in self.devices:
            comes = lot.uniform(0.15, 0.8) * end if device.number >= len(self.devices) - late else 0.0
            world.at(comes + lot.uniform(300, 900), lambda device=device: self._come(device))  # type: ignore[misc]
            lost = comes + lot.uniform(0.1, 0.9) * (end - comes)
            if lot.random() < min(1.0, seconds / 3_600):
                for_ms = lot.uniform(1_000, 8_000)
                world.at(lost, lambda device=device, for_ms=for_ms: self._break(device, for_ms))  # type: ignore[misc]
            # Somebody has to be there who acts.
            if device.number > 0 and (device.number <= late or lot.random() < seconds / 3_600):
                sleeps = comes + lot.uniform(0.2, 0.8) * (end - comes)
                world.at(sleeps, lambda device=device: self._sleep(device, 60_000))  # type: ignore[misc]
        world.at(5_000, lambda: self._act("play", 0.0))
        at = 60_000.0
        while at < end - 30_000:
            to = lot.uniform(0, 7_000)
            world.at(at, lambda to=to: self._act("seek", to))  # type: ignore[misc]
            world.at(at + 150_000, lambda: self._act("pause", 0.0))
            world.at(at + 165_000, lambda: self._act("play", 0.0))
            at += 400_000

    def _act(self, wish: Wish, position: float) -> None:
        actor = next(
            device for device in self.devices if device.present and device.link.open and device.awake
        )
        if wish != "seek":
            self._wished = wish == "play"
        self._commanded = self.world.now
        self.scheme.act(actor, wish, position)
        for device in self.devices:
            if device.present and device.awake:
                self._free[device.number] = self.world.now + _FREE_SEEK_MS
                if wish != "pause":
                    self._trials[device.number] = _Trial(wish, self.world.now)
                else:
                    self._trials.pop(device.number, None)

    def _come(self, device: Device) -> None:
        device.present = True
        device.link.connect()
        self._begin(device, "join")
        self.scheme.join(device)

    def _begin(self, device: Device, what: str) -> None:
        now = self.world.now
        self._since[device.number] = now
        self._free[device.number] = now + _FREE_SEEK_MS
        if self._wished:
            self._trials[device.number] = _Trial(what, now)

    def _break(self, device: Device, for_ms: float) -> None:
        if not device.awake:
            return
        device.link.lose()

        def again() -> None:
            if device.awake:
                device.link.connect()
                self.scheme.resume(device)

        self.world.after(for_ms, again)

    def _sleep(self, device: Device, for_ms: float) -> None:
        device.awake = False
        device.link.lose()
        playing = not device.player.paused
        device.player.pause(self.world.now)
        self._trials.pop(device.number, None)

        def wake() -> None:
            device.awake = True
            device.slept_ms += for_ms
            if playing:
                device.player.play(self.world.now)
            device.link.connect()
            self._begin(device, "wake")
            self.scheme.wake(device)

        self.world.after(for_ms, wake)

    def _sample(self) -> None:
        now, place = self.world.now, self.scheme.place()
        self._sample_number += 1
        calm = now - self._commanded > _STEADY_AFTER_MS
        for device in self.devices:
            if not (device.present and device.awake):
                continue
            number, player = device.number, device.player
            self._count_seeks(number, player.seeks)
            self.figures.member_hours += _SAMPLE_MS / 3_600_000
            moving = player.moving(now)
            if self._wished and not moving and now - max(self._commanded, self._since[number]) > _START_MS:
                self.figures.stall_s += _SAMPLE_MS / 1_000
            if not self._wished:
                continue
            error = abs(player.position(now) - place.position)
            if (trial := self._trials.get(number)) is not None:
                together = error <= CONVERGED_S and moving and place.playing
                self._follow(number, trial, together)
            if (
                calm
                and place.playing
                and now - self._since[number] > _STEADY_AFTER_MS
                and self._sample_number % 2
            ):
                self.figures.errors.append(error)

    def _count_seeks(self, number: int, seeks: int) -> None:
        for _ in range(seeks - self._seen[number]):
            if self.world.now <= self._free[number]:
                self._free[number] = -1.0
            else:
                self.figures.hard_seeks += 1
        self._seen[number] = seeks

    def _follow(self, number: int, trial: _Trial, together: bool) -> None:
        now = self.world.now
        if not together:
            trial.good_since = None
        elif trial.good_since is None:
            trial.good_since = now
        if trial.good_since is not None and now - trial.good_since >= _STAYS_MS:
            self.figures.converged[trial.what].append((trial.good_since - trial.since) / 1_000)
        elif now - trial.since >= NEVER_S * 1_000:
            self.figures.converged[trial.what].append(NEVER_S)
        else:
            return
        del self._trials[number]


def simulate(
    scheme: type[Scheme], conditions: Conditions, *, members: int = 20, seconds: float = 3_600, seed: int = 1
) -> Figures:
    """One evening with that scheme; the same seed gives the same evening to the last digit."""
    return _Evening(scheme, conditions, members, seed).run(seconds)
