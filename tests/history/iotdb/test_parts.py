"""Addresses and bytes, without a server."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.history.iotdb import IotdbSettings
from headrace.history.iotdb.blocks import BOOLEAN, DOUBLE, INT64, TEXT, Block, Column, decode, encode_column
from headrace.history.iotdb.cluster import prepare
from headrace.history.iotdb.connection import Answer, Busy, Existing
from headrace.history.iotdb.reading import in_order
from headrace.history.iotdb.schema import Names, SampleRows, quoted, tablets, unquoted
from headrace.history.iotdb.settings import Node
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import ConfigError, DataError

ENCODINGS = {BOOLEAN: 0, INT64: 2, DOUBLE: 2, TEXT: 3}
VALUES = {
    BOOLEAN: st.booleans(),
    INT64: st.integers(-(2**63), 2**63 - 1),
    DOUBLE: st.floats(allow_nan=False),
    TEXT: st.binary(max_size=9),
}


def packed(kind: int, cells: list[object]) -> bytes:
    """A column as the server writes it: flags of nulls, then what is there."""
    absent = np.packbits(np.array([cell is None for cell in cells], bool)).tobytes()
    head = b"\1" + absent if None in cells else b"\0"
    if kind == BOOLEAN:
        return head + np.packbits(np.array([bool(cell) for cell in cells], bool)).tobytes()
    there = [cell for cell in cells if cell is not None]
    column = np.empty(len(there), object)
    column[:] = there
    return head + encode_column(column, kind)


@st.composite
def blocks(draw: st.DrawFn) -> tuple[bytes, list[int], list[list[object]]]:
    rows = draw(st.integers(0, 20))
    kinds = draw(st.lists(st.sampled_from(list(VALUES)), max_size=4))
    columns: list[list[object]] = []
    encodings, parts = [2], [b"\0" + encode_column(np.arange(rows), INT64)]
    for kind in kinds:
        if rows and draw(st.booleans()):  # one value for all rows
            cell = draw(st.none() | VALUES[kind])
            columns.append([cell] * rows)
            encodings.append(4)
            parts.append(bytes([ENCODINGS[kind]]) + packed(kind, [cell]))
        else:
            columns.append(draw(st.lists(st.none() | VALUES[kind], min_size=rows, max_size=rows)))
            encodings.append(ENCODINGS[kind])
            parts.append(packed(kind, columns[-1]))
    head = len(kinds).to_bytes(4, "big") + bytes(kinds) + rows.to_bytes(4, "big") + bytes(encodings)
    return head + b"".join(parts), kinds, columns


@given(blocks())
def test_a_block_is_read_as_it_was_written(block: tuple[bytes, list[int], list[list[object]]]) -> None:
    data, _, columns = block
    got = decode(data)
    assert got.time_ns.tolist() == list(range(len(got.time_ns)))
    for column, cells in zip(got.columns, columns, strict=True):
        read = [value if there else None for value, there in zip(column.values.tolist(), column.present, strict=True)]
        assert repr(read) == repr(cells)  # −0.0 is not 0.0


@given(blocks(), st.data())
def test_other_bytes_are_a_clear_error(block: tuple[bytes, list[int], list[list[object]]], data: st.DataObject) -> None:
    whole = bytearray(block[0])
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    except DataError:
        pass


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_path_is_an_identifier(path: str) -> None:
    assert unquoted(quoted(path).encode()) == path


@given(st.lists(st.tuples(st.integers(0, 3), st.text(max_size=30)), min_size=1, max_size=40), st.integers(1, 7))
def test_tablets_hold_every_sample_once_and_keep_within_their_limits(
    samples: list[tuple[int, str]], rows_max: int
) -> None:
    samples = sorted(samples, key=lambda sample: sample[0])
    handles = np.array([handle for handle, _ in samples], np.uint32)
    batch = Batch.of(ValueKind.TEXT, handles, np.arange(len(samples)), [text for _, text in samples])
    made = list(tablets(batch, Names("db"), rows_max, 50))
    assert sum(tablet.rows for tablet in made) == len(samples)
    assert max(tablet.rows for tablet in made) <= rows_max
    times = np.frombuffer(b"".join(tablet.times for tablet in made), ">i8")
    assert times.tolist() == list(range(len(samples)))
    for tablet in made:
        text_bytes = len(tablet.columns) - 16 * tablet.rows
        assert text_bytes <= 50 or tablet.rows == 1


class Cluster:
    """Answers the few questions that are asked before a store opens."""

    def __init__(self, precision: str = "ns", consensus: str = "x.ratis.RatisConsensus", sets: str = "") -> None:
        self.precision, self.sets = precision, sets
        self.tables = {
            "SHOW VARIABLES": {"Variable": "DataRegionConsensusProtocolClass", "Value": consensus},
            "SHOW DATABASES DETAILS": {"DataReplicationFactor": "3", "SchemaReplicationFactor": "3"},
            "SHOW PATHS": {"child paths": sets},
        }
        self.done: list[str] = []

    def query(self, statement: str) -> Answer:
        row = next((row for start, row in self.tables.items() if statement.startswith(start)), {})
        columns = [Column(np.array([value.encode()], object), np.ones(1, bool)) for value in row.values()]
        rows = np.zeros(1 if row else 0, np.int64)
        return Answer(list(row), list(range(len(row))), (block for block in [Block(rows, columns)]))

    def execute(self, statement: str) -> None:
        self.done.append(statement)
        if statement.startswith("CREATE DEVICE TEMPLATE"):
            raise Existing("another process was quicker")


def opened(cluster: Cluster) -> int:
    return prepare(cluster, Names("db")).replicas  # type: ignore[arg-type]


def test_a_cluster_that_would_change_or_lose_samples_is_refused() -> None:
    with pytest.raises(ConfigError, match="timestamp_precision=ns"):
        opened(Cluster(precision="ms"))
    with pytest.raises(ConfigError, match="uses IoTConsensus for data"):
        opened(Cluster(consensus="org.apache.iotdb.consensus.iot.IoTConsensus"))


def test_what_is_there_is_not_made_again() -> None:
    fresh, known = Cluster(), Cluster(sets="root.db.p")
    assert (opened(fresh), opened(known)) == (3, 3)
    assert [statement.split("(")[0] for statement in fresh.done] == [
        "CREATE DEVICE TEMPLATE headrace_1 ALIGNED ",
        "SET DEVICE TEMPLATE headrace_1 TO root.db.p",
        "CREATE DEVICE TEMPLATE headrace_marks_1 ALIGNED ",
        "SET DEVICE TEMPLATE headrace_marks_1 TO root.db.marks",
    ]
    assert [statement.split("(")[0] for statement in known.done] == [
        statement.split("(")[0] for statement in fresh.done if not statement.endswith("TO root.db.p")
    ]


def test_an_address_says_where_and_who() -> None:
    settings = IotdbSettings.from_url("iotdb://plant@a.example,b:7000,[::1]:6668/works?ca=/x.pem")
    assert settings.nodes == (Node("a.example", 6667), Node("b", 7000), Node("::1", 6668))
    assert (settings.user, settings.database, settings.tls, settings.ca_file) == ("plant", "works", True, "/x.pem")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("iotdb://a:6667/db", "names no user"),
        ("iotdb://u:secret@a/db", "can be read by others"),
        ("iotdb://u@a:99999/db", "no host:port"),
        ("iotdb://u@a,/db", "no host:port"),
        ("iotdb://u@a/", "no name for an IoTDB database"),
        ("iotdb://u@a/a.b", "no name for an IoTDB database"),
        ("iotdb://u@a/db?ssl=1", "no option"),
        ("iotdb://u@a/db?tls=maybe", "tls=true or tls=false"),
        ("iotdb://u@a/db?tls=false&ca=x", "uses TLS"),
        ("other://u@a/db", "does not name"),
    ],
)
def test_a_wrong_address_says_what_is_wrong(url: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        IotdbSettings.from_url(url)
    assert "secret" not in str(caught.value)


def test_a_password_comes_from_the_environment_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = IotdbSettings.from_url("iotdb://u@a/db")
    monkeypatch.delenv("HEADRACE_IOTDB_PASSWORD", raising=False)
    with pytest.raises(ConfigError, match="no password for IoTDB user 'u'"):
        settings.password()
    (tmp_path / "secret").write_text("from file\n")
    monkeypatch.setenv("HEADRACE_IOTDB_PASSWORD_FILE", str(tmp_path / "secret"))
    assert settings.password() == "from file"
    monkeypatch.setenv("HEADRACE_IOTDB_PASSWORD", "from environment")
    assert settings.password() == "from environment"
    assert "environment" not in repr(settings)


@pytest.mark.parametrize("rows", [[], [(1, 5)], [(1, 5), (1, 6), (2, 1)]])
def test_rows_in_order_pass(rows: list[tuple[int, int]]) -> None:
    assert len(in_order(rows_of(rows))) == len(rows)


@pytest.mark.parametrize("rows", [[(1, 5), (1, 5)], [(1, 6), (1, 5)], [(2, 1), (1, 5)], [(1, 5), (2, 1), (1, 6)]])
def test_rows_twice_or_out_of_order_are_asked_again(rows: list[tuple[int, int]]) -> None:
    with pytest.raises(Busy, match="twice, or out of order"):
        in_order(rows_of(rows))


def rows_of(rows: list[tuple[int, int]]) -> SampleRows:
    """(point, time) each, without columns."""
    return SampleRows(np.array([h for h, _ in rows], np.uint32), np.array([t for _, t in rows], np.int64), {})
