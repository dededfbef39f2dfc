"""Generated passwords, kept in files that only their owner can read."""

import os
import secrets
from pathlib import Path

_BYTES = 24


def stored_secret(path: Path) -> str:
    """The secret in `path`, made on the first call; hexadecimal, so it needs no quoting in an address."""
    try:
        text = path.read_text("ascii").strip()
    except FileNotFoundError:
        text = ""
    if text:
        return text
    text = secrets.token_hex(_BYTES)
    write_private(path, text + "\n")
    return text


def write_private(path: Path, text: str) -> None:
    """Write a file with mode 0600 from its first byte on, replacing any older one whole."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(
        os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text)
    draft.replace(path)
