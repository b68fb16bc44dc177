"""Where a point's device is: at a connection of ours, or at an edge's. One door for `control/`, whichever it is."""

from __future__ import annotations

from collections.abc import Callable

from headrace.exchange.link import EdgeHub
from headrace.model.batch import Batch, Value
from headrace.model.errors import Unavailable
from headrace.model.plant import PlantModel
from headrace.sdk.field import DeviceWriter


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
