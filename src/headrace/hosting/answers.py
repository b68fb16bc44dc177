"""What the platform answers an app that asks: each ask by its name, its values checked, and what was granted.

ask, values ─► are they what they should be ─► was it granted (granted.py) ─► the platform's own ability ─► answer

An app's values are a stranger's: each is checked for its kind and bound before it is used. `inside.py` is who asks.
"""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

import numpy as np

from headrace.hosting import signing
from headrace.hosting.abilities import Abilities
from headrace.hosting.documents import AppDocuments
from headrace.hosting.granted import Granted, point_of
from headrace.hosting.http import AppHttp
from headrace.hosting.tables import AppTables
from headrace.hosting.words import FRAME_BYTES_MAX
from headrace.model.alarms import AlarmTransition
from headrace.model.areas import Area
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import AccessError, DataError, LimitReached, Unavailable
from headrace.model.events import Event
from headrace.model.places import check_place
from headrace.sdk.apps import Resolved, Samples, Signature, Statement
from headrace.sdk.clock import Clock
from headrace.sdk.services import AlarmRecord
from headrace.sdk.store import Aggregate, Buckets

SAMPLES_MAX: Final = 100_000
PATHS_MAX: Final = 100_000
TRANSITIONS_MAX: Final = 100_000
EVENT_BYTES_MAX: Final = 64 * 1024
_TEXT_MAX: Final = 1_000_000
_PART_BYTES_MAX: Final = FRAME_BYTES_MAX // 2
_INT64: Final = range(-(2**63), 2**63)
_T = TypeVar("_T")


