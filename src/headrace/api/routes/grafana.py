"""Grafana's own Prometheus data source reads points here: the part of the Prometheus HTTP API that it asks for.

GET or form POST ─► selector ─► LabelTable ─► prom_query.evaluate ─► {"status": "success", "data": …}

Source: Prometheus documentation, "HTTP API". Errors have its form too, once the caller has been admitted.
"""

# Parameters of a GET are declared, so that they are described and a wrong one is named; `Asked` reads those of both.
# ruff: noqa: ARG001

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from fractions import Fraction
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qs
from weakref import WeakKeyDictionary

import numpy as np
from fastapi import Depends, Query, Request, Response
from pydantic import Field

from headrace import __version__
from headrace.api.columns import json_columns
from headrace.api.context import InContext, WithHistory, WithPlant
from headrace.api.errors import describe
from headrace.api.guarded_route import PREFIX, api_router
from headrace.api.plant_index import PlantIndex
from headrace.api.prom_labels import LABELS, LabelTable
from headrace.api.prom_query import SERIES_MAX, evaluate, number_text, pairs, steps_of
from headrace.api.promql import METRIC, Number, duration_ns, parse, parse_selector
from headrace.api.schemas.base import Answer, ErrorAnswer
from headrace.api.times import time_ns_of
from headrace.model.errors import DataError, HeadraceError
from headrace.model.time import SECOND_NS
from headrace.sdk.store import HistoryReader


class PrometheusError(Answer):
    """What went wrong, as Prometheus says it: once the caller has been admitted."""

    status: Literal["error"]
    errorType: str = Field(examples=["bad_data"])  # noqa: N815  # theirs
    error: str


router = api_router("Grafana", prefix=f"{PREFIX}/grafana/prometheus/api/v1", error=ErrorAnswer | PrometheusError)

#: The version whose HTTP API this part is of; Grafana chooses its requests by it.
SPOKEN_VERSION: Final = "2.42.0"
LISTED_MAX: Final = 20_000
_UNIX: Final = re.compile(r"-?\d{1,10}(\.\d{1,9})?")

Arguments = dict[str, list[str]]
_tables: WeakKeyDictionary[PlantIndex, LabelTable] = WeakKeyDictionary()


class Asked:
    """Arguments of one request, the plant they are asked of, and where history is."""

    def __init__(self, arguments: Arguments, index: PlantIndex, store: HistoryReader, now_ns: int) -> None:
        self.arguments, self.index, self.store, self.now_ns = arguments, index, store, now_ns

    def one(self, name: str) -> str:
        """Raises: DataError where it is missing."""
        found = self.arguments.get(name, [""])[0]
        if not found:
            raise DataError(f"'{name}' is missing")
        return found

    def time_ns(self, name: str, default_ns: int | None = None) -> int:
        if default_ns is not None and not self.arguments.get(name, [""])[0]:
            return default_ns
        return prometheus_time_ns(self.one(name), self.now_ns)

    async def table(self) -> LabelTable:
        kept = _tables.get(self.index)
        if kept is None:
            kept = _tables[self.index] = await asyncio.to_thread(LabelTable, self.index)
        return kept

    async def rows(self, table: LabelTable) -> list[int]:
        """What the `match[]` arguments select together; everything where there are none."""
        chosen: set[int] = set()
        for text in self.arguments.get("match[]", ["{}"]):
            chosen.update(await asyncio.to_thread(table.select, parse_selector(text)))
        return sorted(chosen)


async def _asked(request: Request, index: WithPlant, history: WithHistory, context: InContext) -> Asked:
    arguments: Arguments = {}
    for name, value in request.query_params.multi_items():
        arguments.setdefault(name, []).append(value)
    if request.method == "POST":
        body = (await request.body()).decode("utf-8", "replace")
        try:
            form = parse_qs(body, keep_blank_values=True, max_num_fields=1_000)
        except ValueError:
            raise DataError("the form has more than 1000 fields") from None
        arguments = {**form, **arguments}
    return Asked(arguments, index, history, context.services.clock.now_ns())


