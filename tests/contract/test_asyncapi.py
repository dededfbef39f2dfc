"""The socket's document: AsyncAPI 3.0, whole, and made of what the gateway really takes and sends."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import jsonschema
import pytest

from bus_schemas.errors import ErrorCode
from bus_schemas.messages.room import RoomEvent
from bus_schemas.socket_examples import Example, examples
from bus_schemas.socket_frames import CLOSE_CODES, Answer, Joined, Notice
from gateway.ws import asyncapi, frames
from gateway.ws.asyncapi import client_frames, document, server_frames
from gateway.ws.events import RoomEventFrame, render, render_danmaku

PROJECT = Path(__file__).resolve().parents[2]
WHOLE = document("1")
MESSAGES = WHOLE["components"]["messages"]

INFO = {"title", "version", "description", "license", "tags"}
SERVER = {"host", "protocol", "pathname", "description", "variables", "security", "tags", "bindings"}
CHANNEL = {"address", "title", "summary", "description", "servers", "messages", "bindings", "tags"}
OPERATION = {"action", "channel", "title", "summary", "description", "messages", "reply", "tags"}
MESSAGE = {"name", "title", "summary", "description", "contentType", "payload", "correlationId", "examples"}
"""What AsyncAPI 3.0 lets stand in each object, as far as it is used here; anything may begin with `x-`."""
SCHEMA = {
    "type", "properties", "required", "items", "enum", "const", "anyOf", "oneOf", "allOf", "not", "if", "then",
    "default", "description", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength",
    "pattern", "maxItems", "minItems", "additionalProperties", "propertyNames", "format", "examples",
}  # fmt: skip
"""JSON Schema, draft 7."""


def unknown(node: dict[str, Any], known: set[str]) -> set[str]:
    return {key for key in node if key not in known and not key.startswith("x-")}


def at(reference: str) -> Any:
    """What a local reference leads to; KeyError where it leads nowhere."""
    found: Any = WHOLE
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for part in node:
            yield from references(part)
    elif isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            assert set(node) == {"$ref"}, f"a reference stands alone: {node}"
            yield node["$ref"]
        for part in node.values():
            yield from references(part)


def schemas(node: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in a schema."""
    if isinstance(node, list):
        for index, part in enumerate(node):
            yield from schemas(part, f"{where}[{index}]")
    elif isinstance(node, dict) and "$ref" not in node:
        yield where, node
        for key in (
            "items",
            "not",
            "if",
            "then",
            "additionalProperties",
            "propertyNames",
            "anyOf",
            "oneOf",
            "allOf",
        ):
            yield from schemas(node.get(key), f"{where}.{key}")
        for name, part in node.get("properties", {}).items():
            yield from schemas(part, f"{where}.{name}")


def payload_validator(name: str) -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator({**MESSAGES[name]["payload"], "components": WHOLE["components"]})


def sent_kinds() -> set[str]:
    """The `type` of every frame that code of the gateway's socket names."""
    found = set()
    for path in (PROJECT / "gateway/ws").glob("*.py"):
        if path.name == "asyncapi.py":
            continue  # Its types are those of JSON Schema.
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                found |= {
                    word.value.value
                    for word in node.keywords
                    if word.arg == "type" and isinstance(word.value, ast.Constant)
                }
            elif isinstance(node, ast.Dict):
                found |= {
                    value.value
                    for key, value in zip(node.keys, node.values, strict=True)
                    if isinstance(key, ast.Constant)
                    and key.value == "type"
                    and isinstance(value, ast.Constant)
                }
    return found


