"""What a server offers: folders and variables below a node, with the kind to declare and, where it says so, the unit.

Objects ─► children by hierarchical references (properties left out) ─► attributes of variables, a call for all
                                                                    └─► EngineeringUnits, a call for all
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from asyncua import ua
from pydantic import ValidationError

from headrace.connect.drivers.opcua.config import Address
from headrace.connect.drivers.opcua.session import Session
from headrace.connect.drivers.opcua.units import ucum_of
from headrace.connect.drivers.opcua.values import KIND_OF_TYPE
from headrace.model.errors import Refused
from headrace.sdk.driver import BrowseNode

_ENUMERATION: Final = 29
_KNOWN_SUBTYPES: Final = {290: 11, 294: 13, _ENUMERATION: 6, 12877: 12, 12878: 12}
"""Duration, UtcTime, Enumeration, NormalizedString, DecimalString as built-in types. Source: OPC 10000-5 §12."""
_WRITE_BIT: Final = 2
_SKIPPED: Final = frozenset({ua.ObjectIds.HasProperty, ua.ObjectIds.HasSubtype, ua.ObjectIds.HasEventSource})


async def browse(session: Session, parent: Mapping[str, Any] | None) -> AsyncIterator[BrowseNode]:
    """Children of `parent`, or of the Objects folder. Raises: DeviceError."""
    root = ua.NodeId(int(ua.ObjectIds.ObjectsFolder))
    with session.doing("browsing"):
        node = root if parent is None else _parent(session, parent)
        references = await _children(session, node)
        variables = [one for one in references if one.NodeClass == ua.NodeClass.Variable]
        known = dict(zip((one.NodeId for one in variables), await _describe(session, variables), strict=True))
        if parent is not None and not references:
            elements = await _elements(session, node, parent)
        else:
            elements = []
    for one in references:
        found = known.get(one.NodeId)
        name = one.DisplayName.Text or one.BrowseName.Name
        address = {"node": node_text(session, one.NodeId)}
        yield BrowseNode(name, address, None, has_children=True) if found is None else found.node(name, address)
    for element in elements:
        yield element


def node_text(session: Session, node: Any) -> str:
    """The text of an address: with the namespace's URI, because a server may count its namespaces anew at a restart."""
    kinds = {ua.NodeIdType.String: "s", ua.NodeIdType.Guid: "g", ua.NodeIdType.ByteString: "b"}
    kind = kinds.get(node.NodeIdType, "i")
    identifier = base64.b64encode(node.Identifier).decode() if kind == "b" else node.Identifier
    uri = session.uri_of(node.NamespaceIndex) if node.NamespaceIndex else None
    space = f"nsu={quote(uri, safe='/:?#[]@!$&()*+,=._~-')};" if uri else f"ns={node.NamespaceIndex};"
    return f"{space if node.NamespaceIndex else ''}{kind}={identifier}"


def _parent(session: Session, parent: Mapping[str, Any]) -> Any:
    try:
        address = Address.model_validate(dict(parent))
    except ValidationError as error:
        raise Refused(f"'{dict(parent)}' is no address to browse: {error.errors()[0]['msg']}") from None
    node = session.resolve(address.ref)
    if node is None:
        raise Refused(f"the server knows no namespace of {address.node}")
    return node


async def _children(session: Session, node: Any) -> list[Any]:
    wanted = ua.BrowseDescription()
    wanted.NodeId = node
    wanted.BrowseDirection = ua.BrowseDirection.Forward
    wanted.ReferenceTypeId = ua.NodeId(int(ua.ObjectIds.HierarchicalReferences))
    wanted.IncludeSubtypes = True
    wanted.NodeClassMask = int(ua.NodeClass.Object) | int(ua.NodeClass.Variable)
    wanted.ResultMask = int(ua.BrowseResultMask.All)
    parameters = ua.BrowseParameters()
    parameters.View = ua.ViewDescription()
    parameters.RequestedMaxReferencesPerNode = 0
    parameters.NodesToBrowse = [wanted]
    result = (await session.services.browse(parameters))[0]
    result.StatusCode.check()
    references = list(result.References or [])
    while result.ContinuationPoint:
        more = ua.BrowseNextParameters()
        more.ReleaseContinuationPoints = False
        more.ContinuationPoints = [result.ContinuationPoint]
        result = (await session.services.browse_next(more))[0]
        result.StatusCode.check()
        references += result.References or []
    seen: dict[Any, Any] = {}
    for one in references:
        kind = one.ReferenceTypeId
        if not (kind.NamespaceIndex == 0 and kind.Identifier in _SKIPPED):
            one.NodeId = ua.NodeId(one.NodeId.Identifier, one.NodeId.NamespaceIndex, one.NodeId.NodeIdType)
            seen.setdefault(one.NodeId, one)
    return list(seen.values())