WithAsked = Annotated[Asked, Depends(_asked)]
Text = Annotated[str | None, Query(max_length=20_000)]
Short = Annotated[str | None, Query(max_length=64)]
Match = Annotated[list[str] | None, Query(alias="match[]", max_length=50)]


async def _answer(work: Callable[[], Awaitable[Any]]) -> Response:
    try:
        return json_columns({"status": "success", "data": await work()})
    except HeadraceError as error:
        status, _ = describe(error)
        kind = "bad_data" if isinstance(error, DataError) else "execution"
        status = 400 if isinstance(error, DataError) else status
        response = json_columns({"status": "error", "errorType": kind, "error": error.message})
        response.status_code = status
        return response


@router.get("/query", operation_id="prometheusQuery", summary="Prometheus: one moment", response_model=dict[str, Any])
async def query(
    asked: WithAsked,
    query: Text = None,
    time: Short = None,
    timeout: Short = None,
    limit: Short = None,
    stats: Short = None,
    lookback_delta: Short = None,
) -> Response:
    """The value of each series at `time`. `point{path="…"}` or `avg_over_time(point{…}[5m])`, see docs/query.md."""

    async def work() -> Any:
        time_ns, parsed = asked.time_ns("time", asked.now_ns), parse(asked.one("query"))
        if isinstance(parsed, Number):
            return {"resultType": "scalar", "result": [time_ns / SECOND_NS, number_text(parsed.value)]}
        table = await asked.table()
        rows = _few(await asyncio.to_thread(table.select, parsed.matchers))
        handles = asked.index.handles([table.paths[row] for row in rows])
        values = await evaluate(asked.store, handles, parsed, time_ns + 1, SECOND_NS, 1)
        moment = np.array([time_ns], np.int64)
        return {
            "resultType": "vector",
            "result": [
                {"metric": table.labels(row, named=parsed.named), "value": found[0]}
                for row, value in zip(rows, values, strict=True)
                if (found := pairs(moment, value))
            ],
        }

    return await _answer(work)


@router.get(
    "/query_range", operation_id="prometheusQueryRange", summary="Prometheus: steps", response_model=dict[str, Any]
)
async def query_range(
    asked: WithAsked,
    query: Text = None,
    start: Short = None,
    end: Short = None,
    step: Short = None,
    timeout: Short = None,
    limit: Short = None,
    stats: Short = None,
    lookback_delta: Short = None,
) -> Response:
    """Each series from `start` to `end`, a value a `step`, from roll-ups where they fit."""

    async def work() -> Any:
        start_ns, end_ns, step_ns = asked.time_ns("start"), asked.time_ns("end"), step_ns_of(asked.one("step"))
        steps, times_ns = steps_of(start_ns, end_ns, step_ns)
        parsed = parse(asked.one("query"))
        if isinstance(parsed, Number):
            values = pairs(times_ns, np.full(steps, parsed.value))
            return {"resultType": "matrix", "result": [{"metric": {}, "values": values}]}
        table = await asked.table()
        rows = _few(await asyncio.to_thread(table.select, parsed.matchers))
        handles = asked.index.handles([table.paths[row] for row in rows])
        found = await evaluate(asked.store, handles, parsed, start_ns, step_ns, steps)

        def result() -> list[dict[str, Any]]:
            series = zip(rows, found, strict=True)
            answers = [(row, pairs(times_ns, values)) for row, values in series]
            return [{"metric": table.labels(row, named=parsed.named), "values": v} for row, v in answers if v]

        return {"resultType": "matrix", "result": await asyncio.to_thread(result)}

    return await _answer(work)


