"""Writes: the node's own data type is asked for once, the value fitted to it, the server's answer taken literally."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncua import ua
from asyncua.common.node import Node
from asyncua.common.ua_utils import data_type_to_variant_type

from headrace.connect.drivers.opcua import codec
from headrace.connect.drivers.opcua.failures import status_name
from headrace.connect.drivers.opcua.session import Session
from headrace.connect.drivers.opcua.values import fit
from headrace.model.batch import Value
from headrace.model.errors import DataError, Refused
from headrace.sdk.driver import PointBinding


@dataclass(frozen=True, slots=True)
class _NodeType:
    type_id: int
    is_array: bool


class Writer:
    """Remembers the types of nodes; one is asked for again after the server called a value BadTypeMismatch."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._types: dict[str, _NodeType] = {}

    async def write(self, point: PointBinding, value: Value) -> None:
        """Raises: Refused, Unreachable, Garbled; DataError where the value does not fit the node."""
        session, address = self._session, point.address
        node = session.resolve(address.ref)
        if node is None:
            raise Refused(f"writing {point.path}: the server knows no namespace of {address.node} (BadNodeIdUnknown)")
        with session.doing(f"writing {point.path}"):
            node_type = self._types.get(address.node) or await self._ask_type(node, point)
            self._types[address.node] = node_type
            request = ua.WriteValue()
            request.NodeId = node
            request.AttributeId = ua.AttributeIds.Value
            request.Value = _data_value(_fitted(point, value, node_type), node_type)
            if node_type.is_array:
                request.IndexRange = str(address.index)
            parameters = ua.WriteParameters()
            parameters.NodesToWrite = [request]
            status = (await session.services.write(parameters))[0]
        if not status.is_good():
            if status.value == ua.StatusCodes.BadTypeMismatch:
                self._types.pop(address.node, None)
            raise Refused(f"writing {point.path}: the server refused with {status_name(status.value)}")

    async def _ask_type(self, node: Any, point: PointBinding) -> _NodeType:
        """From the value that the node holds, else from its DataType attribute, up to a built-in type."""
        parameters = ua.ReadParameters()
        attributes = (ua.AttributeIds.Value, ua.AttributeIds.DataType, ua.AttributeIds.ValueRank)
        for attribute in attributes:
            wanted = ua.ReadValueId()
            wanted.NodeId, wanted.AttributeId = node, attribute
            parameters.NodesToRead.append(wanted)
        value, data_type, rank = await self._session.services.read(parameters)
        if not data_type.StatusCode.is_good():
            name = status_name(data_type.StatusCode.value)
            raise Refused(f"writing {point.path}: the server has no such variable ({name})")
        if value.StatusCode.is_good() and value.Value is not None and value.Value.VariantType != ua.VariantType.Null:
            return _NodeType(value.Value.VariantType.value, bool(value.Value.is_array))
        is_array = rank.StatusCode.is_good() and (rank.Value.Value or 0) >= 0
        declared = data_type.Value.Value
        if declared.NamespaceIndex == 0 and isinstance(declared.Identifier, int) and 0 < declared.Identifier <= 25:
            return _NodeType(declared.Identifier, is_array)
        built_in = await data_type_to_variant_type(Node(self._session.services, declared))
        return _NodeType(int(built_in.value), is_array)


def _fitted(point: PointBinding, value: Value, node_type: _NodeType) -> Value:
    if node_type.is_array != (point.address.index is not None):
        known = "an array; give `index` in the address" if node_type.is_array else "no array; leave `index` out"
        raise DataError(f"{point.path}: the node holds {known}")
    try:
        return fit(value, node_type.type_id)
    except DataError as error:
        raise DataError(f"{point.path}: {error.message}") from None


def _data_value(value: Any, node_type: _NodeType) -> Any:
    """Only the value: many servers refuse a write that sets status or time as well."""
    if node_type.type_id == codec.LOCALIZED_TEXT:
        value = ua.LocalizedText(value)
    elif node_type.type_id == codec.DATETIME:
        value = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=value // 1000)
    elif node_type.type_id == codec.STATUS_CODE:
        value = ua.StatusCode(value)
    kind = ua.VariantType(node_type.type_id)
    if node_type.is_array:
        return ua.DataValue(ua.Variant([value], kind, is_array=True), None)
    return ua.DataValue(ua.Variant(value, kind), None)
