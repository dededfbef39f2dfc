"""Ours: the server's real playback core, and the client's sync core in its copy in Python."""

from __future__ import annotations

from typing import ClassVar, Final

from bench.sync.clock import Clock
from bench.sync.controller import Controller, PlayerStatus
from bench.sync.scheme import Place, Scheme, Wish
from bench.sync.timeline import State, Timeline, position_at
from bench.sync.world import EPOCH_MS, Device, World
from bus_schemas.messages.room import PlaybackAction
from workers.sync.playback import Command, Lead, Playback, Refusal, apply

_TICK_MS: Final = 100.0
_FRAME_WINDOW_MS: Final = 350.0
_MIN_FRAMES: Final = 3


class Follower:
    """One client: what `web/src/sync/engine.ts` does around the sync core, without the DOM."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.world = device.world
        self.clock = Clock()
        self.controller = Controller()
        self.timeline: Timeline | None = None
        self._frames: list[tuple[float, float]] = []
        self._last_frame = 0.0
        self._last_seeking = False
        self._armed = 0
        self._sampling = 0
        self.world.every(_TICK_MS, self.tick)

    def connected(self) -> None:
        """The socket is open: all samples of the old one are forgotten."""
        self.clock.reset()
        self._sampling += 1
        self._sample(self._sampling)

    def _sample(self, turn: int) -> None:
        if turn != self._sampling or not self.device.link.open:
            return
        self.device.ping(self.device.monotonic, self.clock.add)
        self.world.after(self.clock.next_in, lambda: self._sample(turn))

    def server_now(self) -> float:
        """Epoch ms, as this client believes."""
        return self.clock.server_at(self.device.monotonic())

    def take(self, state: State) -> None:
        """A state has arrived."""
        self.timeline = Timeline(state)
        self._forget()
        self.controller.set_timeline(self.timeline, self.server_now())
        self.tick()

    def _forget(self) -> None:
        self._frames.clear()
        self._last_frame = self.world.now

    def _watch(self) -> None:
        """The frames shown since the last look, each against the line at its own moment."""
        assert self.timeline is not None
        player, now = self.device.player, self.world.now
        step = 1_000 / player.fps
        while (at := self._last_frame + step) <= now:
            self._last_frame = at
            if player.moving(at):
                local = self.device.monotonic() - (now - at)
                target = position_at(self.timeline, self.clock.server_at(local))
                self._frames.append((at, player.frame(at) - target))
        self._frames = [frame for frame in self._frames if now - frame[0] <= _FRAME_WINDOW_MS]

    def tick(self) -> None:
        """Measure, ask the controller, obey."""
        device, player, now = self.device, self.device.player, self.world.now
        if not (device.awake and device.present) or self.timeline is None or not self.clock.ready:
            return
        self._watch()
        seeking = player.seeking(now)
        if seeking or self._last_seeking:
            self._frames.clear()
        self._last_seeking = seeking
        server = self.server_now()
        self._arm(server)
        target = position_at(self.timeline, server)
        if len(self._frames) >= _MIN_FRAMES and not player.paused:
            ordered = sorted(error for _, error in self._frames)
            position = target + ordered[len(ordered) >> 1]
        else:
            position = player.read(now)
        stalled = player.stalled(now)
        status = PlayerStatus(
            position=position, paused=player.paused, seeking=seeking, buffering=stalled,
            ready_state=1 if seeking else 2 if stalled else 4, rate=player.rate,
        )  # fmt: skip
        for action in self.controller.decide(status, server).actions:
            if action.kind == "play":
                player.play(now)
            elif action.kind == "pause":
                player.pause(now)
                self._forget()
            elif action.kind == "rate" and action.value is not None:
                player.set_rate(action.value, now)
                self._forget()
            elif action.value is not None:
                self.world.at(player.seek(action.value, now), self.tick)  # the element says `seeked`
                self._forget()

    def _arm(self, server: float) -> None:
        self._armed += 1
        at = self.controller.start_at(server)
        if at is None or at - server >= 2_000:
            return
        turn = self._armed

        def start() -> None:
            if turn == self._armed:
                self.tick()

        self.world.after(max(0.0, at - server + 0.5) + self.world.lot.uniform(0, 3), start)


class Matinee(Scheme):
    """A room of ours."""

    name: ClassVar[str] = "Matinee"

    def __init__(self, world: World, devices: list[Device]) -> None:
        super().__init__(world, devices)
        self.playback = Playback(item="film", duration=36_000.0)
        self.followers = {device.number: Follower(device) for device in devices}

    def place(self) -> Place:
        """Where the room is now."""
        now = round(EPOCH_MS + self.world.now)
        playback = self.playback
        return Place(
            playback.playing and now >= playback.at,
            playback.position + max(0.0, EPOCH_MS + self.world.now - playback.at) / 1_000
            if playback.playing
            else playback.position,
        )

    def act(self, device: Device, wish: Wish, position: float) -> None:
        """A button was pressed."""
        device.link.up(lambda: self._change(wish, position))

    def _change(self, wish: Wish, position: float) -> None:
        slowest = max(self.followers[device.number].clock.delay for device in self.here)
        command = Command(PlaybackAction(wish), position=position if wish == "seek" else None, rtt_ms=slowest)
        changed = apply(self.playback, command, round(EPOCH_MS + self.world.now), Lead())
        assert not isinstance(changed, Refusal), changed.detail
        self.playback = changed
        for device in self.here:
            self._tell(device)

    def _tell(self, device: Device) -> None:
        now = self.playback
        state = State(now.item, now.playing, now.position, now.rate, now.at, now.revision, now.live)
        device.link.down(lambda: self.followers[device.number].take(state))

    def join(self, device: Device) -> None:
        """Somebody came."""
        device.link.up(lambda: self._tell(device))
        self.followers[device.number].connected()