@router.get("/series", operation_id="prometheusSeries", summary="Prometheus: series", response_model=dict[str, Any])
async def series(
    asked: WithAsked, match: Match = None, start: Short = None, end: Short = None, limit: Short = None
) -> Response:
    """The labels of each series that a selector takes, whenever it has samples."""

    async def work() -> Any:
        table = await asked.table()
        rows = await asked.rows(table)
        if len(rows) > LISTED_MAX:
            raise DataError(f"the selector matches {len(rows)} points, more than {LISTED_MAX}; narrow it")
        return await asyncio.to_thread(lambda: [table.labels(row) for row in rows])

    return await _answer(work)


@router.get("/labels", operation_id="prometheusLabels", summary="Prometheus: labels", response_model=dict[str, Any])
async def labels(
    asked: WithAsked, match: Match = None, start: Short = None, end: Short = None, limit: Short = None
) -> Response:
    """The labels that the selected series have."""

    async def work() -> Any:
        table = await asked.table()
        rows = await asked.rows(table)
        return await asyncio.to_thread(lambda: sorted(label for label in LABELS if table.values(label, rows)))

    return await _answer(work)


@router.get(
    "/label/{name}/values", operation_id="prometheusValues", summary="Prometheus: values", response_model=dict[str, Any]
)
async def values(
    name: str, asked: WithAsked, match: Match = None, start: Short = None, end: Short = None, limit: Short = None
) -> Response:
    """The values of one label among the selected series."""

    async def work() -> Any:
        table = await asked.table()
        rows = await asked.rows(table)
        return await asyncio.to_thread(lambda: table.values(name, rows))

    return await _answer(work)


@router.get(
    "/metadata", operation_id="prometheusMetadata", summary="Prometheus: metrics", response_model=dict[str, Any]
)
async def metadata(limit: Short = None, limit_per_metric: Short = None, metric: Short = None) -> Response:
    """There is one metric."""
    entry = {"type": "gauge", "help": "A point of the plant, in the unit that its label tells.", "unit": ""}
    return json_columns({"status": "success", "data": {METRIC: [entry]} if metric in (None, "", METRIC) else {}})


@router.get(
    "/status/buildinfo",
    operation_id="prometheusBuildinfo",
    summary="Prometheus: version",
    response_model=dict[str, Any],
)
async def buildinfo() -> Response:
    """Which Prometheus this speaks like, and what it is."""
    data = {"version": SPOKEN_VERSION, "revision": f"headrace-{__version__}", "branch": "", "buildUser": "",
            "buildDate": "", "goVersion": ""}  # fmt: skip
    return json_columns({"status": "success", "data": data})


# The same as forms, which Grafana sends by default: a long selector does not fit a URL.
for _path, _operation, _handler in (
    ("/query", "prometheusQueryForm", query),
    ("/query_range", "prometheusQueryRangeForm", query_range),
    ("/series", "prometheusSeriesForm", series),
    ("/labels", "prometheusLabelsForm", labels),
):
    router.post(
        _path,
        operation_id=_operation,
        summary=f"Prometheus: {_path[1:]}, as a form",
        response_model=dict[str, Any],
        openapi_extra={
            "requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}}
        },
    )(_handler)


def prometheus_time_ns(text: str, now_ns: int) -> int:
    """Unix seconds, with a fraction or not, or RFC 3339. Raises: DataError."""
    if not _UNIX.fullmatch(text):
        return time_ns_of(text, now_ns)
    return min(max(round(Fraction(text) * 1000) * (SECOND_NS // 1000), -(2**62)), 2**62)


def step_ns_of(text: str) -> int:
    """Seconds or a duration. Raises: DataError."""
    try:
        seconds = float(text)
    except ValueError:
        return duration_ns(text)
    if not 0.001 <= seconds <= 1e9:
        raise DataError(f"a step of {text} seconds is not possible")
    return round(seconds * 1000) * (SECOND_NS // 1000)


def _few(rows: list[int]) -> list[int]:
    if len(rows) > SERIES_MAX:
        raise DataError(f"the selector matches {len(rows)} points, more than {SERIES_MAX}; narrow it")
    return rows
