"""Files to rows: what was written is read, and any bytes at all are rows or an error."""

from __future__ import annotations

import csv
import gzip
import io
import tempfile
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.properties import examples

from headrace.cli.import_cells import Clock, one_time, times, values
from headrace.cli.import_files import Findings, Reading, encoding_of, read_file
from headrace.model.batch import ValueKind
from headrace.model.errors import DataError
from headrace.model.time import format_time, parse_time_ns

POINTS = {"a/f": ValueKind.FLOAT64, "a/i": ValueKind.INT64, "a/b": ValueKind.BOOL, "a/t": ValueKind.TEXT}
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), max_size=12)
OF_KIND: dict[str, st.SearchStrategy[Any]] = {
    "a/f": st.floats(),
    "a/i": st.integers(-(2**63), 2**63 - 1),
    "a/b": st.booleans(),
    "a/t": TEXT,
}
SAMPLES = st.lists(
    st.sampled_from(sorted(OF_KIND)).flatmap(lambda path: st.tuples(st.just(path), OF_KIND[path])),
    min_size=1,
    max_size=20,
)


def rows_of(content: bytes, **reading: Any) -> tuple[list[dict[str, Any]], Findings]:
    findings = Findings()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.csv"
        file.write_bytes(content)
        batches = [block.batch for block in read_file(file, Reading(Clock(), POINTS, **reading), findings)]
    rows: list[dict[str, Any]] = []
    for batch in batches:
        batch.validate(full=True)
        moments = batch.column("source_time").view(pa.int64()).to_pylist()
        named = batch.drop_columns(["source_time", "received_time"]).to_pylist()
        rows += [{**row, "time_ns": moment} for row, moment in zip(named, moments, strict=True)]
    return rows, findings


@settings(suppress_health_check=list(HealthCheck), deadline=None)
@given(SAMPLES, st.sampled_from([",", ";", "\t"]), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]), st.booleans())
def test_what_was_written_is_read(samples: list[tuple[str, Any]], delimiter: str, encoding: str, packed: bool) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["path", "time", "value", "quality"])
    for at, (path, value) in enumerate(samples):
        cell = str(value).lower() if isinstance(value, bool) else repr(value) if isinstance(value, float) else value
        writer.writerow([path, format_time(10**18 + at), cell, at])
    content = text.getvalue().encode(encoding)
    rows, findings = rows_of(gzip.compress(content) if packed else content)
    assert findings.rows == []
    got = {row["time_ns"] - 10**18: row for row in rows}
    assert len(got) == len(rows) == len(samples)
    for at, (path, value) in enumerate(samples):
        row, label = got[at], POINTS[path].label
        assert row["path"] == path and row["quality"] == at
        assert [kind.label for kind in ValueKind if row[kind.label] is not None] == [label]
        if label == "float64":
            assert np.float64(row[label]).tobytes() == np.float64(value).tobytes() or value != value
        else:
            assert row[label] == value


PIECES = st.sampled_from(
    [b"path,time,value\n", b"time;a/f;a/i\n", b"2026-01-01T00:00:00Z", b",", b";", b"\n", b'"', b"a/f", b"1", b"-",
     b".", b"e5", b"nan", b"true", b"\xd6\xd0", b"\xff\xfe", b"\x1f\x8b", b"PAR1", b"9" * 20, b"\x00", b"\r"]
)  # fmt: skip


@settings(max_examples=examples(300), suppress_health_check=list(HealthCheck), deadline=None)
@given(st.lists(PIECES, max_size=30).map(b"".join) | st.binary(max_size=80))
def test_any_bytes_are_rows_or_an_error(content: bytes) -> None:
    for packed in (content, gzip.compress(content)):
        try:
            rows, _ = rows_of(packed)
        except DataError as error:
            assert "x.csv" in error.message
        else:
            assert all(row["path"] in POINTS for row in rows)


@given(st.text(max_size=30))
def test_any_text_is_a_time_or_an_error(text: str) -> None:
    for clock in (Clock(), Clock(ZoneInfo("Asia/Shanghai"), "Asia/Shanghai"), Clock(form="%d/%m/%Y %H:%M")):
        try:
            assert -(2**63) <= one_time(text, clock) < 2**63
        except DataError as error:
            assert error.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-01T08:00:00.123456789+08:00", "2026-01-01T00:00:00.123456789Z"),
        ("2026-01-01 08:00:00", "2026-01-01T00:00:00Z"),
        ("1767225600", "2026-01-01T00:00:00Z"),
        ("1767225600.25", "2026-01-01T00:00:00.25Z"),
        ("1767225600000", "2026-01-01T00:00:00Z"),
        ("1767225600000000", "2026-01-01T00:00:00Z"),
        ("1767225600000000001", "2026-01-01T00:00:00.000000001Z"),
        ("-1.5", "1969-12-31T23:59:58.5Z"),
    ],
)
def test_times_alone_and_together_mean_the_same(text: str, expected: str) -> None:
    clock = Clock(ZoneInfo("Asia/Shanghai"), "Asia/Shanghai")
    assert format_time(one_time(text, clock)) == expected
    complaints: list[tuple[int, str]] = []
    many, good = times([text, text], clock, lambda row, why: complaints.append((row, why)))
    assert many.tolist() == [parse_time_ns(expected)] * 2 and good.all() and complaints == []
    mixed, good = times([text, "never", text], clock, lambda row, why: complaints.append((row, why)))
    assert mixed[[0, 2]].tolist() == [parse_time_ns(expected)] * 2 and good.tolist() == [True, False, True]
    assert [row for row, _ in complaints] == [1]


def test_a_wrong_number_does_not_spoil_its_column() -> None:
    wrong: list[int] = []
    numbers, good = values(
        ValueKind.INT64, ["9223372036854775807", "1_0", "", " 7 ", "1e3"], False, lambda r, _: wrong.append(r)
    )
    assert (
        numbers[[0, 3]].tolist() == [2**63 - 1, 7]
        and good.tolist() == [True, False, False, True, False]
        and wrong == [1, 4]
    )


def test_encodings_are_told_apart() -> None:
    assert encoding_of("温度".encode("gbk")) == "gb18030"
    assert encoding_of("温度".encode()[:-1]) == "utf-8-sig"
    assert encoding_of("温度".encode("utf-16")) == "utf-16"
