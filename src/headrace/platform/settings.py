"""What a start needs to know. Everything has a safe default: loopback, own folder, SQLite.

<home>/database.db        declarations, people, alarms, commands (or DATABASE_URL: PostgreSQL)
<home>/history/           the historian (or `history_url`: a cluster)
<home>/connections/       certificates that drivers made and trust
<home>/fleet/             the authority that signs the certificates of edges; back it up
<home>/outlets/           certificates of outlets, and what waits for them on disk
<home>/run/               server.json and local.token while running; bus.sock where the bus is shared
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path

from headrace.history import HistorySettings
from headrace.model.errors import ConfigError

DEFAULT_PORT = 8470


@dataclass(frozen=True, slots=True)
class Settings:
    """`commit_interval_s` is how long samples are gathered before they are made durable together. `listen_edges` is
    where edges are let in (by certificate, over TLS), `listen_edges_web` where a web server in front passes them on."""

    home: Path
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    database_url: str = ""
    commit_interval_s: float = 0.2
    alarm_tick_s: float = 1.0
    bus_capacity: int = 400_000
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    behind_tls: bool = False
    hosts: tuple[str, ...] = ()
    share_bus: bool = False
    history: HistorySettings = field(default_factory=HistorySettings)
    history_url: str = ""
    backup_to: Path | None = None
    backup_every_s: float = 86_400.0
    backup_keep: int = 7
    listen_edges: tuple[str, int] | None = None
    listen_edges_web: tuple[str, int] | None = None

    def __post_init__(self) -> None:
        if not self.loopback and self.tls_certificate is None and not self.behind_tls:
            raise ConfigError(
                f"'{self.host}' can be reached from other machines, and passwords would travel in the clear; "
                "give --tls-cert and --tls-key, or --behind-tls if a proxy in front does TLS"
            )
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ConfigError("TLS needs both --tls-cert and --tls-key")
        if self.backup_every_s < 60 or self.backup_keep < 1:
            raise ConfigError("backups are at least a minute apart, and at least one is kept")

    @property
    def loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def database(self) -> str:
        """SQLAlchemy URL."""
        return self.database_url or os.environ.get("HEADRACE_DATABASE_URL") or f"sqlite:///{self.home / 'database.db'}"

    @property
    def history_dir(self) -> Path:
        return self.home / "history"

    @property
    def connections_dir(self) -> Path:
        return self.home / "connections"

    @property
    def fleet_dir(self) -> Path:
        return self.home / "fleet"

    @property
    def outlets_dir(self) -> Path:
        return self.home / "outlets"

    @property
    def run_dir(self) -> Path:
        return self.home / "run"


def make_home(home: Path) -> None:
    """Create the folder, readable by its owner alone. Raises: ConfigError."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o700)
        (home / "run").mkdir(exist_ok=True)
        (home / "connections").mkdir(exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot use '{home}' ({error.strerror}); name another folder with --home") from None
