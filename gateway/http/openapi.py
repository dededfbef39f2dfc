"""OpenAPI 3.1 of the API, made from the endpoints' own declarations, and a page to read it on."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from bus_schemas.errors import HTTP_STATUS, ErrorCode
from bus_schemas.messages.base import TOKEN_PATTERN, Shape
from bus_schemas.messages.shapes import PlaybackState
from gateway.http.api_page import render
from gateway.http.endpoints import API, ENDPOINTS, Endpoint
from gateway.http.pages import POLICY, file_below, static_root
from gateway.services import SERVICES
from runtime.lifecycle import version

_PARAMETER: Final = re.compile(r"{([a-z_]+)}")
_REFERENCES: Final = "#/components/schemas/{model}"
_BY_STATUS: Final[dict[ErrorCode, str]] = {
    ErrorCode.INVALID: "The body is no JSON (400), or some values are not right (422).",
    ErrorCode.UNAUTHENTICATED: "No valid access token.",
    ErrorCode.FORBIDDEN: "Known, but not allowed.",
    ErrorCode.NOT_FOUND: "No such thing, or its existence is a secret.",
    ErrorCode.STREAM_OFFLINE: "Nobody publishes the stream now.",
    ErrorCode.CONFLICT: "The state moved on.",
    ErrorCode.TOO_LARGE: "The body is too large.",
    ErrorCode.RATE_LIMITED: "Too many requests: Retry-After says when.",
    ErrorCode.UNAVAILABLE: "A part behind is not answering: Retry-After says when.",
}


class FieldFault(Shape):
    """One value that is not right."""

    path: str
    detail: str


class ProblemDocument(Shape):
    """RFC 9457."""

    type: str
    title: str
    status: int
    code: ErrorCode
    detail: str
    request_id: str
    errors: tuple[FieldFault, ...] | None = None
    state: PlaybackState | None = None
    retry_after: float | None = None
    """Seconds; also the answer's `Retry-After`, in whole ones."""


def refusals(endpoint: Endpoint) -> frozenset[ErrorCode]:
    """Every code the endpoint may answer with."""
    codes = {ErrorCode.UNAVAILABLE, ErrorCode.RATE_LIMITED, *endpoint.errors}
    if endpoint.access == "signed-in":
        codes.add(ErrorCode.UNAUTHENTICATED)
    if endpoint.body is not None:
        codes |= {ErrorCode.INVALID, ErrorCode.TOO_LARGE}
    if endpoint.query is not None:
        codes.add(ErrorCode.INVALID)
    return frozenset(codes)


def document(endpoints: Sequence[Endpoint], server_version: str) -> dict[str, Any]:
    """The OpenAPI document of these endpoints."""
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [(ProblemDocument, "serialization")]
    for endpoint in endpoints:
        for model, mode in ((endpoint.body, "validation"), (endpoint.query, "validation")):
            if model is not None:
                wanted.append((model, "validation" if mode == "validation" else "serialization"))
        if endpoint.answer is not None:
            wanted.append((endpoint.answer, "serialization"))
    unique = list(dict.fromkeys(wanted))
    references, definitions = models_json_schema(unique, ref_template=_REFERENCES)
    schemas: dict[str, Any] = dict(definitions.get("$defs", {}))

    def resolve(model: type[BaseModel], mode: JsonSchemaMode) -> dict[str, Any]:
        return dict(references[model, mode])

    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        paths.setdefault("/" + endpoint.path, {})[endpoint.method.lower()] = _operation(
            endpoint, resolve, schemas
        )
    for endpoint in endpoints:
        if endpoint.query is not None:
            # Query models are spelt out as parameters.
            schemas.pop(resolve(endpoint.query, "validation")["$ref"].rpartition("/")[2], None)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Matinee", "version": server_version, "license": {"name": "Apache-2.0"}},
        "servers": [{"url": API.rstrip("/")}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _operation(endpoint: Endpoint, resolve: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {
            "name": name, "in": "path", "required": True,
            "schema": {"type": "string", "pattern": f"^{TOKEN_PATTERN}$", "maxLength": 64},
        }
        for name in _PARAMETER.findall(endpoint.path)
    ]  # fmt: skip
    if endpoint.query is not None:
        schema = schemas[resolve(endpoint.query, "validation")["$ref"].rpartition("/")[2]]
        parameters += [
            {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": part}
            for name, part in schema["properties"].items()
        ]
    responses: dict[str, Any] = {}
    if endpoint.answer is None:
        responses["204"] = {"description": "Done."}
    else:
        responses[str(endpoint.status)] = {
            "description": HTTPStatus(endpoint.status).phrase,
            "content": {"application/json": {"schema": resolve(endpoint.answer, "serialization")}},
        }
    for code in sorted(refusals(endpoint), key=lambda code: HTTP_STATUS[code]):
        responses.setdefault(str(HTTP_STATUS[code]), _problem_response(code, resolve))
        if code is ErrorCode.INVALID and endpoint.body is not None:
            responses["400"] = _problem_response(code, resolve)
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "operationId": f"{endpoint.tag}.{endpoint.handler.__name__}",
        "tags": [endpoint.tag],
        "responses": responses,
    }
    if parameters:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        body = resolve(endpoint.body, "validation")
        required = any(field.is_required() for field in endpoint.body.model_fields.values())
        operation["requestBody"] = {"required": required, "content": {"application/json": {"schema": body}}}
    if endpoint.access == "anybody":
        operation["security"] = []
    return operation


def _problem_response(code: ErrorCode, resolve: Any) -> dict[str, Any]:
    return {
        "description": _BY_STATUS[code],
        "content": {"application/problem+json": {"schema": resolve(ProblemDocument, "serialization")}},
    }


def add_routes(app: web.Application) -> None:
    """Register the document and its page; call it after every part has declared its endpoints."""
    endpoints = app[ENDPOINTS]
    whole = document(endpoints, version())
    body = json.dumps(whole, separators=(",", ":")).encode()
    text = render(whole)

    async def openapi(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-cache"})

    async def docs(request: web.Request) -> web.StreamResponse:
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
        swagger = file_below(static_root(request.app[SERVICES]), "app/docs.html")
        if swagger is not None and "plain" not in request.query:
            return web.FileResponse(swagger, headers=headers)
        return web.Response(text=text, content_type="text/html", headers=headers)

    app.router.add_get(API + "openapi.json", openapi)
    app.router.add_get("/docs", docs)
