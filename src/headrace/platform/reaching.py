"""What `control/` is given of the running rooms: devices to write to, readings to judge by, persons to tell apart.

FieldWriter ─► a connection of ours, or an edge's        PlantReadings ─► live table, history
persons ─► a token stands for whoever made it
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import numpy as np

from headrace.exchange.link import EdgeHub
from headrace.model.batch import Batch, Value
from headrace.model.errors import LimitReached, Unavailable
from headrace.model.plant import PlantModel
from headrace.sdk.access import Principal
from headrace.sdk.accounts import AccessDesk
from headrace.sdk.field import DeviceWriter, Reading
from headrace.sdk.services import LiveValues
from headrace.sdk.store import HistoryStore

LOCAL_NAME: Final = "local"
_TOKEN: Final = "token:"


class FieldWriter:
    """Implements `sdk.field.DeviceWriter`. `hub` gives the hub's end of all links, None where edges are not let in."""

    def __init__(self, model: Callable[[], PlantModel], links: DeviceWriter, hub: Callable[[], EdgeHub | None]) -> None:
        self._model, self._links, self._hub = model, links, hub

    async def write(self, path: str, value: Value) -> None:
        edge = self._edge_of(path)
        if not edge:
            await self._links.write(path, value)
        else:
            await self._at(edge, path).write(edge, path, value)

    async def read_back(self, path: str) -> Batch:
        edge = self._edge_of(path)
        return await (self._at(edge, path).read_back(edge, path) if edge else self._links.read_back(path))

    def _edge_of(self, path: str) -> str:
        model = self._model()
        point = model.points.get(path)
        connection = model.connections.get(point.source.connection) if point and point.source else None
        return (connection.edge or "") if connection is not None else ""

    def _at(self, edge: str, path: str) -> EdgeHub:
        hub = self._hub()
        if hub is None:
            raise Unavailable(f"'{path}' is at edge '{edge}', and this platform lets no edges in; run `headrace hub`")
        return hub


class PlantReadings:
    """Implements `sdk.field.PlantReader`. `handles` gives the handle of each declared path."""

    def __init__(self, live: LiveValues, store: HistoryStore, handles: Callable[[], Mapping[str, int]]) -> None:
        self._live, self._store, self._handles = live, store, handles

    def newest(self, path: str) -> Reading | None:
        handle = self._handles().get(path)
        if handle is None:
            return None
        held = self._live.get(np.array([handle], np.uint32))
        return Reading(held.values[0], int(held.source_ns[0]), int(held.received_ns[0]), int(held.quality[0]))

    async def span(self, path: str, start_ns: int, end_ns: int) -> Sequence[Batch]:
        handle = self._handles().get(path)
        if handle is None:
            return []
        page = await self._store.raw(np.array([handle], np.uint32), start_ns, end_ns)
        if page.next_cursor is not None:
            raise LimitReached("it has too many samples for that; declare a shorter time")
        return page.batches


def persons(access: AccessDesk) -> Callable[[Principal], Awaitable[str]]:
    """Who is behind a principal: for a token the person who made it, through other tokens where they made it.

    '' is nobody in particular: the local command, and what was made with it.
    """

    async def person_of(principal: Principal) -> str:
        if principal.via == "local":
            return ""
        name = principal.name
        makers: dict[str, set[str]] = {}
        if name.startswith(_TOKEN):
            tokens = await access.tokens(principal.tenant)
            own = [token for token in tokens if f"{_TOKEN}{token.id}" == principal.subject]
            name = own[0].created_by if own else name
            for token in tokens:
                makers.setdefault(f"{_TOKEN}{token.name}", set()).add(token.created_by)
        seen: set[str] = set()
        while name.startswith(_TOKEN):
            found = makers.get(name, set())
            if len(found) != 1 or name in seen:  # withdrawn, or two of one name: nobody can say who
                return ""
            seen.add(name)
            name = next(iter(found))
        return "" if name == LOCAL_NAME else name

    return person_of