class Answers:
    """Of one app and tenant."""

    def __init__(
        self, app: str, tenant: str, granted: Granted, abilities: Abilities, tables: AppTables, documents: AppDocuments,
        http: AppHttp, clock: Clock,
    ) -> None:  # fmt: skip
        self._app, self._tenant, self._granted, self._abilities = app, tenant, granted, abilities
        self._tables, self._documents, self._http, self._clock = tables, documents, http, clock
        self._events = 0
        self._run = secrets.token_hex(6)
        self._by_name: Mapping[str, Callable[..., Awaitable[Any]]] = {
            "model.assets": self._model_assets,
            "model.points": self._model_points,
            "live.get": self._live_get,
            "history.samples": self._history_samples,
            "history.buckets": self._history_buckets,
            "history.latest": self._history_latest,
            "events.publish": self._events_publish,
            "alarms.current": self._alarms_current,
            "alarms.history": self._alarms_history,
            "commands.write": self._commands_write,
            "identifiers.resolve": self._identifiers_resolve,
            "documents.put": self._documents_put,
            "documents.get": self._documents_get,
            "documents.list": self._documents_list,
            "documents.delete": self._documents_delete,
            "tables.query": self._tables_query,
            "tables.write": self._tables_write,
            "http.request": self._http_request,
            "signer.sign": self._signer_sign,
            "signer.verify": self._signer_verify,
        }

    async def answer(self, what: str, values: Sequence[Any]) -> Any:
        """Raises: HeadraceError, which the app hears."""
        asked = self._by_name.get(what)
        if asked is None:
            raise DataError(f"'{what[:60]}' is nothing that can be asked of this platform")
        try:
            return await asked(*values)
        except TypeError as error:
            if "positional argument" not in str(error):
                raise
            raise DataError(f"{what} is asked with other values") from None

    # --- the plant ---------------------------------------------------------------------------------------------------

    async def _model_assets(self, within: Any) -> Any:
        return await self._granted.assets(_text(within, "a path"))

    async def _model_points(self, place: Any) -> Any:
        return await self._granted.points_at(check_place(_text(place, "a place")))

    async def _live_get(self, paths: Any) -> Samples:
        asked = await self._readable(paths)
        handles, places = self._granted.handles(asked)
        columns = self._abilities.live.get(handles)
        points = await self._granted.points()
        batches = []
        for kind in ValueKind:
            rows = [
                row for row, at in enumerate(places)
                if points[asked[at]].kind is kind and columns.source_ns[row] and columns.values[row] is not None
            ]  # fmt: skip
            if rows:
                values = np.array([columns.values[row] for row in rows], kind.dtype)
                batches.append(
                    Batch.of(
                        kind, columns.handles[rows], columns.source_ns[rows], values, columns.quality[rows],
                        columns.received_ns[rows],
                    )
                )  # fmt: skip
        return self._samples(batches)

    async def _history_samples(self, paths: Any, start_ns: Any, end_ns: Any, cursor: Any) -> tuple[Samples, str | None]:
        asked = await self._readable(paths)
        handles, _ = self._granted.handles(asked)
        start, end, after = _whole(start_ns), _whole(end_ns), _text(cursor, "a cursor") or None
        if not len(handles) or start >= end:
            return Samples([], {}), None
        count = SAMPLES_MAX
        while True:
            page = await self._abilities.history.raw(handles, start, end, limit=count, cursor=after)
            if count == 1 or sum(map(_bytes_of, page.batches)) <= _PART_BYTES_MAX:
                return self._samples(page.batches), page.next_cursor
            count = max(1, count // 8)

    async def _history_buckets(
        self, paths: Any, start_ns: Any, end_ns: Any, width_ns: Any, aggregates: Any, good_only: Any
    ) -> Buckets:
        asked = await self._readable(paths)
        wanted = [_one_of(Aggregate, one, "an aggregate") for one in _list(aggregates, 20, "aggregates")]
        start, end, width = _whole(start_ns), _whole(end_ns), _whole(width_ns)
        if width <= 0 or start >= end or not wanted or not asked:
            raise DataError("buckets have points, a span, a width above 0 and aggregates")
        handles, places = self._granted.handles(asked)
        found = await self._abilities.history.downsample(
            handles, start, end, width_ns=width, aggregates=wanted, good_only=good_only is True
        )
        return _placed(found, places, len(asked))

    async def _history_latest(self, paths: Any, at_ns: Any) -> Samples:
        handles, _ = self._granted.handles(await self._readable(paths))
        return self._samples(await self._abilities.history.latest(handles, _whole(at_ns)) if len(handles) else [])

    async def _readable(self, paths: Any) -> list[str]:
        asked = [_text(one, "a path") for one in _list(paths, PATHS_MAX, "paths")]
        await self._granted.check_read(asked)
        return asked

    def _samples(self, batches: Sequence[Batch]) -> Samples:
        known = self._abilities.history.paths()
        seen = {int(handle) for batch in batches for handle in np.unique(batch.handles)}
        return Samples(list(batches), {handle: known[handle] for handle in sorted(seen)})

    # --- what happens ------------------------------------------------------------------------------------------------

    async def _events_publish(self, type: Any, subject: Any, data: Any, time_ns: Any) -> None:
        kind, about = _text(type, "a type"), _text(subject, "a path")
        await self._granted.check_tell(kind, about)
        moment = self._clock.now_ns() if time_ns is None else _whole(time_ns)
        told = _json(data, "the data of an event", EVENT_BYTES_MAX)
        if not isinstance(told, dict):
            raise DataError("the data of an event is an object")
        self._events += 1
        id = f"app-{self._app}-{self._run}-{self._events}"
        await self._abilities.bus.publish_events([Event(id, f"app/{self._app}", kind, about, moment, told)])

    async def _alarms_current(self, within: Any) -> list[AlarmRecord]:
        inside = self._alarms_within(within)
        found = [one for one in self._abilities.alarms.current() if self._seen(one.rule.point, inside)]
        return [replace(one, rule=replace(one.rule, calculation=None)) for one in found]

    async def _alarms_history(self, start_ns: Any, end_ns: Any, within: Any) -> list[AlarmTransition]:
        inside, start, end = self._alarms_within(within), _whole(start_ns), _whole(end_ns)
        found: list[AlarmTransition] = []
        cursor: str | None = None
        while True:
            page = await self._abilities.alarms.history(start, end, limit=1_000, cursor=cursor)
            found += [one for one in page.transitions if self._seen(point_of(one.rule), inside)]
            cursor = page.next_cursor
            if len(found) > TRANSITIONS_MAX:
                raise LimitReached(f"more than {TRANSITIONS_MAX:,} steps of alarms; ask for a shorter span")
            if cursor is None:
                return found[::-1]

    def _alarms_within(self, within: Any) -> Area:
        if not self._granted.permissions.alarms:
            raise AccessError("the app may not see alarms; its manifest would say `alarms = true`")
        return Area((_text(within, "a path"),))

    def _seen(self, point: str, inside: Area) -> bool:
        return inside.covers(point) and self._granted.sees(point)

    async def _commands_write(self, path: Any, value: Any, reason: Any) -> Any:
        point, why = _text(path, "a path"), _text(reason, "a reason")
        if not isinstance(value, bool | int | float | str):
            raise DataError("a setpoint is a number, true or false, or a text")
        await self._granted.check_write(point)
        return await self._abilities.commands.write(point, value, self._abilities.principal(self._app), why)

    async def _identifiers_resolve(self, identifier: Any) -> Resolved:
        asked = _text(identifier, "an identifier")
        if self._abilities.identifiers is None:
            raise Unavailable("this platform resolves no identifiers")
        found: Resolved = await self._abilities.identifiers.resolve(asked)
        return found if not found.subject or self._granted.sees(found.subject) else replace(found, subject="")

    # --- what is its own ---------------------------------------------------------------------------------------------

    async def _documents_put(self, name: Any, data: Any, media_type: Any) -> Any:
        return await self._documents.put(_text(name, "a name"), _bytes(data), _text(media_type, "a media type"))

    async def _documents_get(self, name: Any) -> bytes:
        return await self._documents.get(_text(name, "a name"))

    async def _documents_list(self, prefix: Any) -> Any:
        return await self._documents.list(_text(prefix, "a text"))

    async def _documents_delete(self, name: Any) -> None:
        await self._documents.delete(_text(name, "a name"))

    async def _tables_query(self, sql: Any, values: Any) -> Any:
        return await self._tables.query(_text(sql, "SQL"), _list(values, 10_000, "values"))

    async def _tables_write(self, statements: Any) -> Any:
        asked = [one if isinstance(one, str) else _statement(one) for one in _list(statements, 10_000, "statements")]
        return await self._tables.write(asked)

    async def _http_request(self, method: Any, url: Any, headers: Any, body: Any, timeout_s: Any) -> Any:
        if not isinstance(headers, dict) or not all(
            isinstance(key, str) and isinstance(value, str) for key, value in headers.items()
        ):
            raise DataError("headers are texts by name")
        if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float) or not math.isfinite(timeout_s):
            raise DataError("a time to wait is a number of seconds")
        asked = _text(method, "a method"), _text(url, "an address")
        return await self._http.request(*asked, headers, _bytes(body), float(timeout_s))

    async def _signer_sign(self, data: Any) -> Signature:
        self._check_signs()
        now_ns = self._clock.now_ns()
        return signing.sign(self._abilities.key, self._app, self._tenant, _bytes(data), now_ns)

    async def _signer_verify(self, data: Any, signature: Any) -> bool:
        self._check_signs()
        if not isinstance(signature, Signature):
            raise DataError("that is no signature")
        _text(signature.key, "a key"), _text(signature.value, "a signature"), _whole(signature.time_ns)
        return signing.verify(self._abilities.key, self._app, self._tenant, _bytes(data), signature)

    def _check_signs(self) -> None:
        if not self._granted.permissions.sign:
            raise AccessError("the app may not sign; its manifest would say `sign = true`")


