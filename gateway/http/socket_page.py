"""The socket's AsyncAPI document, and a plain page to read it on: no scripts, nothing fetched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any, Final

from aiohttp import web

from gateway.http.api_page import STYLE, rows, type_of
from gateway.http.endpoints import API
from gateway.http.pages import POLICY
from gateway.ws.asyncapi import document
from runtime.lifecycle import version

_HEADS: Final = (
    ("client-", "What clients send"),
    ("server-", "What clients are sent"),
)


def _message(name: str, message: dict[str, Any], schemas: dict[str, Any]) -> str:
    payload = message["payload"]
    if "$ref" in payload:
        payload = schemas[payload["$ref"].rpartition("/")[2]]
    examples = "".join(
        f"<pre>{escape(json.dumps(one['payload'], ensure_ascii=False))}</pre>" for one in message["examples"]
    )
    return (
        f'<details id="{escape(name)}"><summary><b>{escape(message["name"])}</b> {escape(message["summary"])}'
        f"</summary><table>{rows(payload)}</table>{examples}</details>"
    )


def _parts(whole: dict[str, Any]) -> Iterator[str]:
    messages, schemas = whole["components"]["messages"], whole["components"]["schemas"]
    frames = {message["payload"].get("$ref", "").rpartition("/")[2] for message in messages.values()}
    for prefix, head in _HEADS:
        yield f"<h2>{head}</h2>"
        for name, message in messages.items():
            if name.startswith(prefix):
                yield _message(name, message, schemas)
    channel = whole["channels"]["socket"]
    closes = "".join(
        f"<tr><td><code>{escape(code)}</code></td><td>{escape(why)}</td></tr>"
        for code, why in channel["x-close-codes"].items()
    )
    codes = ", ".join(f"<code>{escape(code)}</code>" for code in channel["x-error-codes"])
    yield f"<h2>Close codes</h2><table>{closes}</table><h2>Error codes</h2><p>{codes}</p><h2>Shapes</h2>"
    for name, schema in sorted(schemas.items()):
        if name not in frames:
            yield (
                f'<details id="{escape(name)}"><summary><b>{escape(name)}</b></summary>'
                f"<p>{escape(schema.get('description', ''))}</p><table>{rows(schema)}</table>"
                f"{'' if 'properties' in schema else type_of(schema)}</details>"
            )


def render(whole: dict[str, Any]) -> str:
    """The page of the document made by `gateway.ws.asyncapi`."""
    info = whole["info"]
    title = f"{escape(info['title'])} {escape(info['version'])}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
        f"<style>{STYLE} pre {{ white-space: pre-wrap; overflow-wrap: anywhere }}</style><h1>{title}</h1>"
        f"<p>{escape(info['description'])}</p>"
        f'<p>The same for programs: <a href="{escape(API)}asyncapi.json">asyncapi.json</a>. '
        f'The HTTP API: <a href="/docs">/docs</a>.</p>'
        f"{''.join(_parts(whole))}</html>\n"
    )


def add_routes(app: web.Application) -> None:
    """Register the document and its page."""
    whole = document(version())
    body = json.dumps(whole, separators=(",", ":")).encode()
    text = render(whole)

    async def asyncapi(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-cache"})

    async def page(_request: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
        return web.Response(text=text, content_type="text/html", headers=headers)

    app.router.add_get(API + "asyncapi.json", asyncapi)
    app.router.add_get("/docs/socket", page)
