"""The OpenAPI document as one plain page: no scripts, nothing fetched. Pure."""

from __future__ import annotations

from html import escape
from typing import Any, Final

STYLE: Final = """
:root { color-scheme: light dark }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code, pre { font: .9rem/1.4 ui-monospace, monospace }
details { border: 1px solid #8886; border-radius: .4rem; margin: .4rem 0; padding: .4rem .7rem }
summary { cursor: pointer }
summary b { display: inline-block; min-width: 4.5rem }
table { border-collapse: collapse; margin: .5rem 0 }
td { border-top: 1px solid #8884; padding: .2rem .8rem .2rem 0; vertical-align: top }
"""


def type_of(schema: dict[str, Any]) -> str:
    """A schema in a few words of HTML, its named parts as links."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f'<a href="#{escape(name)}">{escape(name)}</a>'
    if "enum" in schema:
        return " | ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    if "const" in schema:
        return f"<code>{escape(str(schema['const']))}</code>"
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " | ".join(type_of(part) for part in schema[several])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"[{type_of(schema.get('items', {}))}]"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"{{{type_of(schema['additionalProperties'])}}}"
    bounds = [f"{word} {schema[key]}" for key, word in _BOUNDS.items() if key in schema]
    return escape(str(kind)) + (f" <small>({escape(', '.join(bounds))})</small>" if bounds else "")


_BOUNDS: Final = {
    "minimum": "from", "maximum": "to", "minLength": "at least", "maxLength": "at most", "maxItems": "at most",
}  # fmt: skip


def rows(schema: dict[str, Any]) -> str:
    """A schema's fields as rows of a table."""
    required = schema.get("required", ())
    return "".join(
        f"<tr><td><code>{escape(name)}</code>{'' if name in required else '?'}</td><td>{type_of(part)}</td>"
        f"<td>{escape(str(part.get('description', '')))}</td></tr>"
        for name, part in schema.get("properties", {}).items()
    )


def _content(holder: dict[str, Any]) -> str:
    return ", ".join(type_of(content["schema"]) for content in holder.get("content", {}).values())


def _operation(path: str, method: str, operation: dict[str, Any], base: str) -> str:
    parameters = "".join(
        f"<tr><td><code>{escape(one['name'])}</code>{'' if one['required'] else '?'}</td>"
        f"<td>{escape(one['in'])}</td><td>{type_of(one['schema'])}</td></tr>"
        for one in operation.get("parameters", ())
    )
    body = operation.get("requestBody")
    responses = "".join(
        f"<tr><td><code>{escape(status)}</code></td><td>{_content(response)}</td>"
        f"<td>{escape(response['description'])}</td></tr>"
        for status, response in operation["responses"].items()
    )
    access = "" if operation.get("security") == [] else "<p>Wants an access token.</p>"
    return (
        f"<details><summary><b>{escape(method.upper())}</b> <code>{escape(base + path)}</code> "
        f"{escape(operation['summary'])}</summary>{access}"
        + (f"<table>{parameters}</table>" if parameters else "")
        + (f"<p>Body: {_content(body)}</p>" if body else "")
        + f"<table>{responses}</table></details>"
    )


def render(document: dict[str, Any]) -> str:
    """The page of an OpenAPI document made by `gateway.http.openapi`."""
    base = document["servers"][0]["url"]
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            by_tag.setdefault(operation["tags"][0], []).append(_operation(path, method, operation, base))
    tags = "".join(f"<h2>{escape(tag)}</h2>{''.join(parts)}" for tag, parts in by_tag.items())
    shapes = "".join(
        f'<details id="{escape(name)}" open><summary><b>{escape(name)}</b></summary>'
        f"<p>{escape(schema.get('description', ''))}</p><table>{rows(schema)}</table>"
        f"{'' if 'properties' in schema else type_of(schema)}</details>"
        for name, schema in sorted(document["components"]["schemas"].items())
    )
    title = f"{escape(document['info']['title'])} {escape(document['info']['version'])}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}: API</title>'
        f"<style>{STYLE}</style><h1>{title}</h1>"
        f'<p>The HTTP API. The same for programs: <a href="{escape(base)}/openapi.json">openapi.json</a>. '
        f'The socket: <a href="/docs/socket">/docs/socket</a>.</p>'
        f"{tags}<h2>Shapes</h2>{shapes}</html>\n"
    )
