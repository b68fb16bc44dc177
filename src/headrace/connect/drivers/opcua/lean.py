"""A standard address space that is built once a process and trimmed to what a small server shows.

asyncua builds all 6,000 standard nodes anew for each server, a second of CPU each; simulators and reference plants run
several. The base types, the server object and its limits stay; alarms, PubSub and discovery go.
"""

from __future__ import annotations

import gc
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from asyncua.server.internal_server import InternalServer

_KEPT: Final = (range(3200), range(11500, 11800), range(12000, 12100), range(24090, 24110))

_standard_nodes: bytes | None = None


class LeanInternalServer(InternalServer):  # type: ignore[misc]
    """Give it to `asyncua.Server(iserver=…)`. The first of a process builds the nodes; later ones get a copy."""

    async def load_standard_address_space(self, shelf_file: Path | None = None) -> None:
        global _standard_nodes
        with _collector_paused():
            if _standard_nodes is None:
                await super().load_standard_address_space(shelf_file)
                nodes = self.aspace._nodes
                kept = {node: nodes[node] for node in nodes if any(node.Identifier in ids for ids in _KEPT)}
                for found in kept.values():
                    found.references = [one for one in found.references if one.NodeId in kept]
                self.aspace._nodes = kept
                _standard_nodes = pickle.dumps(kept, pickle.HIGHEST_PROTOCOL)
            else:
                self.aspace._nodes = pickle.loads(_standard_nodes)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """It would look at every new object again and again, and none of them is garbage: 40 % of the time to build."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
