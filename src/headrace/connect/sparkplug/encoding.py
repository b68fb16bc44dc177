"""Values of ours into metrics. Int8, Int16 and Int32 go into an unsigned field with 32 bits of sign. §6.4.16."""

from __future__ import annotations

from typing import Any

from headrace.connect.sparkplug.schema import INTEGER_BITS, SIGNED, TEXTS, DataType
from headrace.model.batch import Value
from headrace.model.errors import DataError
from headrace.model.time import MILLISECOND_NS


def encode_value(metric: Any, datatype: DataType, value: Value) -> None:
    """Set a metric's value field. Raises: DataError where the value does not fit the type."""
    name = datatype.name.lower()
    if datatype in INTEGER_BITS or datatype is DataType.DATETIME:
        number = _whole(value, name)
        if datatype is DataType.DATETIME:
            metric.long_value = (number // MILLISECOND_NS) & 0xFFFF_FFFF_FFFF_FFFF
            return
        bits = INTEGER_BITS[datatype]
        low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if datatype in SIGNED else (0, (1 << bits) - 1)
        if not low <= number <= high:
            raise DataError(f"{number} does not fit {name}, which is {low} to {high}")
        if bits == 64:
            metric.long_value = number & 0xFFFF_FFFF_FFFF_FFFF
        else:
            metric.int_value = number & 0xFFFF_FFFF
    elif datatype is DataType.BOOLEAN:
        if not isinstance(value, bool):
            raise DataError(f"{value!r} is no {name}")
        metric.boolean_value = value
    elif datatype in (DataType.FLOAT, DataType.DOUBLE):
        if isinstance(value, str | bool):
            raise DataError(f"{value!r} is no {name}")
        if datatype is DataType.FLOAT:
            if abs(value) > 3.4028235e38:
                raise DataError(f"{value} does not fit {name}")
            metric.float_value = value
        else:
            metric.double_value = value
    elif datatype in TEXTS:
        if not isinstance(value, str):
            raise DataError(f"{value!r} is no {name}")
        try:
            metric.string_value = value
        except ValueError:
            raise DataError("the text is no Unicode that could be sent") from None
    else:
        raise DataError(f"values of type {name} cannot be sent")


def _whole(value: Value, name: str) -> int:
    if isinstance(value, str | bool) or value % 1:
        raise DataError(f"{value!r} is no whole number, as {name} needs")
    return int(value)
