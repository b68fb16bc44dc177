"""How far each source has been taken, as rows of IoTDB: a device a source, always at time 0, so the newest row is it.

    root.<database>.marks.m<digest of the name>      aligned: name BLOB, epoch INT64, sequence INT64

A call is many requests to many regions, and no transaction spans them. So the samples go first, and their mark once
all of them are durable: a crash between the two leaves samples whose mark is old. Their source sends them again, and
for an equal (point, time) the newest write wins, so history has each of them once all the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

import numpy as np

from headrace.history.iotdb.blocks import BLOB, INT64, encode_column
from headrace.history.iotdb.connection import Connection, Tablet
from headrace.history.iotdb.schema import Names
from headrace.model.errors import DataError
from headrace.sdk.intake import Mark

TEMPLATE: Final = "headrace_marks_1"
STATEMENT: Final = (
    f"CREATE DEVICE TEMPLATE {TEMPLATE} ALIGNED "
    "(name BLOB encoding=PLAIN, epoch INT64 encoding=PLAIN, sequence INT64 encoding=PLAIN)"
)
_AT_TIME: Final = encode_column(np.zeros(1, np.int64), INT64)


def mark_tablets(marks: Mapping[str, Mark], names: Names) -> list[Tablet]:
    return [
        Tablet(
            f"{names.marks}.m{hashlib.sha256(source.encode()).hexdigest()[:32]}",
            ("name", "epoch", "sequence"),
            (BLOB, INT64, INT64),
            _AT_TIME,
            encode_column(np.array([source.encode()], object), BLOB)
            + encode_column(np.array([mark.epoch]), INT64)
            + encode_column(np.array([mark.sequence]), INT64),
            1,
        )
        for source, mark in marks.items()
    ]


def read_marks(connection: Connection, names: Names) -> dict[str, Mark]:
    """Raises: DataError where somebody else has written there, and what a connection raises."""
    answer = connection.query(f"SELECT name, epoch, sequence FROM {names.marks}.* ALIGN BY DEVICE")
    found: dict[str, Mark] = {}
    for block in answer.blocks:
        columns = {n: block.columns[p].values for n, p in zip(answer.columns, answer.places, strict=True) if p >= 0}
        if "name" not in columns:
            continue
        rows = zip(columns["name"], columns["epoch"].tolist(), columns["sequence"].tolist(), strict=True)
        try:
            found.update({name.decode(): Mark(epoch, sequence) for name, epoch, sequence in rows})
        except (UnicodeDecodeError, AttributeError):
            raise DataError(f"{names.marks} in IoTDB holds a mark without a readable name") from None
    return found