# --- values of a stranger --------------------------------------------------------------------------------------------


def _text(given: Any, what: str) -> str:
    if not isinstance(given, str) or len(given) > _TEXT_MAX:
        raise DataError(f"{what} is text")
    return given


def _bytes(given: Any) -> bytes:
    if not isinstance(given, bytes):
        raise DataError("that is bytes")
    return given


def _whole(given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or given not in _INT64:
        raise DataError("a time or a span is a whole number of ns")
    return given


def _list(given: Any, most: int, what: str) -> list[Any]:
    if not isinstance(given, list) or len(given) > most:
        raise DataError(f"{what} are a list of at most {most:,}")
    return given


def _one_of(kind: type[_T], given: Any, what: str) -> _T:
    try:
        return kind(given)  # type: ignore[call-arg]
    except (ValueError, TypeError):
        raise DataError(f"'{str(given)[:40]}' is not {what}") from None


def _statement(given: Any) -> Statement:
    if not isinstance(given, Statement):
        raise DataError("a statement is SQL, or a Statement")
    values = _list(given.values, 10_000, "values")
    many = given.many
    if many is not None:
        many = [_list(row, 10_000, "a row's values") for row in _list(given.many, 1_000_000, "rows")]
    return Statement(_text(given.sql, "SQL"), values, many)


def _json(given: Any, what: str, bytes_max: int) -> Any:
    """As JSON gives it back. Raises: DataError, LimitReached."""
    try:
        text = json.dumps(given, ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{what}: {error}") from None
    if size > bytes_max:
        raise LimitReached(f"{what} has {size:,} bytes; {bytes_max:,} is the most")
    return json.loads(text)


def _bytes_of(batch: Batch) -> int:
    fixed = len(batch) * 32
    if batch.kind is ValueKind.TEXT:
        return fixed + sum(len(text) * 3 for text in batch.values.tolist())
    return fixed


def _placed(found: Buckets, places: Sequence[int], count: int) -> Buckets:
    """Each row at its place in what was asked; points that history does not know are empty."""
    columns = {}
    for name, column in found.columns.items():
        counts = column.dtype.kind in "iu"
        whole = (
            np.zeros((count, column.shape[1]), column.dtype) if counts else np.full((count, column.shape[1]), np.nan)
        )
        whole[list(places)] = column
        columns[name] = whole
    return Buckets(np.arange(count, dtype=np.uint32), found.start_ns, found.width_ns, columns)
