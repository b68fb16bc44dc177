"""What a start needs to know. Everything has a safe default: loopback, own folder, SQLite.

<home>/database.db        declarations, people, alarms, commands (or DATABASE_URL: PostgreSQL)
<home>/history/           the historian (or `history_url`: a cluster)
<home>/connections/       certificates that drivers made and trust
<home>/fleet/             the authority that signs the certificates of edges; back it up
<home>/keys/              what the platform signs with; back it up, apart from the rest
<home>/audit/             signed heads and archives of the audit trail
<home>/outlets/           certificates of outlets, and what waits for them on disk
<home>/keys/              seal.key, which opens what is secret in all of these; back it up apart from them
<home>/apps/              apps: what is installed, what tenants took in, and what those apps keep
<home>/tls/               the authority and certificate of the console, where none was given
<home>/run/               server.json and local.token while running; bus.sock where the bus is shared
"""

from __future__ import annotations

import ipaddress
import os
import stat
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from headrace.access.audit import AuditSettings
from headrace.exchange.nats import NatsSettings
from headrace.history import HistorySettings
from headrace.model.errors import ConfigError
from headrace.sdk.reach import Reaches

DEFAULT_PORT = 8470


@dataclass(frozen=True, slots=True)
class Settings:
    """`commit_interval_s` is how long samples are gathered before they are made durable together. `listen_edges` is
    where edges are let in (by certificate, over TLS), `listen_edges_web` where a web server in front passes them on.
    Without a certificate this process makes its own where it does TLS: beyond loopback, or with `tls`. `seal_key` says
    where the key is that seals what is secret on disk, if not in the home. `sign_in` is a file of providers of
    identities (access/oidc/config.py). `reach` narrows where declarations may
    connect to: `[tenant=]network|host[:port]`; see `sdk/reach.py`. `secrets` are folders that `file:` of
    declarations may name files of; see `sdk/references.py`. `public_url` is where people open the console, for links
    in messages. `stream_work` is where stream functions are shared with workers."""

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
    tls: bool = False
    hosts: tuple[str, ...] = ()
    share_bus: bool = False
    history: HistorySettings = field(default_factory=HistorySettings)
    history_url: str = ""
    backup_to: Path | None = None
    backup_every_s: float = 86_400.0
    backup_keep: int = 7
    audit: AuditSettings = field(default_factory=AuditSettings)
    listen_edges: tuple[str, int] | None = None
    listen_edges_web: tuple[str, int] | None = None
    seal_key: str = ""
    sign_in: Path | None = None
    reach: tuple[str, ...] = ()
    secrets: tuple[Path, ...] = ()
    public_url: str = ""
    stream_work: NatsSettings | None = None

    def __post_init__(self) -> None:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ConfigError("TLS needs both --tls-cert and --tls-key")
        if self.behind_tls and (self.tls or self.tls_certificate is not None):
            raise ConfigError("--behind-tls says that a proxy does TLS; leave --tls, --tls-cert and --tls-key to it")
        if self.backup_every_s < 60 or self.backup_keep < 1:
            raise ConfigError("backups are at least a minute apart, and at least one is kept")
        if self.public_url and not self.public_url.startswith(("https://", "http://")):
            raise ConfigError("--public-url is where people open the console, such as https://plant.example.com")
        if self.stream_work is not None and find_spec("nats") is None:
            raise ConfigError("--stream-nats needs nats-py: pip install 'headrace[nats]'")
        Reaches(self.reach)

    @property
    def loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def secure(self) -> bool:
        """Whether this process does TLS: always where it can be reached from other machines, unless a proxy does it."""
        return not self.behind_tls and (self.tls or self.tls_certificate is not None or not self.loopback)

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
    def keys_dir(self) -> Path:
        return self.home / "keys"

    @property
    def audit_dir(self) -> Path:
        return self.home / "audit"

    @property
    def outlets_dir(self) -> Path:
        return self.home / "outlets"

    @property
    def streams_dir(self) -> Path:
        return self.home / "streams"

    @property
    def apps_dir(self) -> Path:
        return self.home / "apps"

    @property
    def incoming_apps_dir(self) -> Path:
        """Where the local command leaves apps that are not signed."""
        return self.run_dir / "apps"

    @property
    def tls_dir(self) -> Path:
        return self.home / "tls"

    @property
    def run_dir(self) -> Path:
        return self.home / "run"


def make_home(home: Path) -> None:
    """Create the folder, readable by its owner alone. Raises: ConfigError."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o700)
        for name in ("run", "connections"):
            (home / name).mkdir(mode=0o700, exist_ok=True)
        narrow(home)
    except OSError as error:
        raise ConfigError(f"cannot use '{home}' ({error.strerror}); name another folder with --home") from None


_SECRET_FOLDERS: Final = ("keys", "tls", "fleet", "connections", "outlets", "identity", "run")


def narrow(home: Path) -> None:
    """Take from others what an older version, a restore or a copy let them read. Folders of secrets are walked whole;
    beside them what stands in `home` itself is enough, for nobody else gets through it."""
    for path in home.iterdir():
        _narrow(path)
    for name in _SECRET_FOLDERS:
        for path in (home / name).rglob("*"):
            _narrow(path)


def _narrow(path: Path) -> None:
    try:
        mode = stat.S_IMODE(path.lstat().st_mode)
        if mode & 0o077 and not path.is_symlink():
            path.chmod(mode & 0o700)
    except FileNotFoundError:
        pass  # a partial file of somebody who is writing
