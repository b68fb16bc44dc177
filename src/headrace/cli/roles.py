"""`headrace hub` and `headrace edge`: the platform with edges at its door, and a part of it beside the machines.

hub    as `serve`, and lets edges in
edge   drivers, alarms and a spool; no history, no console; everything goes to its hub
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.client import DEFAULT_HOME, HomeOption
from headrace.cli.output import note, print_json
from headrace.cli.serve import (
    DEFAULT_PORT,
    AuditKeepOption,
    AuditWarnOption,
    ForOption,
    HostOption,
    LogOption,
    PortOption,
    ReachOption,
    ReportOption,
    SealKeyOption,
    SecretsOption,
    SignInOption,
    run,
    serve_platform,
    set_up_logging,
    until_stopped,
)
from headrace.model.errors import ConfigError

if TYPE_CHECKING:
    from headrace.platform.edge import EdgeNode, EdgeSettings

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", re.IGNORECASE)
_FACTORS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_STATUS_S = 2.0


def hub(
    home: HomeOption = DEFAULT_HOME,
    listen_edges: Annotated[str, typer.Option(help="HOST:PORT where edges connect, each by its certificate.")] = (
        "127.0.0.1:8472"
    ),
    listen_edges_web: Annotated[
        str, typer.Option(help="HOST:PORT where a web server in front passes edges on (HTTP Upgrade).")
    ] = "",
    folder: Annotated[Path | None, typer.Option("--file", "-f", help="Declarations to apply at start.")] = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = DEFAULT_PORT,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain, PEM.", exists=True)] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, PEM.", exists=True)] = None,
    behind_tls: Annotated[bool, typer.Option("--behind-tls", help="A proxy in front does TLS.")] = False,
    tls: Annotated[
        bool, typer.Option("--tls", help="TLS on loopback too, with a certificate of its own if none is given.")
    ] = False,
    seal_key: SealKeyOption = "",
    allow_host: Annotated[list[str] | None, typer.Option(help="Name under which browsers reach this server.")] = None,
    database: Annotated[str, typer.Option(envvar="HEADRACE_DATABASE_URL", help="SQLAlchemy URL; else SQLite.")] = "",
    history: Annotated[
        str,
        typer.Option(envvar="HEADRACE_HISTORY", help="iotdb://user@host:6667/database; else a folder of its home."),
    ] = "",
    backup_to: Annotated[Path | None, typer.Option(help="Folder for backups of the history, on another disk.")] = None,
    sign_in: SignInOption = None,
    audit_keep: AuditKeepOption = 365,
    audit_warn: AuditWarnOption = 90.0,
    reach: ReachOption = None,
    secrets: SecretsOption = None,
    run_for: ForOption = 0.0,
    report: ReportOption = "",
    log_level: LogOption = "info",
) -> None:
    """Run the platform, and let edges in."""
    set_up_logging(log_level)
    from headrace.access.audit import AuditSettings
    from headrace.platform.settings import Settings

    settings = Settings(
        home=home,
        host=host,
        port=port,
        tls_certificate=tls_cert,
        tls_key=tls_key,
        behind_tls=behind_tls,
        tls=tls,
        seal_key=seal_key,
        hosts=tuple(allow_host or ()),
        sign_in=sign_in,
        database_url=database,
        audit=AuditSettings(keep_days=audit_keep, warn_percent=audit_warn),
        history_url=history,
        backup_to=None if backup_to is None else backup_to.absolute(),
        listen_edges=_place(listen_edges, "--listen-edges"),
        listen_edges_web=_place(listen_edges_web, "--listen-edges-web") if listen_edges_web else None,
        reach=tuple(reach or ()),
        secrets=tuple(secrets or ()),
    )
    serve_platform(settings, folder, run_for, report)


def edge(
    hub: Annotated[str, typer.Option("--hub", help="HOST:PORT of the hub, or https://HOST/PATH through a web server.")],
    home: HomeOption = DEFAULT_HOME / "edge",
    token: Annotated[
        str, typer.Option("--token", envvar="HEADRACE_EDGE_TOKEN", help="Made on the hub; for the first start only.")
    ] = "",
    proxy: Annotated[
        str, typer.Option("--proxy", envvar="HEADRACE_PROXY", help="http://HOST:PORT of the site's proxy.")
    ] = "",
    spool: Annotated[str, typer.Option(help="How much of the disk samples may take while the hub is away.")] = "4GB",
    when_full: Annotated[
        str, typer.Option(help="drop-oldest (and count), or block: the devices are read no further.")
    ] = "drop-oldest",
    seal_key: SealKeyOption = "",
    reach: ReachOption = None,
    secrets: SecretsOption = None,
    run_for: ForOption = 0.0,
    report: ReportOption = "",
    log_level: LogOption = "info",
) -> None:
    """Run drivers and alarms beside the machines, and pass everything on to a hub."""
    began_s = time.monotonic()
    set_up_logging(log_level)
    from headrace.exchange.link.dial import Address, Proxy
    from headrace.exchange.spool import Overflow, SpoolSettings
    from headrace.platform.edge import EdgeSettings
    from headrace.sdk.edges import EdgeToken

    try:
        overflow = Overflow(when_full)
    except ValueError:
        raise ConfigError(f"'{when_full}' is no policy for a full spool; use drop-oldest or block") from None
    settings = EdgeSettings(
        home=home,
        hub=Address.parse(hub),
        token=EdgeToken.parse(token) if token else None,
        proxy=Proxy.parse(proxy) if proxy else None,
        spool=SpoolSettings(bytes_max=_size(spool), overflow=overflow),
        seal_key=seal_key,
        reach=tuple(reach or ()),
        secrets=tuple(secrets or ()),
    )
    run(_edge(settings, run_for, report, began_s))


async def _edge(settings: EdgeSettings, run_for_s: float, report: str, began_s: float) -> None:
    from headrace.platform.edge import running_edge

    async with running_edge(settings) as node:
        note(f"Edge '{node.name}' runs, for the hub at {settings.hub}")
        telling = asyncio.create_task(_keep_status(node), name="edge-status")
        try:
            await until_stopped(run_for_s)
        finally:
            telling.cancel()
            (settings.home / "run" / "edge.json").unlink(missing_ok=True)
        document = {**_status(node), "running_s": round(time.monotonic() - began_s, 1)}
    if report:
        print_json(document)


async def _keep_status(node: EdgeNode) -> None:
    """`run/edge.json`, for whoever looks after this machine."""
    path = node.settings.home / "run" / "edge.json"
    while True:
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(_status(node)))
        partial.replace(path)
        await asyncio.sleep(_STATUS_S)


def _status(node: EdgeNode) -> dict[str, Any]:
    link, spool, actual = node.link.status(), node.spool.status(), node.plant.actual()
    return {
        "edge": node.name,
        "pid": os.getpid(),
        "hub": str(node.settings.hub),
        "connected": link.connected,
        "error": link.error,
        "connections": link.connections,
        "revision": actual.revision,
        "revision_error": actual.error,
        "points": actual.facts["points"],
        "samples": node.spool.appended,
        "sent_samples": link.sent_samples,
        "pending_samples": spool.pending_samples,
        "dropped": spool.dropped,
        "damaged_frames": spool.damaged_frames,
        "spool_used": round(spool.used, 4),
        "spool_full": spool.full,
    }


def _place(text: str, option: str) -> tuple[str, int]:
    """Raises: ConfigError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65_535:
        raise ConfigError(f"{option} is written HOST:PORT, for example 0.0.0.0:8472; this is '{text}'")
    return host.strip("[]"), int(port)


def _size(text: str) -> int:
    """Bytes. Raises: ConfigError."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"'{text}' is no size; write a number and a unit, such as 500MB or 4GB")
    return int(float(found[1]) * _FACTORS[found[2].upper()])
