"""Sparkplug B on the wire, as tables: data types, the protobuf messages, and which value field holds which type.

The messages are described here by field numbers and built at run time, so there is no generated code. What a type
that we do not read holds (data sets, templates, their parameters) is described as bytes: it is skipped whole.
Source: Sparkplug 3.0.0 §6.4.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from headrace.model.batch import ValueKind


class DataType(IntEnum):
    """§6.4.16. Types above 34 are not known to 3.0.0."""

    UNKNOWN = 0
    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13
    TEXT = 14
    UUID = 15
    DATASET = 16
    BYTES = 17
    FILE = 18
    TEMPLATE = 19
    PROPERTY_SET = 20
    PROPERTY_SET_LIST = 21
    INT8_ARRAY = 22
    INT16_ARRAY = 23
    INT32_ARRAY = 24
    INT64_ARRAY = 25
    UINT8_ARRAY = 26
    UINT16_ARRAY = 27
    UINT32_ARRAY = 28
    UINT64_ARRAY = 29
    FLOAT_ARRAY = 30
    DOUBLE_ARRAY = 31
    BOOLEAN_ARRAY = 32
    STRING_ARRAY = 33
    DATETIME_ARRAY = 34


class Field(IntEnum):
    """Of a metric. §6.4.6."""

    NAME = 1
    ALIAS = 2
    TIMESTAMP = 3
    DATATYPE = 4
    IS_HISTORICAL = 5
    IS_TRANSIENT = 6
    IS_NULL = 7
    METADATA = 8
    PROPERTIES = 9
    INT = 10
    LONG = 11
    FLOAT = 12
    DOUBLE = 13
    BOOLEAN = 14
    STRING = 15
    BYTES = 16
    DATASET = 17
    TEMPLATE = 18
    EXTENSION = 19


INTEGER_BITS: Final = {
    DataType.INT8: 8,
    DataType.INT16: 16,
    DataType.INT32: 32,
    DataType.INT64: 64,
    DataType.UINT8: 8,
    DataType.UINT16: 16,
    DataType.UINT32: 32,
    DataType.UINT64: 64,
}
SIGNED: Final = frozenset({DataType.INT8, DataType.INT16, DataType.INT32, DataType.INT64})
TEXTS: Final = frozenset({DataType.STRING, DataType.TEXT, DataType.UUID})

#: The kind that a point should declare for a metric of each type; the other types make no sample.
KIND_OF_TYPE: Final[dict[int, ValueKind]] = {
    **dict.fromkeys((*INTEGER_BITS, DataType.DATETIME), ValueKind.INT64),
    DataType.FLOAT: ValueKind.FLOAT64,
    DataType.DOUBLE: ValueKind.FLOAT64,
    DataType.BOOLEAN: ValueKind.BOOL,
    **dict.fromkeys(TEXTS, ValueKind.TEXT),
}

_PROTO: Final = descriptor_pb2.FieldDescriptorProto
_KINDS: Final = {
    "uint32": _PROTO.TYPE_UINT32,
    "uint64": _PROTO.TYPE_UINT64,
    "float": _PROTO.TYPE_FLOAT,
    "double": _PROTO.TYPE_DOUBLE,
    "bool": _PROTO.TYPE_BOOL,
    "string": _PROTO.TYPE_STRING,
    "bytes": _PROTO.TYPE_BYTES,
}
_VALUES: Final = (
    ("int", "uint32"),
    ("long", "uint64"),
    ("float", "float"),
    ("double", "double"),
    ("boolean", "bool"),
    (
        "string",
        "string",
    ),
)
#: message -> (number, name, type, repeated, of the value's oneof)
_MESSAGES: Final[dict[str, list[tuple[int, str, str, bool, bool]]]] = {
    "Payload": [
        (1, "timestamp", "uint64", False, False),
        (2, "metrics", "Metric", True, False),
        (3, "seq", "uint64", False, False),
        (4, "uuid", "string", False, False),
        (5, "body", "bytes", False, False),
    ],
    "Metric": [
        (1, "name", "string", False, False),
        (2, "alias", "uint64", False, False),
        (3, "timestamp", "uint64", False, False),
        (4, "datatype", "uint32", False, False),
        (5, "is_historical", "bool", False, False),
        (6, "is_transient", "bool", False, False),
        (7, "is_null", "bool", False, False),
        (8, "metadata", "bytes", False, False),
        (9, "properties", "bytes", False, False),  # a PropertySet, read only where somebody asks
        *[(10 + at, f"{name}_value", kind, False, True) for at, (name, kind) in enumerate(_VALUES)],
        (16, "bytes_value", "bytes", False, True),
        (17, "dataset_value", "bytes", False, True),
        (18, "template_value", "bytes", False, True),
        (19, "extension_value", "bytes", False, True),
    ],
    "PropertySet": [
        (1, "keys", "string", True, False),
        (2, "values", "PropertyValue", True, False),
    ],
    "PropertyValue": [
        (1, "type", "uint32", False, False),
        (2, "is_null", "bool", False, False),
        *[(3 + at, f"{name}_value", kind, False, True) for at, (name, kind) in enumerate(_VALUES)],
        (9, "propertyset_value", "bytes", False, True),
        (10, "propertysets_value", "bytes", False, True),
        (11, "extension_value", "bytes", False, True),
    ],
}
_PACKAGE: Final = "headrace.sparkplug"


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="headrace/sparkplug_b.proto", package=_PACKAGE, syntax="proto2")
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        if any(of_value for *_, of_value in fields):
            described.oneof_decl.add(name="value")
        for number, name, kind, repeated, of_value in fields:
            field = described.field.add(name=name, number=number)
            field.label = _PROTO.LABEL_REPEATED if repeated else _PROTO.LABEL_OPTIONAL
            if kind in _KINDS:
                field.type = _KINDS[kind]
            else:
                field.type, field.type_name = _PROTO.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            if of_value:
                field.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    find = pool.FindMessageTypeByName
    return {message: message_factory.GetMessageClass(find(f"{_PACKAGE}.{message}")) for message in _MESSAGES}


_made = _classes()
Payload: Final[Any] = _made["Payload"]
Metric: Final[Any] = _made["Metric"]
PropertySet: Final[Any] = _made["PropertySet"]
