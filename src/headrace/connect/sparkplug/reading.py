"""Metrics of messages that are taken, to batches: which points they feed, when they were so, how good they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.connect.payload.contract import Message
from headrace.connect.sparkplug import values
from headrace.connect.sparkplug.metrics import HAS_ALIAS, HAS_TIME, Metrics
from headrace.connect.sparkplug.nodes import Node, Source
from headrace.connect.sparkplug.slots import NO_SLOT, Index, Table, look_up
from headrace.model import quality as q
from headrace.model.batch import Batch

_NOBODY: Final = Index()


class Taken(NamedTuple):
    """A message that counts: its place among the decoded ones, and whose it is."""

    at: int
    message: Message
    node: Node
    source: Source


class Reader:
    """Looks up in one table; counts in the host's counters."""

    def __init__(self, table: Table, counts: Counter[str]) -> None:
        self._table, self._counts = table, counts

    def take(self, metrics: Metrics, taken: Sequence[Taken]) -> tuple[list[Batch], dict[Node, int]]:
        """Batches, and the nodes that used an alias which their birth had not told, with when they did."""
        if not taken:
            return [], {}
        number = len(metrics.seq)
        indexes = [_NOBODY] * number
        received_ns = np.zeros(number, np.int64)
        counts, doubtful = np.zeros(number, np.bool_), np.zeros(number, np.bool_)
        for at, message, node, source in taken:
            indexes[at], received_ns[at] = source.index, message.received_ns
            counts[at], doubtful[at] = True, node.doubtful
        slots, unknown = look_up(self._table, indexes, metrics)
        ours = counts[metrics.message]
        strangers = self._strangers(metrics, unknown & ours, taken)
        rows = np.flatnonzero((slots != NO_SLOT) & ours)
        if not len(rows):
            return [], strangers
        rows, slots = self._fan_out(rows, slots[rows])
        source_ns, quality = self._quality(metrics, rows, received_ns, doubtful)
        of_message = metrics.message[rows]
        table = self._table
        batches = values.batches(
            metrics,
            rows,
            table.handle[slots],
            table.kind[slots],
            table.datatype[slots],
            source_ns,
            received_ns[of_message],
            quality,
        )
        for batch in batches:
            skipped = int(np.count_nonzero(batch.quality == q.BAD_NOT_SUPPORTED))
            if skipped:
                self._counts["values of types that make no sample"] += skipped
        newest = np.zeros(number, np.int64)
        np.maximum.at(newest, of_message, source_ns)
        for one in taken:
            one.source.note(int(newest[one.at]), one.message.received_ns)
        return batches, strangers

    def _fan_out(
        self, rows: NDArray[np.int64], slots: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """A metric that feeds several points has a row for each."""
        all_rows, all_slots = [rows], [slots]
        while True:
            slots = self._table.next[slots]
            more = slots != NO_SLOT
            if not more.any():
                return np.concatenate(all_rows), np.concatenate(all_slots)
            rows, slots = rows[more], slots[more]
            all_rows.append(rows)
            all_slots.append(slots)

    def _quality(
        self, metrics: Metrics, rows: NDArray[np.int64], received_ns: NDArray[np.int64], doubtful: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        source_ns, quality = values.source_times(metrics, rows, received_ns, HAS_TIME)
        quality = np.where(quality != 0, quality, metrics.quality[rows])
        if doubtful.any():
            by_alias = (metrics.flags[rows] & HAS_ALIAS) != 0
            quality[doubtful[metrics.message[rows]] & by_alias & (quality == 0)] = q.UNCERTAIN
        return source_ns, quality

    def _strangers(self, metrics: Metrics, unknown: NDArray[np.bool_], taken: Sequence[Taken]) -> dict[Node, int]:
        if not unknown.any():
            return {}
        which = set(metrics.message[unknown].tolist())
        return {one.node: one.message.received_ns for one in taken if one.at in which}
