"""The ready file."""

import json
from pathlib import Path

from ops import ready_file


def test_it_says_where_everything_is() -> None:
    """The fields and their shapes are the contract with whoever reads it."""
    text = ready_file.content(
        http="http://127.0.0.1:1",
        rtmp="rtmp://127.0.0.1:2/live",
        metrics="http://127.0.0.1:3/metrics",
        pids={"gateway": [11, 12], "nats": [13]},
        gateways=[(11, "http://127.0.0.1:4"), (12, "http://127.0.0.1:5")],
    )

    assert json.loads(text) == {
        "http": "http://127.0.0.1:1",
        "rtmp": "rtmp://127.0.0.1:2/live",
        "metrics": "http://127.0.0.1:3/metrics",
        "pids": {"gateway": [11, 12], "nats": [13]},
        "gateways": [{"pid": 11, "http": "http://127.0.0.1:4"}, {"pid": 12, "http": "http://127.0.0.1:5"}],
    }


def test_it_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    """A reader who has the old file open keeps the old text."""
    target = tmp_path / "ready.json"
    ready_file.write(target, "old")
    with target.open() as reader:
        ready_file.write(target, "new")
        kept = reader.read()

    assert (kept, target.read_text()) == ("old\n", "new\n")
    assert [path.name for path in tmp_path.iterdir()] == ["ready.json"]
