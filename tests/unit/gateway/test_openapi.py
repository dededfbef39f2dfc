"""The whole API as declared: every route documented, every document valid."""

import re

from aiohttp import web

import gateway.http.accounts
import gateway.http.admin
import gateway.http.clock
import gateway.http.members
import gateway.http.messages
import gateway.http.playback
import gateway.http.playlist
import gateway.http.rooms
import gateway.http.sign_in
import gateway.http.streams
from bus_schemas.errors import HTTP_STATUS, ErrorCode
from gateway.http.api_page import render
from gateway.http.endpoints import ENDPOINTS, Endpoint
from gateway.http.openapi import document, refusals

PARTS = (
    gateway.http.accounts, gateway.http.admin, gateway.http.clock, gateway.http.members, gateway.http.messages,
    gateway.http.playback, gateway.http.playlist, gateway.http.rooms, gateway.http.sign_in, gateway.http.streams,
)  # fmt: skip

PROMISED = """
POST auth/register  POST auth/login  POST auth/refresh  POST auth/logout  POST auth/guest  GET auth/providers
GET users/me  PATCH users/me  DELETE users/me  POST users/me/password
POST rooms  GET rooms  GET rooms/mine  GET rooms/{room}  PATCH rooms/{room}  DELETE rooms/{room}
POST rooms/{room}/join  POST rooms/{room}/leave  GET rooms/{room}/members
PATCH rooms/{room}/members/{user}  DELETE rooms/{room}/members/{user}
GET rooms/{room}/playlist  POST rooms/{room}/playlist  DELETE rooms/{room}/playlist
PATCH rooms/{room}/playlist/{item}  DELETE rooms/{room}/playlist/{item}  POST rooms/{room}/playlist/{item}/move
POST rooms/{room}/playlist/undo  GET rooms/{room}/playlist/history  POST rooms/{room}/playlist/{item}/duration
GET rooms/{room}/playback  POST rooms/{room}/playback
GET rooms/{room}/messages  DELETE rooms/{room}/messages/{id}
POST rooms/{room}/streams  POST streams  GET streams/{stream}  POST streams/{stream}/rotate-key
DELETE streams/{stream}  DELETE streams/{stream}/publisher  GET streams  PATCH streams/{stream}
GET admin/streams  GET admin/nodes  GET time
"""


def whole() -> web.Application:
    app = web.Application()
    for part in PARTS:
        part.add_routes(app)
    return app


def endpoints_of(app: web.Application) -> list[Endpoint]:
    return app[ENDPOINTS]


def without_names(path: str) -> str:
    """Parameters may be called otherwise."""
    return re.sub(r"{[a-z_]+}", "{}", path)


def test_every_promised_endpoint_is_there_and_nothing_beyond() -> None:
    """The contract's list for this depth."""
    promised = {
        (method, without_names(path))
        for method, path in re.findall(r"(GET|POST|PATCH|DELETE) (\S+)", PROMISED)
    }

    assert {(one.method, without_names(one.path)) for one in endpoints_of(whole())} == promised


def test_every_route_of_the_api_is_in_the_document() -> None:
    """Nothing is served below /api/v1/ that is not documented, and the other way round."""
    app = whole()
    routes = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.resource.canonical.startswith("/api/")
    }
    documented = {
        (method.upper(), "/api/v1" + path)
        for path, operations in document(endpoints_of(app), "1")["paths"].items()
        for method in operations
    }

    assert routes == documented


def test_every_reference_leads_somewhere_and_every_operation_is_named_once() -> None:
    """No dangling $ref, no two operations of one id, path parameters all declared."""
    made = document(endpoints_of(whole()), "1")
    text = repr(made)
    operations = [(path, one) for path, methods in made["paths"].items() for one in methods.values()]

    assert set(re.findall(r"#/components/schemas/([\w.-]+)", text)) <= set(made["components"]["schemas"])
    assert len({one["operationId"] for _, one in operations}) == len(operations)
    for path, one in operations:
        declared = {given["name"] for given in one.get("parameters", ()) if given["in"] == "path"}
        assert declared == set(re.findall(r"{([a-z_]+)}", path))


def test_every_refusal_of_an_endpoint_is_documented() -> None:
    """By its status, as a problem document."""
    app = whole()
    made = document(endpoints_of(app), "1")

    for endpoint in endpoints_of(app):
        responses = made["paths"]["/" + endpoint.path][endpoint.method.lower()]["responses"]
        for code in refusals(endpoint):
            assert "application/problem+json" in responses[str(HTTP_STATUS[code])]["content"]
        assert str(HTTP_STATUS[ErrorCode.UNAVAILABLE]) in responses


def test_the_page_shows_every_operation_and_escapes_what_it_shows() -> None:
    """Plain HTML without scripts."""
    made = document(endpoints_of(whole()), "<script>")
    page = render(made)

    assert all(f"/api/v1{path}" in page for path in made["paths"])
    assert "<script" not in page
