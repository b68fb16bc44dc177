"""What comes from an app, sent so that it can do nothing to who opens it: a browser takes it for what we say it is.

answer of a route   inert types as they are; all else is a download of bytes. Never a script, a style or a page
file of a page      scripts and styles too, in a sandbox of its own origin, with no network
frame of a page     a document of ours that holds the module whole: it asks for nothing more

A page speaks to the console that shows it by messages (frames/client.js, which is in the frame before the module), and
the console speaks to the app's routes, with the rights of who looks.
Source: Content Security Policy Level 3 §6.3, §6.4; HTML §7.6 (sandboxing); RFC 6266, RFC 8187.
"""

from __future__ import annotations

import base64
import html
import re
import secrets
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import quote

from starlette.responses import Response

from headrace.sdk.apps import Reply

_INERT: Final = frozenset({
    "application/json", "application/pdf", "text/plain", "text/csv", "image/png", "image/jpeg", "image/webp",
    "image/gif", "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet",
})  # fmt: skip
_FILE_ONLY: Final = re.compile(r"application/(zip|gzip|vnd\.[a-z0-9.-]{1,100})|audio/[a-z0-9.-]{1,30}", re.ASCII)
BYTES: Final = "application/octet-stream"
_PAGE_TYPES: Final = {
    ".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript",
    ".json": "application/json", ".toml": "text/plain", ".txt": "text/plain", ".md": "text/plain",
    ".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif", ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}  # fmt: skip

REPLY_POLICY: Final = "sandbox; default-src 'none'; frame-ancestors 'none'"
PAGE_POLICY: Final = (
    "sandbox allow-scripts; default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_FRAME_POLICY: Final = (
    "sandbox allow-scripts; default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_FRAMED: Final = {"X-Frame-Options": "SAMEORIGIN"}
_FRAME: Final = """<!doctype html>
<html lang="{language}"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
{style}</style></head>
<body><main id="app" data-app="{app}" data-page="{page}" data-version="{version}" data-language="{language}"></main>
<script nonce="{nonce}">
{client}</script>
<script type="module" nonce="{nonce}" src="data:text/javascript;base64,{module}"></script></body></html>
"""
_FRAMES: Final = files("headrace.api") / "frames"
_CLIENT: Final = (_FRAMES / "client.js").read_text("utf-8")
_STYLE: Final = (_FRAMES / "frame.css").read_text("utf-8")


def reply_response(reply: Reply) -> Response:
    """The answer of a route."""
    headers = {"Content-Security-Policy": REPLY_POLICY}
    if reply.status in (204, 205):
        return Response(status_code=reply.status, headers=headers)
    media_type = reply.media_type.partition(";")[0].strip().lower()
    inert = media_type in _INERT
    if not inert and not _FILE_ONLY.fullmatch(media_type):
        media_type = BYTES
    if reply.file or not inert:
        headers["Content-Disposition"] = disposition(reply.file or "download")
    if media_type.startswith("text/"):
        media_type += "; charset=utf-8"
    status = reply.status if 200 <= reply.status < 300 else 200
    return Response(reply.body, status, headers, media_type)


def page_response(file: str, data: bytes) -> Response:
    """A file of a page."""
    media_type = _PAGE_TYPES.get(PurePosixPath(file).suffix.lower(), BYTES)
    headers = {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-cache", **_FRAMED}
    if media_type == BYTES:
        headers["Content-Disposition"] = disposition(PurePosixPath(file).name)
    if media_type.startswith("text/"):
        media_type += "; charset=utf-8"
    return Response(data, headers=headers, media_type=media_type)


def frame_response(*, app: str, page: str, version: str, title: str, language: str, module: bytes) -> Response:
    """A document for a frame; the module is in it as a data address, so no text of it can end the element."""
    nonce = secrets.token_urlsafe(18)
    said = {"app": app, "page": page, "version": version, "title": title, "language": language}
    text = _FRAME.format(
        nonce=nonce, module=base64.b64encode(module).decode(), client=_CLIENT, style=_STYLE,
        **{name: html.escape(one) for name, one in said.items()},
    )  # fmt: skip
    headers = {"Content-Security-Policy": _FRAME_POLICY.format(nonce=nonce), **_FRAMED}
    return Response(text, headers=headers, media_type="text/html; charset=utf-8")


def disposition(name: str) -> str:
    """A download of that name; folders and control characters of it are left out."""
    plain = "".join(one for one in re.split(r"[/\\]", name)[-1] if one.isprintable())[:150].strip(". ") or "download"
    ascii_name = re.sub(r"[^A-Za-z0-9._ -]", "_", plain)
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(plain, safe='')}"
