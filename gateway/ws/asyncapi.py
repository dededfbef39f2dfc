"""AsyncAPI 3.0 of the socket, made from the frames' own types: `bus_schemas.socket_frames`, `gateway.ws.frames`. Pure.

The document speaks for the server: what clients send it *receives*, what it is given to *send* comes as
an answer, as a numbered event, or unasked.
"""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Final, get_args

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode

import bus_schemas
from bus_schemas.errors import ErrorCode
from bus_schemas.limits import CLIENT_ID_WINDOW_S, RESUME_WINDOW_S, SOCKET_FRAME_MAX
from bus_schemas.messages.base import Shape
from bus_schemas.socket_examples import examples
from bus_schemas.socket_frames import (
    BEARER_PREFIX,
    CLOSE_CODES,
    EVENT_INTERNAL,
    EVENTS,
    FRAMES,
    MOMENTS,
    SUBPROTOCOL,
    Seq,
)
from gateway.ws.frames import AnyFrame

Json = dict[str, Any]

ANSWERS: Final[dict[str, tuple[str, ...]]] = {
    "join": ("joined", "resumed"),
    "time": ("time",),
    "ping": ("pong",),
}
"""What answers a client's frame; all others are answered by `ack`, and any of them by `error`."""
_CHANNEL: Final = "socket"
_REFERENCES: Final = "#/components/schemas/{model}"
_NOISE: Final = ("title", "discriminator")
_EVENT_SEQ: Final = (
    "Rises from event to event of a room, with holes. The newest one seen is the `after` of a resuming join."
)
_DESCRIPTION: Final = f"""\
One WebSocket for all rooms of a client. Frames are JSON text of at most {SOCKET_FRAME_MAX} bytes; a field
that is not known is ignored. A client's frame with an `id` is answered by exactly one frame with that
`id`; one without gets only errors. Events of a room carry `seq` and go to every member, the sender
included; answer and event come in either order. `join` with `after` and `epoch` resumes: exactly what was
missed within the last {RESUME_WINDOW_S} s, else `joined`. A `client_id` makes a resend harmless for
{CLIENT_ID_WINDOW_S // 3600} hours. An error never closes the socket; what happens to one room is a frame."""


def client_frames() -> dict[str, type[BaseModel]]:
    """What clients send, by type."""
    return {get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(AnyFrame)}


def server_frames() -> dict[str, Any]:
    """What the server sends, by type."""
    return {**FRAMES, **EVENTS, **MOMENTS}


