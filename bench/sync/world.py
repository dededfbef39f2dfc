"""A room's world in simulation: one true time, devices with clocks of their own, a network between. Pure, seeded."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bench.sync.clock import TimeSample
from bench.sync.player import SimPlayer

EPOCH_MS: Final = 1_700_000_000_000.0
"""The server's clock at true time 0."""
_RETRANSMIT_MS: Final = 200.0
"""What a lost segment costs over a round trip: TCP's least time-out."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the simulated people live with."""

    rtt_ms: float = 100.0
    jitter_ms: float = 50.0
    """The round trip lies within ± this, drawn for each direction of each message by itself."""
    loss: float = 0.01
    skew_ms: float = 3_600_000.0
    """Clocks are wrong by up to this."""
    drift_ppm: float = 60.0
    media_ppm: float = 60.0
    """By which a player's own clock is off."""
    stalls_per_hour: float = 2.0
    stall_median_s: float = 0.6


class World:
    """Events in the order of true time, ms."""

    def __init__(self, seed: int) -> None:
        self.lot = random.Random(seed)
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Do this then, or now if that has passed."""
        self._number += 1
        heapq.heappush(self._events, (max(when, self.now), self._number, act))

    def after(self, ms: float, act: Callable[[], None]) -> None:
        """Do this so much later."""
        self.at(self.now + ms, act)

    def every(self, ms: float, act: Callable[[], None]) -> None:
        """Do this again and again, from a phase of its own, as late as timers are."""

        def again() -> None:
            act()
            self.after(ms + self.lot.uniform(0, 4), again)

        self.after(self.lot.uniform(0, ms), again)

    def run(self, until: float) -> None:
        """Let time go on."""
        while self._events and self._events[0][0] <= until:
            self.now, _, act = heapq.heappop(self._events)
            act()
        self.now = until


class Link:
    """One member's connection: delays drawn per message, losses sent again, the order kept."""

    def __init__(self, world: World, conditions: Conditions) -> None:
        self._world = world
        self._conditions = conditions
        self._last = [0.0, 0.0]
        self.open = False
        self.generation = 0

    def _arrival(self, way: int) -> float:
        world, given = self._world, self._conditions
        delay = (given.rtt_ms + world.lot.uniform(-given.jitter_ms, given.jitter_ms)) / 2
        while world.lot.random() < given.loss:
            delay += given.rtt_ms + _RETRANSMIT_MS
        self._last[way] = max(self._last[way], world.now + delay)
        return self._last[way]

    def _send(self, way: int, act: Callable[[], object]) -> None:
        if not self.open:
            return
        generation = self.generation

        def deliver() -> None:
            if self.open and self.generation == generation:
                act()

        self._world.at(self._arrival(way), deliver)

    def up(self, act: Callable[[], object]) -> None:
        """Reach the server; never, if the connection breaks first."""
        self._send(0, act)

    def down(self, act: Callable[[], object]) -> None:
        """Reach the member; never, if the connection breaks first."""
        self._send(1, act)

    def connect(self) -> None:
        """From now on messages pass."""
        self.open = True
        self.generation += 1
        self._last = [self._world.now, self._world.now]

    def lose(self) -> None:
        """What is on its way is lost."""
        self.open = False


class Device:
    """A member's machine: a clock that is wrong, a player, a connection."""

    def __init__(self, number: int, world: World, conditions: Conditions) -> None:
        lot = world.lot
        self.number = number
        self.world = world
        self.link = Link(world, conditions)
        self.player = SimPlayer(
            world.lot.getrandbits(32),
            error=lot.uniform(-1, 1) * conditions.media_ppm * 1e-6,
            stalls_per_hour=conditions.stalls_per_hour,
            stall_median_s=conditions.stall_median_s,
        )
        self.awake = True
        self.present = False
        self._skew = lot.uniform(-1, 1) * conditions.skew_ms
        self._rate = 1 + lot.uniform(-1, 1) * conditions.drift_ppm * 1e-6
        self.slept_ms = 0.0

    def wall(self) -> float:
        """`Date.now()`: wrong, but it goes on in sleep. ms."""
        return EPOCH_MS + self._skew + self.world.now * self._rate

    def monotonic(self) -> float:
        """`performance.timeOrigin + performance.now()`: wrong, and it stops in sleep. ms."""
        return EPOCH_MS + self._skew + (self.world.now - self.slept_ms) * self._rate

    def when(self, clock: Callable[[], float], local: float) -> float:
        """True time at which that clock of this device shows `local`."""
        return self.world.now + (local - clock()) / self._rate

    def ping(self, clock: Callable[[], float], take: Callable[[TimeSample], object]) -> None:
        """One exchange of times with the server."""
        asked = clock()

        def at_server() -> None:
            there = EPOCH_MS + self.world.now
            self.link.down(lambda: take(TimeSample(asked, there, there, clock())))

        self.link.up(at_server)
