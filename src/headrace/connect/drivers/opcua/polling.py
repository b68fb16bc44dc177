"""Read services: nodes in calls of the server's size, answers in at most four batches.

Also the fallback for a server that grants no subscription: the same points, asked at their own pace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from asyncua import ua
from numpy.typing import NDArray

from headrace.connect.drivers.opcua import codec
from headrace.connect.drivers.opcua.nodes import Nodes
from headrace.connect.drivers.opcua.session import Session
from headrace.model import quality as q
from headrace.model.batch import Batch
from headrace.model.errors import DeviceError
from headrace.model.time import SECOND_NS
from headrace.sdk.driver import Deliver, PointBinding


class Reader:
    """The requests for one set of nodes on one session, built once and sent as often as wanted."""

    def __init__(self, session: Session, nodes: Nodes) -> None:
        self.session, self._nodes = session, nodes
        resolved = [session.resolve(ref) for ref in nodes.refs]
        self._unknown = [key for key, node in enumerate(resolved) if node is None]
        known = [key for key, node in enumerate(resolved) if node is not None]
        size = session.limits.read
        self._calls: list[tuple[Any, NDArray[np.uint32]]] = []
        for at in range(0, len(known), size):
            keys = known[at : at + size]
            self._calls.append((_read_request([resolved[key] for key in keys]), np.array(keys, np.uint32)))

    async def read(self) -> list[Batch]:
        """Now, from the device and not from the server's cache. Raises: Unreachable, Refused, Garbled."""
        session, answers = self.session, []
        for request, keys in self._calls:
            with session.doing(f"reading {len(keys)} nodes"):
                answers.append(codec.decode_read(await session.call(request), keys))
        received_ns = session.context.clock.now_ns()
        batches = self._nodes.table.batches(answers, received_ns)
        if self._unknown:
            unknown = [q.BAD_NODE_ID_UNKNOWN] * len(self._unknown)
            batches += self._nodes.table.bad(self._unknown, unknown, received_ns)
        return batches


def _read_request(nodes: Sequence[Any]) -> Any:
    request = ua.ReadRequest()
    request.Parameters.MaxAge = 0
    request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
    for node in nodes:
        wanted = ua.ReadValueId()
        wanted.NodeId = node
        wanted.AttributeId = ua.AttributeIds.Value
        request.Parameters.NodesToRead.append(wanted)
    return request


class Poller:
    """Asks in place of a subscription: one task for each interval; one `start` and one `stop`."""

    def __init__(self, session: Session, points: Sequence[PointBinding], deliver: Deliver) -> None:
        self._session, self._deliver = session, deliver
        by_interval: dict[int, list[PointBinding]] = {}
        for point in points:
            by_interval.setdefault(point.interval_ns, []).append(point)
        self._readers = {interval: Reader(session, Nodes(group)) for interval, group in by_interval.items()}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._poll(reader, interval_ns / SECOND_NS))
            for interval_ns, reader in self._readers.items()
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _poll(self, reader: Reader, interval_s: float) -> None:
        clock = self._session.context.clock
        try:
            while True:
                began_s = clock.monotonic_s()
                self._deliver(await reader.read())
                await clock.sleep(max(began_s + interval_s - clock.monotonic_s(), 0.0))
        except DeviceError as failure:
            self._session.fail(failure)
