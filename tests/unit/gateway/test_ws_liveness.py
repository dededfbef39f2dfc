"""Who is still there, and for how long he may be."""

import struct

import pytest

from gateway.ws.liveness import Due, Liveness
from runtime.settings import GatewaySettings

GRACE_MS = 60_000
NEVER = 1 << 60
DEAD_WITHIN_S = 45.0


def watching() -> Liveness:
    """With the settings that a gateway has unless told otherwise."""
    settings = GatewaySettings()
    return Liveness(0.0, ping_s=settings.ping_s, grace_s=settings.token_grace_s)


def run(liveness: Liveness, last_sign: float, offset: float, until: float = 100.0) -> list[tuple[float, Due]]:
    """What a peer gets that gave its last sign at `last_sign`, looked at each second from `offset` on."""
    got: list[tuple[float, Due]] = []
    now, silent = offset, False
    while now < until:
        if not silent and now > last_sign:
            silent = True
            liveness.heard()
        due = liveness.due(now, 0, NEVER)
        if due is Due.PING:
            liveness.ping(now)
            if now <= last_sign:
                liveness.heard()
        if due is not Due.NOTHING:
            got.append((now, due))
        if due is Due.DEAD:
            break
        now += 1.0
    return got


@pytest.mark.parametrize("offset", [0.0, 0.3, 0.999])
@pytest.mark.parametrize("last_sign", [0.0, 0.5, 1.0, 7.3, 19.9, 20.0, 20.1, 39.99])
def test_a_dead_peer_is_found_within_45_seconds_after_two_pings(last_sign: float, offset: float) -> None:
    """Whenever it died, and whenever it is looked at: two pings without an answer, then the end."""
    got = run(watching(), last_sign, offset)
    after = [due for at, due in got if at > last_sign]

    died_at, end = got[-1]
    assert end is Due.DEAD
    assert died_at - last_sign <= DEAD_WITHIN_S
    assert after.count(Due.PING) >= 1
    assert [due for _, due in got].count(Due.PING) >= 2


def test_it_is_not_given_up_on_after_one_ping() -> None:
    """A ping that got lost is not the end: before the second one had its time nobody is dead."""
    liveness = watching()
    liveness.ping(0.0)

    assert [liveness.due(now, 0, NEVER) for now in (1.0, 19.0)] == [Due.NOTHING] * 2
    assert liveness.due(20.0, 0, NEVER) is Due.PING
    liveness.ping(20.0)
    assert liveness.due(22.9, 0, NEVER) is Due.NOTHING
    assert liveness.due(23.0, 0, NEVER) is Due.DEAD


@pytest.mark.parametrize("sign", ["frame", "pong", "somebody else's pong"])
def test_any_sign_of_life_counts(sign: str) -> None:
    """A frame, a pong, or a pong nobody asked for, at the last moment: two more pings are due."""
    liveness = watching()
    liveness.ping(0.0)
    payload = liveness.ping(20.0)

    if sign == "frame":
        liveness.heard()
    else:
        liveness.pong(payload if sign == "pong" else b"?", 22.9)

    assert liveness.due(23.0, 0, NEVER) is Due.NOTHING
    assert liveness.due(40.0, 0, NEVER) is Due.PING


def test_pings_keep_their_interval_however_late_one_looks() -> None:
    """Lateness does not add up; after a long sleep there is one ping, not a row of them."""
    liveness = watching()
    liveness.ping(0.9)
    liveness.heard()
    assert liveness.due(20.0, 0, NEVER) is Due.PING
    liveness.ping(20.9)
    liveness.heard()
    assert liveness.due(40.0, 0, NEVER) is Due.PING
    liveness.ping(500.0)
    liveness.heard()

    assert liveness.due(519.9, 0, NEVER) is Due.NOTHING
    assert liveness.due(520.0, 0, NEVER) is Due.PING


def test_after_a_sleep_of_the_server_nobody_dies_of_it() -> None:
    """A process that was stopped for a minute asks once more, and waits for the answer."""
    liveness = watching()
    liveness.ping(0.0)

    assert liveness.due(90.0, 0, NEVER) is Due.PING
    liveness.ping(90.0)
    assert liveness.due(91.0, 0, NEVER) is Due.NOTHING


@pytest.mark.parametrize(
    ("since_expiry_ms", "due"),
    [(-1, Due.PING), (0, Due.PING), (GRACE_MS, Due.PING), (GRACE_MS + 1, Due.EXPIRED), (NEVER, Due.EXPIRED)],
)
def test_an_expired_token_is_good_for_another_minute(since_expiry_ms: int, due: Due) -> None:
    """60 s after its end, not before, whatever else is due."""
    expires_at = 1_790_000_000_000

    assert watching().due(0.0, expires_at + since_expiry_ms, expires_at) is due


def test_the_round_trip_is_the_least_of_the_last_four() -> None:
    """What stood in a queue does not count; what is old does not either; nonsense never."""
    liveness = watching()
    for now, took in ((0.0, 0.2), (20.0, 0.03), (40.0, 0.5), (60.0, 0.4)):
        liveness.pong(liveness.ping(now), now + took)
    assert liveness.rtt_ms == pytest.approx(30)
    liveness.pong(liveness.ping(80.0), 80.3)
    liveness.pong(liveness.ping(100.0), 100.6)
    assert liveness.rtt_ms == pytest.approx(300)

    for payload in (b"", b"12345678901", struct.pack("!d", float("nan")), struct.pack("!d", 1e300)):
        liveness.pong(payload, 101.0)
    assert liveness.rtt_ms == pytest.approx(300)