class _Variable:
    def __init__(self, data_type: Any, rank: Any, access: Any, description: Any, unit: str | None) -> None:
        type_id = data_type.Identifier if data_type is not None and data_type.NamespaceIndex == 0 else 0
        self.kind = KIND_OF_TYPE.get(_KNOWN_SUBTYPES.get(type_id, type_id))
        self.is_array = isinstance(rank, int) and rank >= 0
        self.writable = isinstance(access, int) and bool(access & _WRITE_BIT)
        self.description = getattr(description, "Text", None) or ""
        self.unit = unit

    def node(self, name: str, address: dict[str, Any]) -> BrowseNode:
        """An array opens into its elements; a structure may have components."""
        if self.is_array or self.kind is None:
            return BrowseNode(name, address, None, has_children=True, description=self.description)
        return BrowseNode(
            name, address, self.kind, writable=self.writable, unit=self.unit, description=self.description
        )


async def _describe(session: Session, variables: Sequence[Any]) -> list[_Variable]:
    ids = ua.AttributeIds
    attributes = (ids.DataType, ids.ValueRank, ids.UserAccessLevel, ids.Description)
    nodes = [one.NodeId for one in variables]
    values = iter(await _read(session, [(node, attribute) for node in nodes for attribute in attributes]))
    units = await _units(session, nodes)
    return [_Variable(next(values), next(values), next(values), next(values), unit) for unit in units]


async def _units(session: Session, nodes: Sequence[Any]) -> list[str | None]:
    """UCUM units from the EngineeringUnits property, where a variable has one. Source: OPC 10000-8 §5.6.3."""
    units: list[str | None] = [None] * len(nodes)
    targets: list[tuple[int, Any]] = []
    for first in range(0, len(nodes), session.limits.browse):
        paths = [_path(node) for node in nodes[first : first + session.limits.browse]]
        for at, result in enumerate(await session.services.translate_browsepaths_to_nodeids(paths), first):
            if result.StatusCode.is_good() and result.Targets:
                targets.append((at, result.Targets[0].TargetId))
    values = await _read(session, [(node, ua.AttributeIds.Value) for _, node in targets])
    for (at, _), value in zip(targets, values, strict=True):
        units[at] = ucum_of(getattr(value, "UnitId", None))
    return units


def _path(node: Any) -> Any:
    element = ua.RelativePathElement()
    element.ReferenceTypeId = ua.NodeId(int(ua.ObjectIds.HasProperty))
    element.IsInverse = False
    element.IncludeSubtypes = True
    element.TargetName = ua.QualifiedName("EngineeringUnits", 0)
    path = ua.BrowsePath()
    path.StartingNode = node
    path.RelativePath.Elements = [element]
    return path


async def _read(session: Session, wanted: Sequence[tuple[Any, Any]]) -> list[Any]:
    """Values, None where the server has none, in calls of the server's size."""
    values: list[Any] = []
    for at in range(0, len(wanted), session.limits.read):
        parameters = ua.ReadParameters()
        for node, attribute in wanted[at : at + session.limits.read]:
            item = ua.ReadValueId()
            item.NodeId, item.AttributeId = node, attribute
            parameters.NodesToRead.append(item)
        for answer in await session.services.read(parameters):
            good = answer.StatusCode is None or answer.StatusCode.is_good()
            values.append(answer.Value.Value if good and answer.Value is not None else None)
    return values


async def _elements(session: Session, node: Any, parent: Mapping[str, Any]) -> list[BrowseNode]:
    """The elements of an array variable, each with an address of its own."""
    attributes = (ua.AttributeIds.Value, ua.AttributeIds.DataType, ua.AttributeIds.UserAccessLevel)
    value, data_type, access = await _read(session, [(node, attribute) for attribute in attributes])
    if not isinstance(value, list | tuple):
        return []
    element = _Variable(data_type, -1, access, None, None)
    return [
        BrowseNode(f"[{index}]", {"node": parent["node"], "index": index}, element.kind, writable=element.writable)
        for index in range(len(value))
    ]
