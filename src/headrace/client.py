"""History in one line of a notebook: Arrow tables, which pandas, Polars and DuckDB take as they are.

    from headrace.client import History

    history = History("http://127.0.0.1:8470", token)
    history.frame("acme/press-1/oil.temperature", start="now-1h").to_pandas()
    polars.from_arrow(history.sql("SELECT asset, avg(mean) FROM minutes GROUP BY ALL"))

A client of the HTTP interface, and of nothing else: it works from any machine that reaches the platform.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Self

import httpx

from headrace.model.errors import (
    AccessError,
    ConfigError,
    Conflict,
    DataError,
    HeadraceError,
    LimitReached,
    NotFound,
    Unavailable,
)

if TYPE_CHECKING:
    import pyarrow as pa

ARROW_STREAM: Final = "application/vnd.apache.arrow.stream"
KINDS: Final = ("float64", "int64", "bool", "text")
_ERRORS: Final[dict[int, type[HeadraceError]]] = {
    401: AccessError,
    403: AccessError,
    404: NotFound,
    409: Conflict,
    422: DataError,
    429: LimitReached,
    503: Unavailable,
}


class History:
    """A platform's history. `url` and `token` default to the variables HEADRACE_URL and HEADRACE_TOKEN; `ca`, to
    HEADRACE_CA: the file of an authority to trust over TLS, beside the system's.

    A viewer's token is enough. Raises, from every call: AccessError, NotFound, DataError, LimitReached, Unavailable.
    """

    def __init__(
        self, url: str | None = None, token: str | None = None, *, ca: str | None = None, timeout_s: float = 120.0
    ) -> None:
        base = (url or os.environ.get("HEADRACE_URL", "http://127.0.0.1:8470")).rstrip("/")
        secret = token or os.environ.get("HEADRACE_TOKEN")
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        self._http = httpx.Client(
            base_url=f"{base}/api/v1", headers=headers, timeout=timeout_s, trust_env=False, verify=_trust(base, ca)
        )

    def frame(self, *paths: str, start: str = "now-1h", end: str = "now", width: str | None = None) -> pa.Table:
        """Samples of points, by hour, point and time: columns path, time, value, quality.

        Times are RFC 3339, milliseconds since 1970, or `now-1h`. Points of several types have a column a type instead
        of `value`. With `width`, such as `1m`, one row a bucket that is not empty: path, time, min, mean, max, count.
        """
        if width is not None:
            return self._buckets(paths, start, end, width)
        import pyarrow as pa

        params = [("path", path) for path in paths] + [("start", start), ("end", end), ("format", "arrow")]
        table = pa.ipc.open_stream(self._get("/history/export", params).content).read_all()
        filled = [kind for kind in KINDS if table[kind].null_count < table.num_rows] or ["float64"]
        named = {"path": table["path"], "time": table["source_time"]}
        named |= {"value": table[filled[0]]} if len(filled) == 1 else {kind: table[kind] for kind in filled}
        return pa.table({**named, "quality": table["quality"]})

    def sql(self, statement: str, *, timezone: str = "UTC", limit: int = 1_000_000) -> pa.Table:
        """One SELECT over `samples`, `minutes`, `points` and `assets`. Raises: LimitReached beyond `limit`."""
        import pyarrow as pa

        body = {"sql": statement, "timezone": timezone, "limit": limit}
        answer = self._checked("POST", "/history/sql", json=body, headers={"Accept": ARROW_STREAM})
        if answer.headers.get("X-Headrace-Truncated") == "true":
            raise LimitReached(f"there are more than {limit} rows or 32 MiB; aggregate, or ask for a shorter time")
        return pa.ipc.open_stream(answer.content).read_all()

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _buckets(self, paths: Sequence[str], start: str, end: str, width: str) -> pa.Table:
        import numpy as np
        import pyarrow as pa

        names = ("min", "mean", "max", "count")
        params = [("path", path) for path in paths] + [("start", start), ("end", end), ("width", width)]
        answer = self._get("/history/downsample", params + [("aggregate", name) for name in names]).json()
        steps = np.arange(answer["count"]) * answer["width_ms"] + answer["start_ms"]
        stamps = pa.array((steps * 1_000).astype(np.int64)).view(pa.timestamp("us", tz="UTC"))
        parts = []
        for series in answer["series"]:
            columns: dict[str, Any] = {
                "path": pa.array([series["path"]] * answer["count"], pa.string()),
                "time": stamps,
            }
            columns |= {name: pa.array(series["columns"][name], pa.float64()) for name in names}
            table = pa.table(columns)
            parts.append(table.filter(pa.compute.greater(pa.compute.fill_null(table["count"], 0.0), 0.0)))
        return pa.concat_tables(parts)

    def _get(self, route: str, params: Sequence[tuple[str, str]]) -> httpx.Response:
        return self._checked("GET", route, params=params)

    def _checked(self, method: str, route: str, **options: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, route, **options)
        except httpx.TransportError as error:
            raise Unavailable(f"nobody answers at {self._http.base_url}: {error}") from None
        if answer.status_code < 400:
            return answer
        try:
            message = str(answer.json()["error"]["message"])
        except (ValueError, KeyError, TypeError):
            message = f"{self._http.base_url} answered {answer.status_code}"
        raise _ERRORS.get(answer.status_code, HeadraceError)(message)


def _trust(url: str, ca: str | None) -> ssl.SSLContext | bool:
    """Raises: ConfigError."""
    file = ca or os.environ.get("HEADRACE_CA")
    if file is None or not url.startswith("https:"):
        return True
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"'{file}' holds no certificates in PEM that can be used: {error}") from None
    return context