def document(server_version: str) -> Json:
    """The whole document."""
    schemas, by_name = _schemas()
    messages = {
        name: _message(name, model, by_name[name])
        for name, model in (
            *((f"client-{kind}", model) for kind, model in client_frames().items()),
            *((f"server-{kind}", model) for kind, model in server_frames().items()),
        )
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Matinee: the socket",
            "version": server_version,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "gateway": {
                "host": "{host}",
                "protocol": "ws",
                "description": "Any gateway; wss where TLS stands in front.",
                "variables": {"host": {"default": "localhost:8080", "description": "Host and port."}},
                "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in _SECURITY_SCHEMES],
            }
        },
        "channels": {_CHANNEL: _channel(messages)},
        "operations": dict(_operations()),
        "components": {
            "messages": messages,
            "schemas": schemas,
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


_SECURITY_SCHEMES: Final[Json] = {
    "header": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "query": {"type": "httpApiKey", "name": "token", "in": "query", "description": "For browsers."},
    "subprotocol": {
        "type": "httpApiKey",
        "name": "Sec-WebSocket-Protocol",
        "in": "header",
        "description": f"`{SUBPROTOCOL}, {BEARER_PREFIX}<token>`: for browsers, and in nobody's access log.",
    },
}


def _channel(messages: Mapping[str, Json]) -> Json:
    return {
        "address": "/ws",
        "title": "The socket",
        "servers": [{"$ref": "#/servers/gateway"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "ws": {
                "method": "GET",
                "headers": {
                    "type": "object",
                    "properties": {
                        "Authorization": {"type": "string"},
                        "Sec-WebSocket-Protocol": {"type": "string", "examples": [SUBPROTOCOL]},
                    },
                },
                "query": {"type": "object", "properties": {"token": {"type": "string"}}},
                "bindingVersion": "0.1.0",
            }
        },
        "x-close-codes": {str(code): why for code, why in CLOSE_CODES.items()},
        "x-error-codes": [code.value for code in ErrorCode],
    }


def _operations() -> Iterator[tuple[str, Json]]:
    channel = {"$ref": f"#/channels/{_CHANNEL}"}

    def refer(name: str) -> Json:
        return {"$ref": f"#/channels/{_CHANNEL}/messages/{name}"}

    for kind, model in client_frames().items():
        answers = (*ANSWERS.get(kind, ("ack",)), "error")
        yield (
            f"receive-{kind}",
            {
                "action": "receive",
                "channel": channel,
                "summary": _summary(model),
                "messages": [refer(f"client-{kind}")],
                "reply": {"channel": channel, "messages": [refer(f"server-{answer}") for answer in answers]},
            },
        )
    answering = {"ack", "error", "pong", "time", "resumed"}
    for kind, model in server_frames().items():
        if kind not in answering:
            yield (
                f"send-{kind}",
                {
                    "action": "send",
                    "channel": channel,
                    "summary": _summary(model),
                    "messages": [refer(f"server-{kind}")],
                },
            )


def _summary(model: type[Any]) -> str:
    return (inspect.getdoc(model) or "").partition("\n\n")[0].replace("\n", " ")


def _message(name: str, model: type[Any], payload: Json) -> Json:
    sender, _, kind = name.partition("-")
    message: Json = {
        "name": kind,
        "title": kind,
        "summary": _summary(model),
        "contentType": "application/json",
        "payload": payload,
        "examples": [
            {"name": example.name, "payload": json.loads(example.text)}
            for example in examples()
            if example.valid and example.sender == sender and example.kind == kind
        ],
    }
    if sender == "client" or kind not in {*EVENTS, *MOMENTS}:
        message["correlationId"] = {
            "location": "$message.payload#/id",
            "description": "Chosen by the client, given back as it came.",
        }
    return message


def _schemas() -> tuple[Json, dict[str, Json]]:
    """The component schemas, and the payload of each message."""
    wanted: list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = [
        (f"client-{kind}", "validation", TypeAdapter(model)) for kind, model in client_frames().items()
    ]
    wanted += [
        (f"server-{kind}", "serialization", TypeAdapter(model)) for kind, model in server_frames().items()
    ]
    found, defined = TypeAdapter.json_schemas(wanted, ref_template=_REFERENCES)
    parts: Json = dict(defined.get("$defs", {}))
    payloads: dict[str, Json] = {}
    for (name, _mode), schema in found.items():
        # A payload that nothing else refers to stands in its message.
        payloads[name] = schema
    for shape in _shapes(Shape):
        _describe(parts.get(shape.__name__, {}), shape)
    for name, model in {**EVENTS, **MOMENTS}.items():
        for schema in (payloads[f"server-{name}"], parts.get(model.__name__, {})):
            _as_sent(schema, numbered=name in EVENTS)
    payloads = {name: _clean(schema) for name, schema in payloads.items()}
    parts = {name: _clean(schema) for name, schema in parts.items()}
    used = set(_names(list(payloads.values()), parts))
    return {name: schema for name, schema in parts.items() if name in used}, payloads


def _names(node: Any, parts: Json) -> Iterator[str]:
    """The component schemas that `node` refers to, directly or by another; none refers to itself."""
    if isinstance(node, list):
        for part in node:
            yield from _names(part, parts)
    elif isinstance(node, dict):
        if "$ref" in node:
            name = node["$ref"].rpartition("/")[2]
            yield name
            yield from _names(parts[name], parts)
        else:
            yield from _names(list(node.values()), parts)


def _shapes(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for model in base.__subclasses__():
        if model.__module__.startswith(bus_schemas.__name__):
            yield model
            yield from _shapes(model)


def _describe(schema: Json, model: type[BaseModel]) -> None:
    """Say of each field what stands below it in the code: units, mostly."""
    properties = schema.get("properties")
    if not properties:
        return
    try:
        (body,) = ast.parse(inspect.getsource(model)).body
    except (OSError, SyntaxError):
        return  # An installation without sources: the document does without.
    assert isinstance(body, ast.ClassDef)
    for field, below in pairwise(body.body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
            and field.target.id in properties
        ):
            properties[field.target.id].setdefault("description", inspect.cleandoc(below.value.value))


def _as_sent(schema: Json, *, numbered: bool) -> None:
    """A message of the bus as clients get it: every field there, but for the server's own."""
    properties = schema.get("properties")
    if properties is None:
        return
    for field in EVENT_INTERNAL:
        properties.pop(field, None)
    if numbered:
        properties["seq"] = {**TypeAdapter(Seq).json_schema(), "description": _EVENT_SEQ}
    schema["required"] = list(properties)


def _clean(node: Any) -> Any:
    """JSON Schema as AsyncAPI has it (draft 7): a reference stands alone, titles say nothing here."""
    if isinstance(node, list):
        return [_clean(part) for part in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return {"$ref": node["$ref"]}
    cleaned = {}
    for key, part in node.items():
        if key == "properties":
            cleaned[key] = {name: _clean(schema) for name, schema in part.items()}
        elif key not in _NOISE:
            cleaned[key] = _clean(part)
    return cleaned
