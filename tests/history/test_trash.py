"""Large files are given back piece by piece, and never come back."""

from __future__ import annotations

import threading
from pathlib import Path

from headrace.history import HistorySettings, open_store
from headrace.history.disk import Disk
from headrace.history.trash import Trash
from headrace.sdk.clock import SystemClock

MIB = 1024 * 1024


class Told(Disk):
    """Notes what is cut and removed, and by which thread; holds the first cut until it is let go."""

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self.removed: list[tuple[str, str]] = []
        self.cut, self.go_on = threading.Event(), threading.Event()

    def truncate(self, descriptor: int, length: int) -> None:
        self.lengths.append(length)
        super().truncate(descriptor, length)
        self.cut.set()
        self.go_on.wait()

    def unlink(self, path: Path) -> None:
        self.removed.append((path.name, threading.current_thread().name))
        super().unlink(path)


def large(folder: Path, name: str = "old.log", size: int = 9 * MIB) -> Path:
    path = folder / name
    path.write_bytes(bytes(size))
    return path


def test_a_small_file_goes_at_once(tmp_path: Path) -> None:
    disk = Told()
    trash = Trash(tmp_path, disk)
    small = large(tmp_path, size=1000)
    trash.take(small)
    trash.take(small)  # and again, where it is gone already
    assert not small.exists()
    assert disk.removed == [("old.log", threading.current_thread().name)]
    trash.close()


def test_a_large_file_frees_its_name_at_once_and_its_room_piece_by_piece(tmp_path: Path) -> None:
    disk = Told()
    trash = Trash(tmp_path, disk)
    path = large(tmp_path)
    trash.take(path)
    assert not path.exists()
    assert disk.cut.wait(60)
    assert [file.stat().st_size for file in (tmp_path / "trash").iterdir()] == [7 * MIB]
    disk.go_on.set()
    while disk.removed == []:
        disk.cut.wait(0.01)
    trash.close()
    assert disk.lengths == [7 * MIB, 5 * MIB, 3 * MIB, 1 * MIB]
    assert disk.removed == [("0", "history-trash")]


def test_closing_waits_for_no_piece(tmp_path: Path) -> None:
    disk = Told()
    trash = Trash(tmp_path, disk)
    for number in range(3):
        trash.take(large(tmp_path, f"{number}.log"))
    assert disk.cut.wait(60)
    closing = threading.Thread(target=trash.close)
    closing.start()
    while not trash._hurry.is_set():
        closing.join(0.01)
    disk.go_on.set()
    closing.join()
    assert len(disk.lengths) == 1
    assert list((tmp_path / "trash").iterdir()) == []


async def test_what_a_crash_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "trash").mkdir()
    left = large(tmp_path / "trash", "0")
    store = await open_store(tmp_path, HistorySettings(), SystemClock())
    assert not left.exists()
    await store.close()
