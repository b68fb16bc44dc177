"""Paths and numbers: what each end of a connection must know so that handles stay inside and paths go across.

ours ──Told.fresh──► the paths that the other end has not heard yet ──dictionary──► Heard.learn ──► theirs → ours
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

import numpy as np

from headrace.model.batch import Batch
from headrace.model.errors import DataError, LimitReached
from headrace.model.packing import renumbered, used_handles

PATHS_MAX: Final = 4_000_000


class Numbering(Protocol):
    """The numbers of this process."""

    def path_of(self, handle: int) -> str:
        """Raises: KeyError."""
        ...

    def handle_of(self, path: str) -> int | None:
        """None for a path that this process does not know, and may not number."""
        ...


class PathBook:
    """Numbers of a process without a historian: each path gets the next when it is first heard of."""

    def __init__(self) -> None:
        self._handles: dict[str, int] = {}
        self._paths: list[str] = []

    def path_of(self, handle: int) -> str:
        try:
            return self._paths[handle]
        except IndexError:
            raise KeyError(handle) from None

    def handle_of(self, path: str) -> int:
        """Raises: LimitReached."""
        handle = self._handles.get(path)
        if handle is None:
            if len(self._paths) >= PATHS_MAX:
                raise LimitReached(f"more than {PATHS_MAX} paths were heard of; this is no plant")
            handle = self._handles[path] = len(self._paths)
            self._paths.append(path)
        return handle


class Declared:
    """Numbers of the process that owns the historian. `handles` and `paths` are asked each time: plants change."""

    def __init__(self, handles: Callable[[], Mapping[str, int]], paths: Callable[[], Mapping[int, str]]) -> None:
        self._handles, self._paths = handles, paths

    def path_of(self, handle: int) -> str:
        return self._paths()[handle]

    def handle_of(self, path: str) -> int | None:
        return self._handles().get(path)


class Told:
    """Which of our handles the other end knows."""

    def __init__(self, numbering: Numbering) -> None:
        self._numbering = numbering
        self._known = np.zeros(1024, np.bool_)

    def fresh(self, batches: Sequence[Batch]) -> dict[int, str]:
        """The dictionary that has to go with these batches; counts as sent. Raises: DataError for unknown handles."""
        used = used_handles(batches)
        if not len(used):
            return {}
        if int(used[-1]) >= len(self._known):
            grown = np.zeros(max(int(used[-1]) + 1, 2 * len(self._known)), np.bool_)
            grown[: len(self._known)] = self._known
            self._known = grown
        new = used[~self._known[used]].tolist()
        try:
            paths = {handle: self._numbering.path_of(handle) for handle in new}
        except KeyError as missing:
            raise DataError(f"no point has the handle {missing} in this process") from None
        self._known[new] = True
        return paths


class Heard:
    """What the other end's handles are here. `unknown` counts samples of paths that this process does not have."""

    def __init__(self, numbering: Numbering) -> None:
        self._numbering = numbering
        self._table = np.full(1024, -1, np.int64)
        self._absent: dict[str, int] = {}  # path -> their handle, for paths that may yet be declared
        self.unknown = 0

    def learn(self, paths: Mapping[int, str]) -> None:
        if paths and max(paths) >= len(self._table):
            grown = np.full(max(max(paths) + 1, 2 * len(self._table)), -1, np.int64)
            grown[: len(self._table)] = self._table
            self._table = grown
        for theirs, path in paths.items():
            ours = self._numbering.handle_of(path)
            self._table[theirs] = -1 if ours is None else ours
            if ours is None and len(self._absent) < PATHS_MAX:
                self._absent[path] = theirs

    def ours(self, batches: Iterable[Batch]) -> list[Batch]:
        """The same samples under our handles; those of paths unknown here are left out."""
        turned = []
        for batch in batches:
            mine = renumbered(batch, self._table)
            if len(mine) < len(batch) and self._absent:
                self._look_again()
                mine = renumbered(batch, self._table)
            self.unknown += len(batch) - len(mine)
            if len(mine):
                turned.append(mine)
        return turned

    def missing(self) -> str:
        """One of the paths that are unknown here."""
        return next(iter(self._absent), "")

    def _look_again(self) -> None:
        """A path may have been declared since it was heard."""
        for path, theirs in list(self._absent.items()):
            ours = self._numbering.handle_of(path)
            if ours is not None:
                self._table[theirs] = ours
                del self._absent[path]
