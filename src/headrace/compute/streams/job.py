"""A stream function at work: from a feed, through the engine, into outputs; state and position are kept together.

state, position ◄── restore
feed ─► engine ─► outputs, durable ─► now and then: state, position ─► file, whole or not at all

After `kill -9` it goes on from the last file: what came out since is made again, the same to the last bit and for the
same points and times, and written over itself. So each result is there once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from headrace.compute.streams import keeping
from headrace.compute.streams.engine import Engine, Made
from headrace.model.errors import DataError
from headrace.model.time import DAY_NS
from headrace.sdk import columns_wire
from headrace.sdk.feed import Feed, Piece
from headrace.sdk.intake import Intake
from headrace.sdk.store import SampleStore

HORIZON_NS: Final = DAY_NS
"""After a restart, what came later than this behind the newest is not looked for."""


class Outputs(Protocol):
    async def put(self, made: Sequence[Made]) -> None:
        """Durable on return; samples of a point and time that are there are written over."""
        ...


class Keeper(Protocol):
    """Where state and position are kept, whole or not at all."""

    async def read(self) -> bytes | None: ...

    async def write(self, data: bytes) -> None:
        """Durable on return."""
        ...


class FileKeeper:
    def __init__(self, file: Path) -> None:
        self._file = file

    async def read(self) -> bytes | None:
        return await asyncio.to_thread(lambda: self._file.read_bytes() if self._file.exists() else None)

    async def write(self, data: bytes) -> None:
        await asyncio.to_thread(keeping.write, self._file, data)


class StoreOutputs:
    """Into history; by way of `intake`, where given, they are shown and judged too."""

    def __init__(self, store: SampleStore, intake: Intake | None = None) -> None:
        self._store, self._intake = store, intake

    async def put(self, made: Sequence[Made]) -> None:
        batches = [one.batch(await self._store.register(one.paths)) for one in made]
        if batches:
            await (self._store.append(batches) if self._intake is None else self._intake.take(batches))


class Job:
    """`keep_samples`: how many are taken between two files of state; that much is done again after a crash."""

    def __init__(
        self, engine: Engine, feed: Feed, outputs: Outputs, keeper: Keeper | Path, *, keep_samples: int = 1_000_000
    ) -> None:
        self.engine = engine
        self._feed, self._outputs, self._keep_samples = feed, outputs, keep_samples
        self._keeper = FileKeeper(keeper) if isinstance(keeper, Path) else keeper
        self._known = 0
        self._since = 0

    async def run(self) -> None:
        """Until the feed ends. Raises: DataError for a state that is damaged or not ours; what feed and outputs do."""
        position = await self._restore()
        self._bind()
        last: str | None = None
        async for piece in self._feed.pieces(position, self.engine.needed_ns(HORIZON_NS)):
            self._bind()
            made = await asyncio.to_thread(self._take, piece)
            await self._outputs.put(made)
            last = piece.position
            self._since += sum(map(len, piece.batches))
            if self._since >= self._keep_samples:
                await self._keep(last)
        if last is not None:
            await self._keep(last)

    def _take(self, piece: Piece) -> list[Made]:
        made = self.engine.take(piece.batches, stretch=piece.stretch)
        if piece.over_ns is not None:
            made += self.engine.advance(piece.over_ns)
        return made + self.engine.quiet(piece.quiet_ns) if piece.quiet_ns else made

    def _bind(self) -> None:
        paths = self._feed.paths()
        if len(paths) != self._known:
            self.engine.bind(paths)
            self._known = len(paths)

    async def _restore(self) -> str:
        found = await self._keeper.read()
        if found is None:
            return ""
        document, columns = await asyncio.to_thread(keeping.decode, found)
        self.engine.restore(document, columns)
        return str(document["position"])

    async def _keep(self, position: str) -> None:
        document, columns = self.engine.state()
        try:
            data = await asyncio.to_thread(columns_wire.encode, {**document, "position": position}, columns)
        except TypeError as error:
            raise DataError(f"the state of stream function {self.engine.function.name}: {error}") from None
        await self._keeper.write(data)
        self._since = 0
