"""Golden payloads: what is on the bus today must be readable tomorrow."""

import json
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel, RootModel, ValidationError

import bus_schemas
from bus_schemas.messages.live import PublisherClaim, StreamKey
from bus_schemas.messages.room import NodeSeen, PlaybackAction, PlaybackChanged, PlaybackRequested, Presence
from bus_schemas.parts import PART_HEADER_SIZE, InitHeader, PartHeader
from bus_schemas.streams import BUCKETS
from bus_schemas.subjects import ROOM_COMMAND, SUBJECTS, Subject
from bus_schemas.tags import HEADER_SIZE, TagHeader
from media import flv

EXAMPLES = Path(bus_schemas.__file__).parent / "examples"
BUCKET_VALUES: dict[str, type[BaseModel]] = {
    "ROOMS": PlaybackChanged,
    "PUBLISHERS": PublisherClaim,
    "STREAM_KEYS": StreamKey,
    "PRESENCE": Presence,
    "NODES": NodeSeen,
}
"""`CONFIG` holds nothing yet."""


def folder(template: str) -> str:
    return template.replace("{", "").replace("}", "")


def examples(name: str, ending: str) -> list[Path]:
    return sorted((EXAMPLES / name).glob(f"v1-*.{ending}"))


def is_json(subject: Subject[Any]) -> bool:
    return issubclass(subject.message, BaseModel)


MODELS: dict[str, type[BaseModel]] = {
    **{folder(subject.template): subject.message for subject in SUBJECTS if is_json(subject)},
    **{f"$KV.{bucket}": model for bucket, model in BUCKET_VALUES.items()},
}
JSON_EXAMPLES = [(name, path) for name in MODELS for path in examples(name, "json")]


def contained(part: Any, whole: Any) -> bool:
    """Whether all that stands in `part` stands in `whole` with the same value."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            key in whole and contained(part[key], whole[key]) for key in part
        )
    if isinstance(part, list):
        return isinstance(whole, list) and len(part) == len(whole) and all(map(contained, part, whole))
    return bool(part == whole)


def test_every_subject_has_an_example() -> None:
    """A subject without a payload to look at is not documented."""
    without = [
        s.template for s in SUBJECTS if not examples(folder(s.template), "json" if is_json(s) else "bin")
    ]

    assert without == []


def test_no_example_is_an_orphan() -> None:
    """A folder whose subject is gone, or a file that no test reads, is misleading."""
    known = {folder(subject.template) for subject in SUBJECTS} | {f"$KV.{bucket.name}" for bucket in BUCKETS}

    assert {path.name for path in EXAMPLES.iterdir()} <= known
    stray = [
        path for path in EXAMPLES.glob("*/*")
        if path.suffix not in ({".json"} if path.parent.name in MODELS else {".bin"})
        or not path.name.startswith("v1-")
    ]  # fmt: skip
    assert stray == []


@pytest.mark.parametrize(("name", "path"), JSON_EXAMPLES, ids=lambda value: getattr(value, "name", value))
def test_an_example_still_means_the_same(name: str, path: Path) -> None:
    """It parses, and no field of it is lost or changed on the way through the model."""
    written = json.loads(path.read_text("utf-8"))

    read = MODELS[name].model_validate_json(path.read_bytes())

    # What the server itself writes has fields that Matinee does not look at.
    ours = written if "v" in written else {key: written[key] for key in MODELS[name].model_fields}
    assert contained(ours, read.model_dump(mode="json"))


@pytest.mark.parametrize(("name", "path"), JSON_EXAMPLES, ids=lambda value: getattr(value, "name", value))
def test_a_newer_producer_may_add_fields_but_not_a_version(name: str, path: Path) -> None:
    """Unknown fields are ignored; an unknown version is not read at all."""
    written = json.loads(path.read_text("utf-8"))
    model = MODELS[name]

    assert model.model_validate(written | {"added_later": 1}) == model.model_validate(written)
    if "v" in written:
        with pytest.raises(ValidationError):
            model.model_validate(written | {"v": 2})


@pytest.mark.parametrize(
    "subject", [s for s in SUBJECTS if issubclass(s.message, RootModel)], ids=lambda s: s.template
)
def test_every_kind_of_event_has_an_example(subject: Subject[Any]) -> None:
    """Of a subject that carries several types each is shown."""
    union = subject.message.model_fields["root"].annotation
    assert get_origin(union) in {Union, UnionType}

    kinds = {member.model_fields["type"].default for member in get_args(union)}
    shown = {
        json.loads(path.read_text("utf-8"))["type"] for path in examples(folder(subject.template), "json")
    }

    assert shown == kinds


def test_every_playback_action_has_an_example() -> None:
    """The commands are one model; each action is shown."""
    shown = {
        PlaybackRequested.model_validate_json(path.read_bytes()).action
        for path in examples(folder(ROOM_COMMAND.template), "json")
    }

    assert shown == set(PlaybackAction)


@pytest.mark.parametrize(
    "path",
    [
        path
        for subject in SUBJECTS
        if not is_json(subject)
        for path in examples(folder(subject.template), "bin")
    ],
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_a_binary_example_is_read_and_written_back_the_same(path: Path) -> None:
    """The headers in front of media keep their bytes, and what follows them is what it says."""
    body = path.read_bytes()
    kind = next(subject.message for subject in SUBJECTS if folder(subject.template) == path.parent.name)

    if kind is TagHeader:
        assert TagHeader.unpack(body).pack() == body[:HEADER_SIZE]
        tags = flv.demux(body[HEADER_SIZE:])
        assert (
            b"".join(flv.mux(tag.type, tag.timestamp_ms, tag.payload) for tag in tags) == body[HEADER_SIZE:]
        )
    elif kind is PartHeader:
        assert PartHeader.unpack(body).pack() == body[:PART_HEADER_SIZE]
        assert body[PART_HEADER_SIZE + 4 : PART_HEADER_SIZE + 8] == b"moof"
    else:
        header, segment = InitHeader.unpack(body)
        assert header.pack() + segment == body
        assert segment[4:8] == b"ftyp"


def test_the_numbers_of_a_binary_example() -> None:
    """Bytes written on another day by another version give these values."""
    header = TagHeader.unpack((EXAMPLES / "live.tags.stream.key" / "v1-key.bin").read_bytes())

    assert (header.generation, header.sequence, header.epoch) == (0, 60, 1_790_000_000_000)
    assert (header.dts_ms, header.arrival_us) == (2_000, 1_790_000_002_000_000)
