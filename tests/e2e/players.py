"""Players that others have written, each on a page of its own, from another origin than the media."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from aiohttp import web

from tests.stack import PROJECT

_MODULES: Final = PROJECT / "web" / "node_modules"
SCRIPTS: Final = {
    "hls": _MODULES / "hls.js" / "dist" / "hls.min.js",
    "mpegts": _MODULES / "mpegts.js" / "dist" / "mpegts.js",
    "dash": _MODULES / "dashjs" / "dist" / "modern" / "umd" / "dash.all.min.js",
}
_STARTS: Final = {
    "hls": """
        const player = new Hls({lowLatencyMode: false});
        player.on(Hls.Events.ERROR, (_, data) => { if (data.fatal) faults.push(data.details); });
        player.loadSource(url); player.attachMedia(video); video.play().catch(() => {});""",
    "mpegts": """
        const player = mpegts.createPlayer({type: 'flv', isLive: true, url}, {enableWorker: false});
        player.on(mpegts.Events.ERROR, (kind, detail) => faults.push(kind + ' ' + detail));
        player.attachMediaElement(video); player.load(); video.play().catch(() => {});""",
    "dash": """
        const player = window.player = dashjs.MediaPlayer().create();
        player.on(dashjs.MediaPlayer.events.ERROR, fault => faults.push(JSON.stringify(fault.error ?? fault)));
        player.initialize(video, url, true);""",
    "native": "video.src = url; video.play().catch(() => {});",
}
_PAGE: Final = """<!doctype html><meta charset="utf-8"><video muted playsinline></video>
<script>{library}</script>
<script>
const faults = window.faults = [], video = document.querySelector('video');
const url = new URLSearchParams(location.search).get('url');
video.addEventListener('error', () => faults.push('video: ' + video.error.code + ' ' + video.error.message));
{start}
</script>"""


@asynccontextmanager
async def player_pages() -> AsyncIterator[str]:
    """Address of pages `/{player}?url=…` while the block runs; players are hls, mpegts, dash and native."""

    async def page(request: web.Request) -> web.Response:
        name = request.match_info["player"]
        script = SCRIPTS.get(name)
        library = Path(script).read_text("utf-8").replace("</script", "<\\/script") if script else ""
        text = _PAGE.format(library=library, start=_STARTS[name])
        return web.Response(text=text, content_type="text/html")

    app = web.Application()
    app.router.add_get("/{player:hls|mpegts|dash|native}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
