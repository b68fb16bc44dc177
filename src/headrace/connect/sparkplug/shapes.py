"""Sparkplug payloads to columns without an object a metric: by their shapes.

    payloads ──outlines──► where their metrics are             many payloads are walked in step
    all metrics ──length──► those of one template: same tags, same widths ──► columns     one gather a field
                  └─ few, or unlike any ─► protobuf, metric by metric
    what is no plain payload (unknown fields, fields out of place) ─► protobuf, whole

A template is learnt from the first metric that has it, and compared in full with all that may have it too: every tag,
every length, every continuation bit. What is compared is exactly what would steer a parser, so nothing else can follow.
Fleets of equal nodes share templates; a node that reports by exception has few, since each metric counts by itself.
Source of the wire format: Protocol Buffers encoding; equal output to `metrics.by_protobuf` is tested and fuzzed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from headrace.connect.sparkplug.metrics import NO_SEQUENCE, ROW_DTYPES, Metrics, Rows, by_protobuf
from headrace.connect.sparkplug.outlines import Outlines, windows
from headrace.connect.sparkplug.properties import Qualities
from headrace.connect.sparkplug.schema import Metric
from headrace.connect.sparkplug.templates import Template, Templates
from headrace.model.errors import DataError

#: Fewer bytes than some eight payloads of twenty metrics are left to protobuf: NumPy's calls cost more than they save.
_BYTES_MIN: Final = 4096
_GROUP_MIN: Final = 12


class Shapes:
    """Decodes; remembers the templates it has learnt, a bounded number."""

    def __init__(self) -> None:
        self.qualities = Qualities()
        self._templates = Templates()

    def decode(self, payloads: Sequence[bytes]) -> Metrics:
        """The same as `by_protobuf`, faster where there is enough to do."""
        if sum(map(len, payloads)) < _BYTES_MIN:
            return by_protobuf(payloads, self.qualities)
        spans = Outlines(payloads)
        odd = by_protobuf([payloads[at] for at in spans.odd], self.qualities)
        return _Assembly(payloads, spans, odd, self._templates, self.qualities).metrics()


class _Assembly:
    """One call's columns, filled group by group."""

    def __init__(
        self, payloads: Sequence[bytes], spans: Outlines, odd: Metrics, templates: Templates, qualities: Qualities
    ) -> None:
        self._payloads, self._spans, self._odd = payloads, spans, odd
        self._templates, self._qualities = templates, qualities
        odd_counts = np.bincount(odd.message, minlength=len(spans.odd)).tolist()
        self._first, self._starts, self._sizes = spans.rows(odd_counts)
        rows = len(self._starts)
        self.columns: dict[str, NDArray[Any]] = {name: np.zeros(rows, dtype) for name, dtype in ROW_DTYPES.items()}
        self.columns["message"][:] = np.repeat(np.arange(len(payloads)), spans.count)
        self.names: dict[int, str] = {}
        self.texts: dict[int, str] = {}
        self._bad: set[int] = set()

    def metrics(self) -> Metrics:
        is_ours = np.ones(len(self._starts), np.bool_)
        self._place_odd(is_ours)
        ours = np.flatnonzero(is_ours)
        sizes = self._sizes[ours]
        order = np.argsort(sizes, kind="stable")
        ours, sizes = ours[order], sizes[order]
        edges = np.flatnonzero(np.diff(sizes)) + 1
        for rows in np.split(ours, edges) if len(ours) else ():
            self._group(rows, int(self._sizes[rows[0]]))
        return self._done()

    def _place_odd(self, is_ours: NDArray[np.bool_]) -> None:
        odd, spans = self._odd, self._spans
        at = np.array(spans.odd, np.int64)
        spans.seq[at], spans.sent[at], spans.has_sent[at] = odd.seq, odd.sent_ms, odd.has_sent
        if not len(odd):
            return
        began = np.concatenate(([0], np.cumsum(np.bincount(odd.message, minlength=len(at)))))
        rows = self._first[at[odd.message]] + np.arange(len(odd)) - began[odd.message]
        is_ours[rows] = False
        for name in list(ROW_DTYPES)[1:]:
            self.columns[name][rows] = getattr(odd, name)
        self.names.update((int(rows[row]), name) for row, name in odd.names.items())
        self.texts.update((int(rows[row]), text) for row, text in odd.texts.items())

    def _group(self, rows: NDArray[np.int64], size: int) -> None:
        """Metrics of one length."""
        if len(rows) >= _GROUP_MIN and size:
            matrix = windows(self._spans.data, size)[self._starts[rows]]
            for template, members in self._templates.sort(matrix):
                within = rows[members]
                template.fill(matrix[members], within, self.columns)
                if template.has_texts:
                    self._texts_of(template, within)
                rows_left = np.ones(len(rows), np.bool_)
                rows_left[members] = False
                rows, matrix = rows[rows_left], matrix[rows_left]
        for row in rows.tolist():
            self._single(row)

    def _texts_of(self, template: Template, rows: NDArray[np.int64]) -> None:
        """What is no number: names, texts, and qualities from properties."""
        data, starts, numbers = self._spans.joined, self._starts[rows].tolist(), rows.tolist()
        for part, into in ((template.name, self.names), (template.text, self.texts)):
            if part is None:
                continue
            at, end = part[0], part[0] + part[1]
            for row, start in zip(numbers, starts, strict=True):
                try:
                    into[row] = data[start + at : start + end].decode("utf-8")
                except UnicodeDecodeError:
                    self._is_bad(row)
        if template.properties is not None and template.properties[1]:
            at, end = template.properties[0], sum(template.properties)
            quality = self.columns["quality"]
            for row, start in zip(numbers, starts, strict=True):
                try:
                    quality[row] = self._qualities.of(data[start + at : start + end])
                except DataError:
                    self._is_bad(row)

    def _is_bad(self, row: int) -> None:
        self._bad.add(int(self.columns["message"][row]))

    def _single(self, row: int) -> None:
        start, end = int(self._starts[row]), int(self._starts[row] + self._sizes[row])
        one = Rows(self._qualities)
        try:
            one.add(int(self.columns["message"][row]), Metric.FromString(self._spans.joined[start:end]))
        except (DecodeError, DataError):
            self._is_bad(row)
            return
        for name, value in zip(ROW_DTYPES, one.columns[0], strict=True):
            self.columns[name][row] = value
        self.names.update((row, name) for name in one.names.values())
        self.texts.update((row, text) for text in one.texts.values())

    def _done(self) -> Metrics:
        spans = self._spans
        errors = {spans.odd[at]: error for at, error in self._odd.errors.items()}
        for at in self._bad:  # protobuf says what is wrong with it
            errors.update(dict.fromkeys((at,), by_protobuf([self._payloads[at]], self._qualities).errors[0]))
            spans.seq[at], spans.sent[at], spans.has_sent[at] = NO_SEQUENCE, 0, False
        columns, names, texts = self.columns, self.names, self.texts
        if self._bad:
            kept = ~np.isin(columns["message"], list(self._bad))
            place = np.cumsum(kept) - 1
            columns = {name: column[kept] for name, column in columns.items()}
            names = {int(place[row]): name for row, name in names.items() if kept[row]}
            texts = {int(place[row]): text for row, text in texts.items() if kept[row]}
        return Metrics.of(spans.seq, spans.sent, spans.has_sent, columns, names, texts, errors)
