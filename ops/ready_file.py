"""The ready file: where a running Matinee listens and which processes it consists of."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path


def content(
    *,
    http: str,
    rtmp: str,
    metrics: str,
    pids: Mapping[str, Sequence[int]],
    gateways: Sequence[tuple[int, str]],
) -> str:
    """JSON: {"http", "rtmp", "metrics", "pids": {kind: [pid…]}, "gateways": [{"pid", "http"}]}."""
    return json.dumps(
        {
            "http": http,
            "rtmp": rtmp,
            "metrics": metrics,
            "pids": {kind: list(numbers) for kind, numbers in pids.items()},
            "gateways": [{"pid": pid, "http": address} for pid, address in gateways],
        },
        indent=1,
    )


def write(path: Path, text: str) -> None:
    """Replace the file whole: a reader sees the old or the new one, never half of one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text + "\n", "utf-8")
    draft.replace(path)
