"""The plant as nodes: assets are folders, points variables with unit and range, and only what changed is touched.

    Objects ─► acme ─► suzhou ─► press-3 ─► oil.temperature      ns=<ours>;s=<path>, for assets and points alike
                                                ├ EURange            where a range is declared
                                                └ EngineeringUnits   UNECE code where the unit has one, else its name

Sources: OPC 10000-3 §5.6 (variables), OPC 10000-8 §5.3.2 (AnalogItemType), §5.6.3 (EngineeringUnits).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from asyncua import ua
from asyncua.server.address_space import NodeData

from headrace.connect.drivers.opcua.units import unit_id_of
from headrace.model.assets import Asset
from headrace.model.batch import ValueKind
from headrace.model.points import Point
from headrace.model.units import display
from headrace.sdk.outlet import View

NAMESPACE: Final = "urn:headrace:plant"
UNECE: Final = "http://www.opcfoundation.org/UA/units/un/cefact"
_IDS: Final = ua.ObjectIds
TYPES: Final[Mapping[ValueKind, Any]] = {
    ValueKind.FLOAT64: ua.VariantType.Double,
    ValueKind.INT64: ua.VariantType.Int64,
    ValueKind.BOOL: ua.VariantType.Boolean,
    ValueKind.TEXT: ua.VariantType.String,
}
YIELD_EVERY: Final = 100
_READ, _WRITE = 1, 2  # bits of AccessLevel. Source: OPC 10000-3 §8.57


class Reading(ua.DataValue):  # type: ignore[misc]
    """A value that nobody changes, so a monitored item need not copy it: that was three quarters of its cost."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Reading:
        return self


