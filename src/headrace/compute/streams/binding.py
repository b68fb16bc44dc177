"""Which points a function reads, and whose key each is. Numbers by series, dense, in the order in which points came."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from headrace.compute.streams.rows import Bools, Ints
from headrace.model.batch import ValueKind
from headrace.sdk.stream import StreamFunction
from headrace.sdk.stream_points import Places


class Binding:
    """`paths`, `key_of` and `input_of` by series; `keys` are texts by number."""

    def __init__(self, function: StreamFunction) -> None:
        self._function = function
        self._places = Places(function)
        self.paths: list[str] = []
        self.keys: list[str] = []
        self._series: dict[str, int] = {}
        self._numbers: dict[str, int] = {}
        self.key_of: Ints = np.empty(0, np.int32)
        self.input_of: Ints = np.empty(0, np.int32)
        self.floats: Bools = np.empty(0, np.bool_)
        self.series_of: Ints = np.empty(0, np.int32)

    def bind(self, paths: Mapping[int, str]) -> None:
        """Learn what handles mean from now on; points that are known keep their series."""
        self.learn(sorted(paths.values()))
        self.series_of = np.full(max(paths, default=-1) + 1, -1, np.int32)
        for handle, path in paths.items():
            self.series_of[handle] = self._series.get(path, -1)

    def learn(self, paths: list[str]) -> None:
        """Series for those of these points that the function reads, in this order."""
        found: list[tuple[int, int]] = []
        for path in paths:
            bound = None if path in self._series else self._places.read(path)
            if bound is None:
                continue
            key, number = bound
            self._series[path] = len(self.paths)
            self.paths.append(path)
            if key not in self._numbers:
                self._numbers[key] = len(self.keys)
                self.keys.append(key)
            found.append((self._numbers[key], number))
        if found:
            declared = list(self._function.inputs.values())
            self.key_of = np.append(self.key_of, np.array([key for key, _ in found], np.int32))
            self.input_of = np.append(self.input_of, np.array([number for _, number in found], np.int32))
            floats = [declared[number].kind is ValueKind.FLOAT64 for _, number in found]
            self.floats = np.append(self.floats, np.array(floats, np.bool_))

    def output_path(self, key: str, output: str) -> str:
        """Of an asset's point, or one beside the point that is the key."""
        return self._places.output_path(key, output)
