"""Marks of sources: what older stores are read as, what repair keeps, and bytes that hold none."""

import sqlite3
import struct
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from headrace.history import HistorySettings, framing, open_store, seal
from headrace.history.framing import Frame
from headrace.history.marks import decode_marks, encode_marks
from headrace.history.repair import repair
from headrace.history.wal import FRAME_MAGIC, walk_log
from headrace.model.errors import DataError
from headrace.sdk.clock import SystemClock
from headrace.sdk.intake import Mark
from headrace.sdk.testing.store import ramp

MARKS = {"edge/line-1": Mark(3, 40), "edge/line-2": Mark(1, 1)}


async def make(directory: Path, *, flush: bool = True) -> None:
    store = await open_store(directory, HistorySettings(), SystemClock())
    await store.register(["p"])
    await store.append([ramp(0, 5)], MARKS)
    if flush:
        await store.flush()
    await store.close()


async def test_a_store_from_before_marks_is_taken_up(tmp_path: Path) -> None:
    store = await open_store(tmp_path, HistorySettings(), SystemClock())
    await store.register(["p"])
    await store.append([ramp(0, 5)])
    await store.close()
    _back_to_format_2(tmp_path / "catalog.db")
    for log in (tmp_path / "wal").glob("*.log"):
        frames = [part for part in walk_log(log) if isinstance(part, Frame)]
        data = b"".join(framing.frame(FRAME_MAGIC, f.payload, f.count, f.time_ns, f.place) for f in frames)
        log.write_bytes(struct.pack("<5sB2xQ", b"HRWAL", 2, int(log.stem)) + data)
    for expected in ({}, MARKS):
        store = await open_store(tmp_path, HistorySettings(), SystemClock())
        assert dict(store.marks()) == expected
        assert (await store.stats()).samples == 5
        await store.append([], MARKS)
        await store.flush()
        await store.close()


def _back_to_format_2(path: Path) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    seal.attach(db)
    db.execute("drop table marks")
    db.execute("delete from seal where name = 'marks'")
    db.execute("update meta set value = 2 where key = 'format' and value = 3")
    assert seal.broken(db) == []
    db.close()


async def test_repair_keeps_marks_that_can_be_trusted(tmp_path: Path) -> None:
    await make(tmp_path / "a")
    (tmp_path / "a" / "journal.log").write_bytes(b"")
    repair(tmp_path / "a", 0, apply=True)
    store = await open_store(tmp_path / "a", HistorySettings(), SystemClock())
    assert dict(store.marks()) == MARKS
    await store.close()


async def test_without_a_catalog_sources_begin_with_what_the_logs_say(tmp_path: Path) -> None:
    await make(tmp_path / "a", flush=False)
    for part in (tmp_path / "a").glob("catalog.db*"):
        part.unlink()
    repair(tmp_path / "a", 0, apply=True)
    store = await open_store(tmp_path / "a", HistorySettings(), SystemClock())
    assert dict(store.marks()) == MARKS
    await store.close()


marks = st.dictionaries(
    st.text(min_size=1, max_size=40), st.builds(Mark, st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1)), max_size=5
)


@given(marks, st.binary(max_size=40))
def test_what_is_written_is_read(given: dict[str, Mark], rest: bytes) -> None:
    behind = b"\x01" + rest  # a record of samples
    assert decode_marks(encode_marks(given) + behind) == (given, behind)


@given(st.binary(max_size=200))
def test_other_bytes_are_an_error_or_no_marks(data: bytes) -> None:
    try:
        decode_marks(b"\x00" + data)
    except DataError:
        pass
