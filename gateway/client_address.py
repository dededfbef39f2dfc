"""Where a request comes from: forwarded headers count only from trusted proxies."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from aiohttp import web

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ClientAddresses:
    """Reads addresses, schemes and hosts, knowing which proxies may speak for others."""

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        """Take networks as CIDR; raises ValueError naming the one that is none."""
        self._trusted: tuple[_Network, ...] = tuple(
            ipaddress.ip_network(network, strict=False) for network in trusted_proxies
        )

    def trusts(self, address: str) -> bool:
        """Whether `address` is one of our proxies."""
        if not self._trusted:
            return False
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(ip in network for network in self._trusted)

    def resolve(self, peer: str, forwarded_for: str | None) -> str:
        """The client behind `peer`: the last hop of X-Forwarded-For that is no trusted proxy."""
        if not forwarded_for or not self.trusts(peer):
            return peer
        client = peer
        for hop in reversed(forwarded_for.split(",")):
            try:
                client = str(ipaddress.ip_address(hop.strip()))
            except ValueError:
                break
            if not self.trusts(client):
                break
        return client

    def of(self, request: web.Request) -> str:
        """The client's address, what limits and audit rows go by."""
        return self.resolve(request.remote or "", request.headers.get("X-Forwarded-For"))

    def origin(self, request: web.Request, public_url: str) -> str:
        """Origin for links: `public_url` where set, else as the client reached us, without a slash at its end."""
        if public_url:
            return public_url.rstrip("/")
        scheme, host = request.scheme, request.host
        if self.trusts(request.remote or ""):
            scheme = request.headers.get("X-Forwarded-Proto", scheme)
            host = request.headers.get("X-Forwarded-Host", host)
        return f"{scheme}://{host}"
