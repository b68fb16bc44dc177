"""The built console: files of one folder, an index for every page of the app, and caching that survives upgrades.

/assets/name-hash.js   immutable for a year      (br or gzip where a built sibling exists and the browser takes it)
other files            checked each time
any page               index.html, checked each time
"""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Final

import anyio.to_thread
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketClose

from headrace.api.errors import error_response

_MIME: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
_ENCODINGS: Final = (("br", ".br"), ("gzip", ".gz"))
_NOT_OURS: Final = ("api/", "metrics")

_NOT_BUILT: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Headrace</title>
<style>body{font:16px/1.6 system-ui,sans-serif;max-width:42rem;margin:15vh auto;padding:0 1rem}
code{background:#eee;padding:.1em .3em;border-radius:3px}</style>
<h1>Headrace is running</h1>
<p>The console has not been built yet. Run <code>make demo</code>, which builds it, or <code>npm run build</code> in
<code>console/</code>, and reload this page.</p>
<p lang="zh">控制台尚未构建。请运行 <code>make demo</code>（会自动构建），然后刷新本页。</p>
<p>The API is at <code>/api/v1</code>.</p>
</html>
"""


class ConsoleFiles:
    """An ASGI application for everything that is not the API."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await WebSocketClose()(scope, receive, send)
            return
        request = Request(scope, receive)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        name = request.url.path.lstrip("/")
        if name.startswith(_NOT_OURS) or name == "api":
            return error_response(404, "not-found", "there is nothing at this address")
        if request.method not in ("GET", "HEAD"):
            return error_response(405, "method-not-allowed", "files can only be read", headers={"Allow": "GET, HEAD"})
        return await anyio.to_thread.run_sync(self._find, name, request.headers)

    def _find(self, name: str, headers: Headers) -> Response:
        file = self._inside(name)
        if file is not None:
            return _file_response(file, headers, immutable=name.startswith("assets/"))
        if name and "text/html" not in headers.get("accept", ""):
            return error_response(404, "not-found", "there is no such file")
        index = self._folder / "index.html"
        if not index.is_file():
            return HTMLResponse(_NOT_BUILT, headers={"Cache-Control": "no-store"})
        return _file_response(index, headers, immutable=False)

    def _inside(self, name: str) -> Path | None:
        if not name or "\0" in name:
            return None
        try:
            file = (self._folder / name).resolve()
            return file if file.is_relative_to(self._folder) and file.is_file() else None
        except OSError:  # a name too long for the file system
            return None


def _file_response(file: Path, headers: Headers, *, immutable: bool) -> Response:
    accepted = {part.partition(";")[0].strip() for part in headers.get("accept-encoding", "").split(",")}
    sent, extra = file, {"Cache-Control": "public, max-age=31536000, immutable" if immutable else "no-cache"}
    for encoding, suffix in _ENCODINGS:
        packed = file.with_name(file.name + suffix)
        if packed.is_file():
            extra["Vary"] = "Accept-Encoding"
            if encoding in accepted:
                sent, extra["Content-Encoding"] = packed, encoding
                break
    mime = _MIME.get(file.suffix.lower()) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    stat = sent.stat()
    extra["ETag"] = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
    if extra["ETag"] in headers.get("if-none-match", ""):
        return Response(status_code=304, headers=extra)
    return FileResponse(sent, media_type=mime, headers=extra, stat_result=stat)
