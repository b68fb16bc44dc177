"""What births told, as a tree to pick points from: group, node, its metrics and devices, their metrics.

None ─► groups    {group} ─► nodes    {group, node} ─► metrics and devices    {group, node, device} ─► metrics
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from headrace.connect.sparkplug.births import offers
from headrace.connect.sparkplug.nodes import Node, Source
from headrace.model.errors import Refused
from headrace.sdk.driver import BrowseNode

_KEYS = ("group", "node", "device")


def browse(nodes: Mapping[tuple[str, str], Node], parent: Mapping[str, Any] | None) -> Iterator[BrowseNode]:
    """Raises: Refused for an address that is none, or that nobody has shown."""
    where = [str(parent[key]) for key in _KEYS if key in (parent or {})] if parent else []
    if parent and set(parent) != set(_KEYS[: len(where)]):
        raise Refused(f"'{dict(parent)}' is no address to browse: give group, then node, then device")
    return _children(nodes, where)


def _children(nodes: Mapping[tuple[str, str], Node], where: list[str]) -> Iterator[BrowseNode]:
    if not where:
        for group in sorted({group for group, _ in nodes}):
            yield BrowseNode(group, {"group": group}, None, has_children=True)
        return
    if len(where) == 1:
        for (group, name), node in sorted(nodes.items()):
            if group == where[0]:
                yield BrowseNode(name, {"group": group, "node": name}, None, True, description=_state(node.own))
        return
    found = nodes.get((where[0], where[1]))
    source = None if found is None else found.source(where[2] if len(where) == 3 else None)
    if found is None or source is None:
        raise Refused(f"nobody has shown '{'/'.join(where)}' so far")
    address = dict(zip(_KEYS, where, strict=False))
    if len(where) == 2:
        for name, device in sorted(found.devices.items()):
            yield BrowseNode(name, {**address, "device": name}, None, True, description=_state(device))
    for offer in offers(source.birth or b""):
        yield BrowseNode(
            offer.name,
            {**address, "metric": offer.name},
            offer.kind,
            writable=offer.writable and offer.kind is not None,
            unit=offer.unit,
            description=offer.about,
        )


def _state(source: Source) -> str:
    return "born" if source.born else "dead" if source.birth is not None else "not born so far"
