"""The command as a client of a running platform: find it, prove who we are, turn its errors into ours.

A platform that starts writes `<home>/run/server.json` (its address) and `<home>/run/local.token` (readable by its
owner alone), so that a command on the same machine under the same account needs no options. Elsewhere: `--server`
and the environment variable HEADRACE_TOKEN; over TLS also `--ca` or HEADRACE_CA, see `trust.py`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx
import typer

from headrace.cli.trust import context_for, context_of, not_trusted
from headrace.model.errors import (
    AccessError,
    ConfigError,
    Conflict,
    DataError,
    DeviceError,
    Garbled,
    HeadraceError,
    LimitReached,
    NotFound,
    Refused,
    Unavailable,
    Unreachable,
)

DEFAULT_HOME = Path(".headrace")

HomeOption = Annotated[
    Path,
    typer.Option("--home", envvar="HEADRACE_HOME", help="Folder of the platform's data.", show_default=".headrace"),
]
ServerOption = Annotated[
    str | None,
    typer.Option("--server", envvar="HEADRACE_URL", help="Address of a running platform, for example http://hub:8470."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]

#: By the codes of `api/errors.py`.
_ERRORS: dict[str, type[HeadraceError]] = {
    "not-found": NotFound,
    "conflict": Conflict,
    "invalid-data": DataError,
    "invalid-declaration": DataError,
    "not-allowed": AccessError,
    "sign-in-needed": AccessError,
    "limit-reached": LimitReached,
    "unavailable": Unavailable,
    "device-unreachable": Unreachable,
    "device-refused": Refused,
    "device-garbled": Garbled,
    "device-error": DeviceError,
}


class Client:
    """A thin wrapper of httpx: `get`, `post` … give decoded JSON and raise our errors."""

    def __init__(self, url: str, token: str | None, verify: Any = None) -> None:
        """`verify` is an SSLContext; without one the system's authorities and HEADRACE_CA vouch for a server.

        Raises: ConfigError for an address with a password: addresses are shown, and kept by shells.
        """
        if "@" in urlsplit(url).netloc:
            raise ConfigError("an address has no name and password in it; make a token and set HEADRACE_TOKEN to it")
        self.url = url.rstrip("/")
        self.token = token
        self.verify: Any = (verify or context_for()) if self.url.startswith("https:") else True
        headers = {"X-Headrace": "1"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self.http = httpx.Client(
            base_url=f"{self.url}/api/v1", headers=headers, timeout=60.0, trust_env=False, verify=self.verify
        )

    def get(self, route: str, /, **params: Any) -> Any:
        return self._send("GET", route, params={k: v for k, v in params.items() if v is not None})

    def get_bytes(self, route: str) -> bytes:
        return self._request("GET", route).content

    def post(self, route: str, body: Any) -> Any:
        return self._send("POST", route, json=body)

    def patch(self, route: str, body: Any) -> Any:
        return self._send("PATCH", route, json=body)

    def put(self, route: str, body: Any) -> Any:
        return self._send("PUT", route, json=body)

    def delete(self, route: str) -> None:
        self._send("DELETE", route)

    def send_file(self, route: str, data: bytes, **params: Any) -> Any:
        """A file as the body, however long the other side takes with it."""
        headers = {"Content-Type": "application/octet-stream"}
        return self._send("POST", route, content=data, params=params, headers=headers, timeout=None)

    def post_for(self, accept: str, route: str, body: Any) -> httpx.Response:
        """An answer that is no JSON, or whose headers matter."""
        return self._request("POST", route, json=body, headers={"Accept": accept})

    @contextmanager
    def streaming(self, method: str, route: str, **options: Any) -> Iterator[httpx.Response]:
        """An answer that is read, or a body that is sent, piece by piece, however long that takes."""
        with self._connected(), self.http.stream(method, route, timeout=None, **options) as response:
            if response.status_code >= 400:
                response.read()
                raise _error_of(response)
            yield response

    def download(self, path: str, target: Path, params: Any) -> int:
        """Stream a response into a file, with a progress bar; returns the bytes."""
        from rich.console import Console
        from rich.progress import DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

        done = 0
        console = Console(stderr=True)  # stdout stays clean
        partial = target.with_name(target.name + ".partial")
        columns = (TextColumn(target.name), DownloadColumn(), TransferSpeedColumn(), TimeElapsedColumn())
        with self.streaming("GET", path, params=params) as response:
            total = int(response.headers.get("content-length", 0)) or None
            bar = Progress(*columns, transient=True, console=console, disable=not console.is_terminal)
            with partial.open("wb") as file, bar as progress:
                task = progress.add_task(target.name, total=total)
                for chunk in response.iter_bytes():
                    file.write(chunk)
                    done += len(chunk)
                    progress.update(task, advance=len(chunk))
        partial.replace(target)
        return done

    def _send(self, method: str, path: str, **options: Any) -> Any:
        response = self._request(method, path, **options)
        return response.json() if response.content else None

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        with self._connected():
            response = self.http.request(method, path, **options)
        if response.status_code >= 400:
            raise _error_of(response)
        return response

    def _connected(self) -> _Translating:
        return _Translating(self.url)


class _Translating:
    """Turns a broken connection into an error that names the address and the next step."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, httpx.TransportError):
            not_good = not_trusted(self.url, error)
            if not_good is not None:
                raise not_good from None
            raise Unavailable(
                f"nobody answers at {self.url}; start a platform with `headrace serve`, or name another with --server",
                detail=str(error),
            ) from None


def running(home: Path) -> dict[str, Any] | None:
    """What `<home>/run/server.json` says of a platform that is alive, else None."""
    try:
        document: dict[str, Any] = json.loads((home / "run" / "server.json").read_text())
        os.kill(int(document["pid"]), 0)
    except (OSError, ValueError, KeyError):
        return None
    return document


def connect(home: Path, server: str | None) -> Client:
    """The platform that `--server` names, or the one that runs on `home`. Raises: Unavailable."""
    token = os.environ.get("HEADRACE_TOKEN")
    if server:
        return Client(server, token)
    for candidate in (home, home / "demo"):
        document = running(candidate)
        if document is not None:
            if token is None:
                try:
                    token = (candidate / "run" / "local.token").read_text().strip()
                except OSError as error:
                    raise AccessError(
                        f"cannot read {candidate / 'run' / 'local.token'} ({error.strerror}); "
                        "set HEADRACE_TOKEN to a token of yours"
                    ) from None
            return Client(str(document["url"]), token, context_of(document))
    raise Unavailable(
        f"no platform runs on {home}; start one with `headrace demo` or `headrace serve`, or name one with --server"
    )


def _error_of(response: httpx.Response) -> HeadraceError:
    try:
        error = response.json()["error"]
        message, code = str(error["message"]), str(error["code"])
        if error.get("hint"):
            message = f"{message}: {error['hint']}"
    except (ValueError, KeyError, TypeError):
        return HeadraceError(f"{response.request.url} answered {response.status_code}")
    return _ERRORS.get(code, HeadraceError)(message)
