"""Baseline: Jellyfin SyncPlay with its correction switched on (it ships switched off).

Facts from its sources: a group state machine that waits for everybody after each seek, join and long stall;
unpausing is scheduled; clocks by the least delayed of 8 exchanges. The code is ours.
"""

from __future__ import annotations

from typing import ClassVar, Final

from bench.sync.anchored import Anchor, Anchored, Offset
from bench.sync.scheme import Wish
from bench.sync.world import EPOCH_MS, Device, World


class Jellyfin(Anchored):
    """One group."""

    name: ClassVar[str] = "Jellyfin SyncPlay"
    _LEAD_MS: Final = 500.0
    _STALL_REPORTED_MS: Final = 3_000.0
    _OFFSET_TOLERANCE_S: Final = 0.5
    _CHECK_MS: Final = 250.0
    _SETTLE_MS: Final = 1_500.0
    _RATE_FROM_S: Final = 0.06
    _RATE_TO_S: Final = 3.0
    _RATE_FLOOR: Final = 0.2
    _RATE_MS: Final = 1_000.0
    _GREEDY: Final = 3
    _GREEDY_MS: Final = 1_000.0
    _PING_MS: Final = 60_000.0

    def __init__(self, world: World, devices: list[Device]) -> None:
        super().__init__(world, devices)
        self._waiting_for: set[int] = set()
        self._resume = False
        self._heard: dict[int, Anchor] = {}
        self._quiet_until = {device.number: 0.0 for device in devices}
        self._stalled_since: dict[int, float] = {}
        self._ping_ms = {device.number: 0.0 for device in devices}
        self._offset = {device.number: Offset(8) for device in devices}
        for device in devices:
            world.every(self._CHECK_MS, lambda device=device: self._check(device))  # type: ignore[misc]
            world.every(self._PING_MS, lambda device=device: self._ping(device))  # type: ignore[misc]

    def _ping(self, device: Device) -> None:
        if device.awake:
            device.ping(device.wall, self._offset[device.number].add)
            best = min(self._offset[device.number].samples, default=(0.0, 0.0))[0]
            self._ping_ms[device.number] = best

    def _server(self, device: Device) -> float:
        return device.wall() + self._offset[device.number].value - EPOCH_MS

    def act(self, device: Device, wish: Wish, position: float) -> None:
        """A button was pressed."""
        device.link.up(lambda: self._change(wish, position))

    def _change(self, wish: Wish, position: float) -> None:
        if wish == "play":
            self._unpause()
        elif wish == "pause":
            self._resume = False
            self._send(Anchor(False, self.anchor.now(self.world.now), self.world.now))
        else:
            self._resume = self.anchor.playing or self._resume
            self._wait(position)

    def _wait(self, position: float) -> None:
        """Everybody stands at that position until all are ready."""
        self._waiting_for = {device.number for device in self.here}
        self._send(Anchor(False, position, self.world.now))

    def _unpause(self) -> None:
        highest = max(self._ping_ms[device.number] for device in self.here)
        self._waiting_for = set()
        ahead = max(2 * highest, self._LEAD_MS)
        self._send(Anchor(True, self.anchor.now(self.world.now), self.world.now + ahead))

    def _send(self, anchor: Anchor) -> None:
        self.anchor = anchor
        for device in self.here:
            device.link.down(lambda device=device: self._take(device, anchor))  # type: ignore[misc]

    def _ready(self, device: Device) -> None:
        self._waiting_for.discard(device.number)
        self._waiting_for &= {one.number for one in self.here}
        if not self._waiting_for and self._resume:
            self._resume = False
            self._unpause()

    def join(self, device: Device) -> None:
        """Somebody came."""
        for turn in range(self._GREEDY):
            self.world.after(turn * self._GREEDY_MS, lambda: self._ping(device))
        # The first exchange stands before the group hears of him.
        self.world.after(2 * self._GREEDY_MS / 10, lambda: device.link.up(lambda: self._joined(device)))

    def _joined(self, device: Device) -> None:
        if self.anchor.playing or self._waiting_for:
            self._resume = self._resume or self.anchor.playing
            self._wait(self.anchor.now(self.world.now))
        else:
            anchor = self.anchor
            device.link.down(lambda: self._take(device, anchor))

    def resume(self, device: Device) -> None:
        """A connection is back."""
        anchor = self.anchor
        device.link.down(lambda: self._take(device, anchor))

    def _take(self, device: Device, anchor: Anchor) -> None:
        self._heard[device.number] = anchor
        player = device.player
        self._quiet_until[device.number] = self.world.now + self._SETTLE_MS

        def obey() -> None:
            now = self.world.now
            if self._heard.get(device.number) is not anchor or not device.awake:
                return
            if player.rate != 1:
                player.set_rate(1.0, now)
            late = self._server(device) - anchor.at
            wanted = anchor.now(self._server(device))
            if not anchor.playing:
                player.pause(now)
                done = now
                if abs(wanted - player.read(now)) > 0.001:
                    done = player.seek(wanted, now)
                self.world.at(done, lambda: device.link.up(lambda: self._ready(device)))
                return
            if late > 100 and abs(wanted - player.read(now)) > self._RATE_FROM_S:
                player.seek(wanted + self.world.lot.uniform(-0.05, 0.05), now)
            player.play(now)
            self._quiet_until[device.number] = now + self._SETTLE_MS

        self.world.after(max(0.0, anchor.at - self._server(device)) if anchor.playing else 0.0, obey)

    def _check(self, device: Device) -> None:
        heard, now, player = self._heard.get(device.number), self.world.now, device.player
        if heard is None or not heard.playing or not (device.awake and device.present):
            return
        if player.stalled(now):
            since = self._stalled_since.setdefault(device.number, now)
            if now - since > self._STALL_REPORTED_MS and self.anchor.playing:
                device.link.up(lambda: self._buffering(device))
            return
        self._stalled_since.pop(device.number, None)
        if player.paused or player.seeking(now) or now < self._quiet_until[device.number]:
            return
        off = heard.now(self._server(device)) - player.read(now)
        if self._RATE_FROM_S <= abs(off) < self._RATE_TO_S:
            rate = max(self._RATE_FLOOR, 1 + off / (self._RATE_MS / 1_000))
            # Below the floor the window is stretched until the same way is made good.
            length = abs(off / (rate - 1)) * 1_000
            player.set_rate(rate, now)
            self._quiet_until[device.number] = now + length + 500

            def normal() -> None:
                if self._heard.get(device.number) is heard:
                    player.set_rate(1.0, self.world.now)

            self.world.after(length, normal)
        elif abs(off) >= self._RATE_TO_S:
            player.seek(heard.now(self._server(device)), now)
            self._quiet_until[device.number] = now + self._SETTLE_MS

    def _buffering(self, device: Device) -> None:
        if self.anchor.playing:
            self._resume = True
            self._wait(self.anchor.now(self.world.now))
