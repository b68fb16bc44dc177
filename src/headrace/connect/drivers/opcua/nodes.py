"""Points by the node that they name: a node is asked for once, however many points it feeds. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.connect.drivers.opcua.values import PointTable
from headrace.sdk.driver import PointBinding


class Nodes:
    """Key k stands for the node `refs[k]`, which feeds `points[k]` at `interval_ns[k]`, the fastest of theirs."""

    def __init__(self, points: Sequence[PointBinding]) -> None:
        by_node: dict[str, list[PointBinding]] = {}
        for point in points:
            by_node.setdefault(point.address.node, []).append(point)
        self.points = list(by_node.values())
        self.refs = [group[0].address.ref for group in self.points]
        self.interval_ns = [min(point.interval_ns for point in group) for group in self.points]
        self.table = PointTable(self.points)

    def __len__(self) -> int:
        return len(self.points)

    @property
    def handles(self) -> list[int]:
        return [point.handle for group in self.points for point in group]
