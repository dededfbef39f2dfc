"""The browser client: its pages, its files, and the policy they run under."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aiohttp import web

from bus_schemas.errors import ErrorCode, Refused
from gateway.membership import check_id
from gateway.services import SERVICES, Services

BESIDE_THE_CODE: Final = Path(__file__).resolve().parent.parent / "static"

_RULES: Final = (
    "default-src 'none'",
    "script-src 'self'",
    "worker-src 'self' blob:",
    "style-src 'self' 'unsafe-inline'",
    "img-src * data: blob:",
    "font-src 'self' data:",
    "media-src * blob: data:",
    "connect-src * blob: data: ws: wss:",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
)
POLICY: Final = "; ".join(_RULES)
"""Media and its servers may be anywhere, since an item is any URL; code is ours alone."""

_YEAR: Final = "public, max-age=31536000, immutable"
_HASHED: Final = "assets"
"""The folder in which the build puts files with a hash in their names."""

NOT_BUILT: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Matinee</title>
<style>body { font: 1rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem }</style>
<h1>Matinee is running</h1>
<p>The browser client is not built on this machine. <code>./matinee up</code> builds it;
by hand it is <code>npm ci &amp;&amp; npm run build</code> in <code>web/</code>.</p>
<p>The API is here all the same: <a href="/docs">/docs</a>.</p>
</html>
"""


def static_root(services: Services) -> Path:
    """The folder that holds `app/`, the built client."""
    named = services.ctx.settings.gateway.static_dir
    return Path(named) if named else BESIDE_THE_CODE


def file_below(root: Path, relative: str) -> Path | None:
    """The file of that name below `root`; None for none, and for a way out of it."""
    if "\0" in relative:
        return None
    try:
        path = (root / relative).resolve()
        inside = path.is_relative_to(root.resolve())
        return path if inside and path.is_file() else None
    except OSError:  # A name too long for the file system.
        return None


async def page(request: web.Request) -> web.StreamResponse:
    """Any page of the client: which one is the client's business."""
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    index = file_below(static_root(request.app[SERVICES]), "app/index.html")
    if index is None:
        return web.Response(text=NOT_BUILT, content_type="text/html", headers=headers)
    return web.FileResponse(index, headers=headers)


async def page_of_id(request: web.Request) -> web.StreamResponse:
    """A page about one thing; what could never be its id is 404."""
    try:
        check_id(request.match_info["id"])
    except Refused as exc:
        raise web.HTTPNotFound from exc
    return await page(request)


async def asset(request: web.Request) -> web.StreamResponse:
    """A file of the client; those with a hash in their names never change."""
    relative = request.match_info["path"]
    path = file_below(static_root(request.app[SERVICES]) / "app", relative)
    if path is None:
        raise Refused(ErrorCode.NOT_FOUND, "There is no such file.")
    lasting = relative.startswith(f"{_HASHED}/")
    return web.FileResponse(path, headers={"Cache-Control": _YEAR if lasting else "no-cache"})


def add_routes(app: web.Application) -> None:
    """Register the pages; anything else is 404."""
    for path in ("/", "/account"):
        app.router.add_get(path, page)
    for path in ("/r/{id}", "/s/{id}"):
        app.router.add_get(path, page_of_id)
    app.router.add_get("/static/app/{path:.+}", asset)