@dataclass(slots=True)
class AddressSpace:
    """Keeps the nodes of one server what a view says. `nodes` are the variables by handle."""

    server: Any
    namespace: int
    writes: bool
    view: View = field(default_factory=View)
    nodes: dict[int, Any] = field(default_factory=dict)
    _by_path: dict[str, Point] = field(default_factory=dict)

    async def become(self, view: View) -> None:
        """Remove what is gone or different, add what is new."""
        old = {point.path: point for point in self.view.points.values()}
        new = {point.path: point for point in view.points.values()}
        gone = [path for path, point in old.items() if new.get(path) != point]
        assets_gone = [path for path, asset in self.view.assets.items() if view.assets.get(path) != asset]
        # A folder that changed takes its children along, so these are made anew as well.
        beneath = tuple(f"{path}/" for path in assets_gone)
        moved = (
            [path for path in new if path not in gone and path in old and path.startswith(beneath)] if beneath else []
        )
        await self._delete([*gone, *moved])
        below = [path for path in self.view.assets if path.startswith(beneath)] if beneath else []
        await self._delete(sorted({*assets_gone, *below}, key=len, reverse=True))
        have = set(self.view.assets) - set(assets_gone) - set(below)
        fresh = [asset for path, asset in sorted(view.assets.items()) if path not in have]
        await self._add(item for asset in fresh for item in self._asset_items(asset, view))
        kept = (set(old) - set(gone)) - set(moved)
        await self._add(
            item for path, point in new.items() if path not in kept for item in self._point_items(point, view)
        )
        self.view = view
        self._by_path = new
        self.nodes = {handle: self.node_of(point.path) for handle, point in view.points.items()}

    def node_of(self, path: str) -> Any:
        return ua.NodeId(path, self.namespace)

    def point_of(self, node: Any) -> Point | None:
        """The point that a variable is."""
        if node.NamespaceIndex != self.namespace or not isinstance(node.Identifier, str):
            return None
        return self._by_path.get(node.Identifier)

    # --- making nodes ---------------------------------------------------------------------------------------------

    async def _add(self, items: Iterator[Any]) -> None:
        for count, item in enumerate(items, 1):
            self._insert(item)
            if count % YIELD_EVERY == 0:
                await asyncio.sleep(0)  # the plant goes on meanwhile

    def _insert(self, item: Any) -> None:
        """As asyncua's AddNodes, without its searches through all siblings: their names differ, for their paths do."""
        inner = self.server.iserver
        made = NodeData(item.RequestedNewNodeId)
        inner.node_mgt_service._add_node_attributes(made, item, add_timestamps=False)
        parent = inner.aspace[item.ParentNodeId]
        parent.references.append(
            ua.ReferenceDescription(
                ReferenceTypeId=item.ReferenceTypeId,
                IsForward=True,
                NodeId=made.nodeid,
                BrowseName=item.BrowseName,
                DisplayName=item.NodeAttributes.DisplayName,
                NodeClass=item.NodeClass,
                TypeDefinition=item.TypeDefinition,
            )
        )
        made.references = [
            ua.ReferenceDescription(ReferenceTypeId=item.ReferenceTypeId, IsForward=False, NodeId=item.ParentNodeId),
            ua.ReferenceDescription(
                ReferenceTypeId=ua.NodeId(_IDS.HasTypeDefinition), IsForward=True, NodeId=item.TypeDefinition
            ),
        ]
        inner.aspace[made.nodeid] = made

    async def _delete(self, paths: Sequence[str]) -> None:
        """As asyncua's DeleteNodes, without looking for references through the whole address space."""
        inner = self.server.iserver
        parents: dict[Any, set[Any]] = {}
        for path in paths:
            parent = path.rpartition("/")[0]
            above = self.node_of(parent) if parent in self.view.assets else ua.NodeId(_IDS.ObjectsFolder)
            parents.setdefault(above, set()).add(self.node_of(path))
            for suffix in ("#EURange", "#EngineeringUnits", ""):
                node = self.node_of(f"{path}{suffix}")
                if node in inner.aspace:
                    inner.node_mgt_service._delete_node_callbacks(inner.aspace[node])
                    del inner.aspace[node]
        for above, gone in parents.items():
            if above in inner.aspace:
                data = inner.aspace[above]
                data.references = [one for one in data.references if one.NodeId not in gone]
        await asyncio.sleep(0)

    def _asset_items(self, asset: Asset, view: View) -> Iterator[Any]:
        attributes = ua.ObjectAttributes(DisplayName=_name(asset.path, asset.title))
        yield self._item(asset.path, view, ua.NodeClass.Object, _IDS.FolderType, attributes)

    def _point_items(self, point: Point, view: View) -> Iterator[Any]:
        kind = TYPES[point.kind]
        analog = point.kind in (ValueKind.FLOAT64, ValueKind.INT64)
        access = _READ | (_WRITE if point.writable and self.writes else 0)
        attributes = ua.VariableAttributes(
            DisplayName=_name(point.path, point.title),
            Description=ua.LocalizedText(point.path),
            DataType=ua.NodeId(kind.value),
            ValueRank=-1,
            AccessLevel=access,
            UserAccessLevel=access,
            Value=ua.Variant(None, ua.VariantType.Null),
        )
        type_id = _IDS.AnalogItemType if analog and point.range is not None else _IDS.BaseDataVariableType
        yield self._item(point.path, view, ua.NodeClass.Variable, type_id, attributes)
        if analog and point.range is not None:
            value = ua.Range(Low=point.range.low, High=point.range.high)
            yield self._property(point.path, "EURange", value, _IDS.Range)
        if analog and point.unit != "1":
            yield self._property(point.path, "EngineeringUnits", _unit(point.unit), _IDS.EUInformation)

    def _item(self, path: str, view: View, node_class: Any, type_id: int, attributes: Any) -> Any:
        parent, _, name = path.rpartition("/")
        below = self.node_of(parent) if parent in view.assets else ua.NodeId(_IDS.ObjectsFolder)
        # A variable belongs to its asset: HasComponent; a folder is organised by the one above.
        reference = (
            _IDS.HasComponent if node_class is ua.NodeClass.Variable and parent in view.assets else _IDS.Organizes
        )
        return ua.AddNodesItem(
            ParentNodeId=below,
            ReferenceTypeId=ua.NodeId(reference),
            RequestedNewNodeId=self.node_of(path),
            BrowseName=ua.QualifiedName(name, self.namespace),
            NodeClass=node_class,
            NodeAttributes=attributes,
            TypeDefinition=ua.NodeId(type_id),
        )

    def _property(self, path: str, name: str, value: Any, data_type: int) -> Any:
        attributes = ua.VariableAttributes(
            DisplayName=ua.LocalizedText(name),
            DataType=ua.NodeId(data_type),
            ValueRank=-1,
            AccessLevel=_READ,
            UserAccessLevel=_READ,
            Value=ua.Variant(value, ua.VariantType.ExtensionObject),
        )
        return ua.AddNodesItem(
            ParentNodeId=self.node_of(path),
            ReferenceTypeId=ua.NodeId(_IDS.HasProperty),
            RequestedNewNodeId=self.node_of(f"{path}#{name}"),
            BrowseName=ua.QualifiedName(name, 0),
            NodeClass=ua.NodeClass.Variable,
            NodeAttributes=attributes,
            TypeDefinition=ua.NodeId(_IDS.PropertyType),
        )


def _name(path: str, title: Mapping[str, str]) -> Any:
    """The English title, else the first there is, else the last part of the path."""
    language = "en" if "en" in title else next(iter(title), None)
    if language is None:
        return ua.LocalizedText(path.rpartition("/")[2])
    return ua.LocalizedText(title[language], language)


def _unit(ucum: str) -> Any:
    """OPC 10000-8 §5.6.3.3: UnitId −1 where the namespace does not have the unit."""
    known = unit_id_of(ucum)
    shown = ua.LocalizedText(display(ucum))
    if known is None:
        return ua.EUInformation(
            NamespaceUri="http://unitsofmeasure.org", UnitId=-1, DisplayName=shown, Description=ua.LocalizedText(ucum)
        )
    return ua.EUInformation(NamespaceUri=UNECE, UnitId=known, DisplayName=shown, Description=ua.LocalizedText(ucum))
