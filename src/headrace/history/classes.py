"""Retention classes: how long each keeps what, and which class the samples of a point go to from now on.

    declared name ─► number, made from the name ─► in sections, of the catalog and of segment files
    point ─► number of its class                ─► a flush writes one file an (hour, class)

What was written before a point changed its class stays with its old class, and goes when that class says so.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from headrace.history.catalog import Catalog
from headrace.history.settings import HistorySettings
from headrace.model.batch import Handles
from headrace.model.errors import DataError, LimitReached
from headrace.model.retention import CLASSES_MAX, DEFAULT_CLASS, Retention


class Members:
    """The class of every point."""

    def __init__(self, numbers: Mapping[int, int]) -> None:
        """`numbers` of points that are not of the default class."""
        self.numbers = numbers
        self._table = np.zeros(max(numbers, default=-1) + 1, np.uint16)
        self._table[list(numbers)] = list(numbers.values())

    @property
    def several(self) -> bool:
        """Whether any point is in a class other than the default."""
        return bool(self.numbers)

    def of(self, handles: Handles) -> NDArray[np.uint16]:
        """Shape: as `handles`."""
        inside = handles < len(self._table)
        if inside.all():
            return self._table[handles]
        found = np.zeros(len(handles), np.uint16)
        found[inside] = self._table[handles[inside]]
        return found


class Classes:
    """Any thread may ask; `assign` replaces what is asked about as a whole."""

    def __init__(self, catalog: Catalog, settings: HistorySettings) -> None:
        self._catalog, self._settings = catalog, settings
        self._lock = Lock()
        self._numbers, self._retention = catalog.classes()
        self._members = Members(catalog.members())

    def names(self) -> Mapping[int, str]:
        return {number: name for name, number in self._numbers.items()} | {0: DEFAULT_CLASS}

    def retention(self, number: int) -> Retention:
        """Of a class that is declared no more: as it was declared last, so nothing goes earlier than was ever said."""
        return self._retention.get(number, self._settings.retention)

    def members(self) -> Members:
        """As they are now: a flush uses one throughout, whatever is declared meanwhile."""
        return self._members

    def assign(self, classes: Mapping[str, Retention], members: Mapping[str, Handles]) -> None:
        """Durable on return. Points that no class names are of the default. Raises: DataError, LimitReached."""
        for name in members:
            if name not in classes and name != DEFAULT_CLASS:
                raise DataError(f"points are assigned to retention class '{name}', which is not declared")
        with self._lock:
            numbers = dict(self._numbers)
            if len(classes) > CLASSES_MAX:
                raise LimitReached(f"{len(classes)} retention classes are declared; at most {CLASSES_MAX} can be")
            for name in sorted(classes):
                if name != DEFAULT_CLASS and name not in numbers:
                    numbers[name] = _number(name, numbers.values())
            retention = {number: kept for number, kept in self._retention.items() if number}
            retention.update((numbers.get(name, 0), kept) for name, kept in classes.items())
            pairs = {
                int(handle): numbers[name]
                for name, handles in members.items()
                if name != DEFAULT_CLASS
                for handle in handles.tolist()
            }
            if (numbers, retention, pairs) != (self._numbers, self._retention, self._members.numbers):
                self._catalog.set_classes(numbers, retention, pairs)
                self._numbers, self._retention, self._members = numbers, retention, Members(pairs)


def _number(name: str, taken: Collection[int]) -> int:
    """Made from the name, so that a catalog that had to be made again finds the classes of its files."""
    number = zlib.crc32(name.encode()) % 0xFFFF + 1
    while number in taken:
        number = number % 0xFFFF + 1
    return number
