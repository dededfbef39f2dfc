"""Free TCP ports on loopback that stay free while a server is away for a restart."""

import errno
import random
import socket
import sys
from typing import Final

from ops.errors import OperatorError

# Below the range from which systems take the ports of outgoing connections (32768 on Linux): a server that is
# restarted after a crash must not find its port taken by some client's connection.
_FIRST, _LAST = 20_000, 32_000
_ATTEMPTS = 200
_claims: Final[dict[int, int]] = {}
"""What this process has chosen, as long as it lives: ports, and the descriptors that say so."""


def free_port(host: str = "127.0.0.1", *, avoid: frozenset[int] = frozenset()) -> int:
    """A TCP port of `host` that nobody listens on, 20000 to 32000, and none of `avoid`.

    It is nobody else's choice either while this process lives: between the choice and the first listener seconds
    may pass, in which another stack on this machine chooses its own.
    """
    for _ in range(_ATTEMPTS):
        port = random.randint(_FIRST, _LAST)  # noqa: S311 - no secret, only spread
        if port not in avoid and port_is_free(host, port) and _claim(port):
            return port
    raise OperatorError(
        f"No free port found between {_FIRST} and {_LAST}: stop something that listens there."
    )


def _claim(port: int) -> bool:
    """Whether the port was not chosen before; now it is. An abstract socket goes with its process, however it ends."""
    if port in _claims:
        return False
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    if sys.platform == "linux":
        try:
            claim.bind(f"\0matinee-port-{port}")
        except OSError:
            claim.close()
            return False
    _claims[port] = claim.detach()
    return True


def port_is_free(host: str, port: int) -> bool:
    """Whether a listener could be opened on this port now.

    Raises OperatorError where the address itself cannot be used: not one of this machine, or a port below
    1024 without the right to it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise OperatorError(
                f"Cannot listen on {host} port {port} ({error.strerror}): choose another host or port."
            ) from error
    return True


def reserve_port(host: str, port: int, flag: str) -> socket.socket:
    """Hold a TCP port for the processes that will share it (SO_REUSEPORT), so that it stays theirs.

    The socket returned is bound but never listens, so no connection ever reaches it; it keeps the port while
    its listeners restart. Port 0 takes any free one. Raises OperatorError, naming `flag`, where it is taken.
    """
    if port and not port_is_free(host, port):
        raise OperatorError(f"Port {port} is taken: stop what listens there, or choose another with {flag}.")
    tries = 1 if port else _ATTEMPTS
    while True:
        tries -= 1
        held = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        # as the probe does: connections of an earlier listener that linger do not hold the port
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            held.bind((host, port or free_port(host)))
        except OSError as error:
            held.close()
            if not (tries and error.errno == errno.EADDRINUSE):
                raise OperatorError(
                    f"Cannot listen on {host} port {port} ({error.strerror}): choose another with {flag}."
                ) from error
        else:
            return held