def test_every_object_has_what_asyncapi_3_wants_and_nothing_it_does_not_know() -> None:
    """Required fields are there, unknown ones are not, each by the object's clause of the specification."""
    assert WHOLE["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(WHOLE["info"])
    assert not unknown(WHOLE["info"], INFO)
    assert not unknown(
        WHOLE, {"asyncapi", "info", "defaultContentType", "servers", "channels", "operations", "components"}
    )
    for server in WHOLE["servers"].values():
        assert {"host", "protocol"} <= set(server)
        assert not unknown(server, SERVER)
    for channel in WHOLE["channels"].values():
        assert not unknown(channel, CHANNEL)
        assert all(one["$ref"].startswith("#/servers/") for one in channel["servers"])
    for name, operation in WHOLE["operations"].items():
        assert {"action", "channel"} <= set(operation), name
        assert operation["action"] in ("send", "receive")
        assert not unknown(operation, OPERATION), name
        assert not unknown(operation.get("reply", {}), {"address", "channel", "messages"}), name
    for name, message in MESSAGES.items():
        assert not unknown(message, MESSAGE), name
        assert all(not unknown(one, {"name", "summary", "payload", "headers"}) for one in message["examples"])
    for scheme in WHOLE["components"]["securitySchemes"].values():
        wanted = {"http": {"scheme"}, "httpApiKey": {"name", "in"}}[scheme["type"]]
        assert wanted <= set(scheme)


def test_every_reference_leads_somewhere() -> None:
    """No dangling reference; operations name messages of their channel, as the specification wants."""
    for reference in references(WHOLE):
        assert at(reference), reference
    for operation in WHOLE["operations"].values():
        own = operation["channel"]["$ref"] + "/messages/"
        for message in [*operation["messages"], *operation.get("reply", {}).get("messages", [])]:
            assert message["$ref"].startswith(own)


def test_every_schema_is_json_schema_of_draft_7() -> None:
    """With keywords that every tool knows, the component schemas and the payloads alike."""
    parts = {**WHOLE["components"]["schemas"], **{name: one["payload"] for name, one in MESSAGES.items()}}
    for name, part in parts.items():
        jsonschema.Draft7Validator.check_schema(part)
        for where, schema in schemas(part, name):
            assert not unknown(schema, SCHEMA), where


def test_every_message_is_said_or_taken_by_an_operation() -> None:
    """What clients send is received, and answered; what the server sends is an answer or sent of itself."""
    received, answered, sent = set(), set(), set()
    for operation in WHOLE["operations"].values():
        named = {one["$ref"].rpartition("/")[2] for one in operation["messages"]}
        if operation["action"] == "receive":
            received |= named
            replies = {one["$ref"].rpartition("/")[2] for one in operation["reply"]["messages"]}
            assert "server-error" in replies
            answered |= replies
        else:
            sent |= named

    assert received == {name for name in MESSAGES if name.startswith("client-")}
    assert answered | sent == {name for name in MESSAGES if name.startswith("server-")}


def test_every_frame_that_the_gateway_takes_is_in_it() -> None:
    """The parser's union is the document's."""
    assert set(client_frames()) == set(frames.FRAME_TYPES)
    assert {f"client-{kind}" for kind in frames.FRAME_TYPES} <= set(MESSAGES)


def test_every_frame_that_the_gateway_can_send_is_in_it() -> None:
    """Each type of room event, each typed frame, and each type that the code of the socket writes."""
    events = {
        model.model_fields["type"].default for model in get_args(RoomEvent.model_fields["root"].annotation)
    }
    typed = {
        get_args(get_type_hints(model)["type"])[0] for model in (*get_args(Answer), *get_args(Notice), Joined)
    }

    assert events | typed | {"danmaku"} == set(server_frames())
    assert sent_kinds() - {"null"} <= set(server_frames())  # `null` is a type of JSON Schema, in `frames`.
    assert {f"server-{kind}" for kind in server_frames()} <= set(MESSAGES)


@pytest.mark.parametrize("example", list(examples()), ids=lambda one: f"{one.sender}-{one.name}")
def test_golden_frames_are_what_the_document_and_the_parser_say(example: Example) -> None:
    """The right ones are right for both, with no field that is not documented; the wrong ones are refused."""
    if example.valid:
        name = f"{example.sender}-{example.kind}"
        frame = json.loads(example.text)
        payload_validator(name).validate(frame)
        if example.name != "unknown-fields-are-ignored":
            payload = MESSAGES[name]["payload"]
            schema = at(payload["$ref"]) if "$ref" in payload else payload
            assert set(frame) <= set(schema["properties"])
    if example.sender == "client":
        if example.valid:
            assert frames.parse(example.text).type == example.kind
        else:
            with pytest.raises(frames.FrameError) as caught:
                frames.parse(example.text)
            assert caught.value.why.code is ErrorCode.INVALID


def test_wrong_frames_that_are_objects_of_a_known_type_are_wrong_for_the_document_too() -> None:
    """What a client checks by the document is what the server checks."""
    for example in examples():
        try:
            frame = json.loads(example.text, parse_constant=lambda _: None)
        except (ValueError, RecursionError):
            continue
        kind = frame.get("type") if isinstance(frame, dict) else None
        if example.valid or kind not in frames.FRAME_TYPES:
            continue
        if isinstance(frame.get("id"), str) and not frame["id"].isprintable():
            continue  # Half a character: JSON's own fault, not the frame's.
        assert not payload_validator(f"client-{kind}").is_valid(frame), example.name


def test_fields_say_what_they_are_where_the_code_does() -> None:
    """Units and meanings stand below the fields in the code; the document has them, also of shapes."""
    said = {
        "PlaybackState": "position", "Playback": "position", "Report": "drift_ms", "Resumed": "after",
        "PlaybackChanged": "by", "Item": "duration", "Join": "after",
    }  # fmt: skip
    for name, field in said.items():
        assert WHOLE["components"]["schemas"][name]["properties"][field]["description"], (name, field)


def test_every_message_has_an_example() -> None:
    """One at least."""
    assert [name for name, message in MESSAGES.items() if not message["examples"]] == []


def test_events_are_documented_as_they_are_rendered() -> None:
    """Bus payloads rendered for clients validate, and have no field that the document does not name."""
    folder = PROJECT / "bus_schemas/examples"
    rendered: list[RoomEventFrame] = []
    for path in sorted((folder / "room.room.event").glob("v1-*.json")):
        event = RoomEvent.model_validate_json(path.read_bytes())
        found = render("r1", 7, event.model_dump_json().encode())
        assert found is not None
        rendered.append(found)

    assert {event.kind for event in rendered} >= {"playback", "chat", "member"}
    for event in rendered:
        frame = json.loads(event.wire[event.wire.index(b"{") :])
        payload_validator(f"server-{event.kind}").validate(frame)
        assert set(frame) == set(at(MESSAGES[f"server-{event.kind}"]["payload"]["$ref"])["properties"])


def test_danmaku_are_documented_as_they_are_rendered() -> None:
    """Without a number, and without what is the bus's own."""
    path = next((PROJECT / "bus_schemas/examples/room.room.danmaku").glob("v1-*.json"))
    rendered = render_danmaku("r1", path.read_bytes())
    assert rendered is not None

    payload_validator("server-danmaku").validate(rendered[0])
    assert "seq" not in rendered[0]
    assert "v" not in at(MESSAGES["server-danmaku"]["payload"]["$ref"])["properties"]


def test_codes_are_all_there() -> None:
    """Error codes and close codes, in the document and on the page for people."""
    channel = WHOLE["channels"]["socket"]
    page = (PROJECT / "docs/socket.md").read_text("utf-8")

    assert channel["x-error-codes"] == [code.value for code in ErrorCode]
    assert channel["x-close-codes"] == {str(code): why for code, why in CLOSE_CODES.items()}
    for word in (*frames.FRAME_TYPES, *server_frames(), *(code.value for code in ErrorCode)):
        assert f"`{word}" in page, word
    for code in CLOSE_CODES:
        assert str(code) in page, code


def test_what_answers_what_names_frames_that_exist() -> None:
    """The table of answers is of the frames there are."""
    assert set(asyncapi.ANSWERS) <= set(client_frames())
    assert {answer for answers in asyncapi.ANSWERS.values() for answer in answers} <= set(server_frames())
