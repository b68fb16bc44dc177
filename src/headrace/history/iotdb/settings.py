"""Where the cluster is and who we are there: `iotdb://user@host:6667,host2:6667/database?tls=true&ca=FILE`.

The password is never part of it, for a command line and a process list are read by others: it comes from
`HEADRACE_IOTDB_PASSWORD`, or from the file that `HEADRACE_IOTDB_PASSWORD_FILE` names. There is no default.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from headrace.model.errors import ConfigError

SCHEME: Final = "iotdb://"
DEFAULT_PORT: Final = 6667
PASSWORD_VARIABLE: Final = "HEADRACE_IOTDB_PASSWORD"
PASSWORD_FILE_VARIABLE: Final = "HEADRACE_IOTDB_PASSWORD_FILE"
_EXAMPLE: Final = "iotdb://user@host:6667,host2:6667/database"
_DATABASE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class Node:
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class IotdbSettings:
    """`retry_s` is how long a call looks for a node that answers before it says `Unavailable`."""

    nodes: tuple[Node, ...]
    user: str
    database: str
    tls: bool = False
    ca_file: str | None = None
    secret: str | None = field(default=None, repr=False)  # for programs that hold the password already
    connect_s: float = 5.0
    answer_s: float = 60.0
    retry_s: float = 30.0
    sessions: int = 4
    request_bytes: int = 8 * 1024 * 1024
    request_tablets: int = 5_000
    tablet_rows: int = 50_000
    query_devices: int = 500

    def __post_init__(self) -> None:
        if not self.nodes or not self.user:
            raise ConfigError(f"an IoTDB historian needs a user and at least one node: {_EXAMPLE}")
        if not _DATABASE.fullmatch(self.database):
            raise ConfigError(
                f"'{self.database}' is no name for an IoTDB database: a letter, then letters, digits or '_', at most 63"
            )

    @classmethod
    def from_url(cls, url: str) -> IotdbSettings:
        """Raises: ConfigError that says which part is wrong."""
        parts = urlsplit(url)
        if not url.startswith(SCHEME) or not parts.netloc:
            raise ConfigError(f"'{url}' does not name an IoTDB historian; write {_EXAMPLE}")
        user, at, hosts = parts.netloc.rpartition("@")
        if not at or not user:
            raise ConfigError(f"the IoTDB address names no user; write {_EXAMPLE}")
        if ":" in user:
            raise ConfigError(
                f"a password in an address can be read by others; leave it out and set {PASSWORD_VARIABLE} "
                f"or {PASSWORD_FILE_VARIABLE}"
            )
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        unknown = sorted(set(options) - {"tls", "ca"})
        if unknown:
            raise ConfigError(f"'{unknown[0]}' is no option of an IoTDB address; there are tls and ca")
        ca = options.get("ca")
        tls = options.get("tls", "true" if ca else "false")
        if tls not in ("true", "false"):
            raise ConfigError(f"tls={tls} in an IoTDB address should be tls=true or tls=false")
        if ca and tls == "false":
            raise ConfigError("an IoTDB address with ca= uses TLS; leave tls=false out")
        return cls(
            nodes=tuple(_node(one) for one in hosts.split(",")),
            user=unquote(user),
            database=parts.path.strip("/"),
            tls=tls == "true",
            ca_file=ca or None,
        )

    def password(self) -> str:
        """Raises: ConfigError where none is set."""
        if self.secret is not None:
            return self.secret
        if value := os.environ.get(PASSWORD_VARIABLE):
            return value
        if file := os.environ.get(PASSWORD_FILE_VARIABLE):
            try:
                return Path(file).read_text().rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"cannot read the IoTDB password from '{file}': {error}") from None
        raise ConfigError(
            f"no password for IoTDB user '{self.user}'; set {PASSWORD_VARIABLE} or {PASSWORD_FILE_VARIABLE}"
        )


def _node(text: str) -> Node:
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::(\d{1,5}))?", text)
    if match is None or not 0 < int(match[2] or DEFAULT_PORT) < 65_536:
        raise ConfigError(f"'{text}' is no host:port of an IoTDB node; write {_EXAMPLE}")
    return Node(match[1].strip("[]"), int(match[2] or DEFAULT_PORT))
