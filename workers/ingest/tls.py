"""TLS for RTMPS: the certificate of the settings, read again when its file changes."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Final

from runtime.lifecycle import Unstartable
from runtime.logs import get_logger

log = get_logger("tls")

LOOK_EVERY_S: Final = 10.0
HANDSHAKE_S: Final = 5.0
"""How long a peer may take to agree on TLS."""


class Certificate:
    """A context for servers, and the files it comes from."""

    def __init__(self, certificate: str, key: str) -> None:
        """Raises `Unstartable` with a sentence."""
        self._certificate = Path(certificate)
        self._key = Path(key) if key else None
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._stamp = self._stamps()
        try:
            self._load()
        except (OSError, ssl.SSLError) as error:
            raise Unstartable(
                f"the certificate {certificate} cannot be used ({error}): set ingest.tls_certificate and "
                "ingest.tls_key to PEM files that belong together."
            ) from error

    async def follow(self) -> None:
        """Take renewed files for new connections, for ever; unusable ones are said and left alone."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.reload_if_changed()

    def reload_if_changed(self) -> bool:
        """Whether new files were taken."""
        stamp = self._stamps()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self._load()
        except (OSError, ssl.SSLError) as error:
            log.error("the renewed certificate cannot be used, the old one stays", error=str(error))
            return False
        log.info("certificate renewed", file=str(self._certificate))
        return True

    def _load(self) -> None:
        self.context.load_cert_chain(self._certificate, self._key)

    def _stamps(self) -> tuple[int, ...]:
        files = [path for path in (self._certificate, self._key) if path is not None]
        return tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in files)
