"""`headrace tail`: watch values as they come."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any

import orjson
import typer

from headrace.cli.client import DEFAULT_HOME, Client, HomeOption, JsonOption, ServerOption, connect
from headrace.cli.output import note, print_json, say
from headrace.model import quality
from headrace.model.errors import HeadraceError, NotFound
from headrace.model.text import shown as plain


def tail(
    paths: Annotated[list[str] | None, typer.Argument(help="Points or assets; everything if none is named.")] = None,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    count: Annotated[int, typer.Option("--count", "-n", help="Stop after this many values; 0 never.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Print values as they change. With --json one object a line."""
    client = connect(home, server)
    points = _expand(client, paths or [""])
    units = {point["path"]: point for point in points}
    asyncio.run(_tail(client, units, count, as_json))


def _expand(client: Client, paths: list[str]) -> list[dict[str, Any]]:
    """Points below each path, or the point itself."""
    found: list[dict[str, Any]] = []
    for path in paths:
        try:
            found.extend(_below(client, path))
        except NotFound:
            try:
                found.append(client.get(f"/points/{path}"))
            except NotFound:
                raise NotFound(f"'{path}' is neither an asset nor a point; `headrace points list` shows all") from None
    return found


def _below(client: Client, asset: str) -> list[dict[str, Any]]:
    """All points below an asset, or all there are. Raises: NotFound where there is no such asset."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = client.get("/points", asset=asset or None, limit=1000, cursor=cursor)
        found.extend(page["points"])
        cursor = page["next_cursor"]
        if not cursor:
            return found


async def _tail(client: Client, points: dict[str, dict[str, Any]], count: int, as_json: bool) -> None:
    from websockets.asyncio.client import connect as open_socket

    address = client.url.replace("http", "ws", 1) + "/api/v1/live"
    tls = client.verify if address.startswith("wss:") else None
    headers = {"Authorization": f"Bearer {client.token}"} if client.token else {}
    known: list[str] = []
    seen = 0
    async with open_socket(address, additional_headers=headers, max_size=None, proxy=None, ssl=tls) as socket:
        await socket.send(orjson.dumps({"subscribe": list(points), "alarms": False, "max_hz": 10}).decode())
        async for text in socket:
            message = orjson.loads(text)
            if message["type"] == "points":
                known = message["paths"]
                note(f"{len(known)} points; stop with Ctrl-C")
            elif message["type"] == "changes":
                for at, value, time_ms, code in zip(
                    message["i"], message["v"], message["t"], message["q"], strict=True
                ):
                    _print_value(points[known[at]], value, time_ms, code, as_json)
                    seen += 1
                    if count and seen >= count:
                        return
            elif message["type"] == "error":
                raise HeadraceError(message["message"])


def _print_value(point: dict[str, Any], value: Any, time_ms: float, code: int, as_json: bool) -> None:
    if as_json:
        print_json({"path": point["path"], "time_ms": time_ms, "value": value, "quality": quality.name_of(code)})
        return
    moment = datetime.fromtimestamp(time_ms / 1000).astimezone().strftime("%H:%M:%S.%f")[:-3]
    decimals = point.get("decimals")
    shown = f"{value:.{decimals}f}" if isinstance(value, float) and decimals is not None else str(value)
    flag = "" if quality.severity(code) == "good" else f"  [{quality.name_of(code)}]"
    unit = "" if point["unit"] == "1" else f" {point['unit']}"
    say(f"{moment}  {point['path']}  {plain(shown)}{unit}{flag}")
