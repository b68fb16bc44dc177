"""`headrace serve` and `headrace demo`: the platform in this process, until Ctrl-C or `--for`.

demo:  plant process (its own Python) ──ready──► declarations ──apply──► platform ──► console
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.client import DEFAULT_HOME, HomeOption
from headrace.cli.output import note, print_json
from headrace.model.errors import ConfigError
from headrace.model.text import shown
from headrace.model.time import SECOND_NS, parse_duration_ns

if TYPE_CHECKING:
    from headrace.exchange.nats import NatsSettings
    from headrace.platform.platform import Platform
    from headrace.platform.settings import Settings
    from headrace.sdk.services import SourceFile

DEFAULT_PORT = 8470
SWITCH_S = 0.001
"""How long a thread may keep others from Python: a fifth of the usual, for commits and sockets wait behind a flush."""

HostOption = Annotated[str, typer.Option("--host", help="Address to listen on; beyond loopback it is TLS.")]
SealKeyOption = Annotated[
    str,
    typer.Option(
        "--seal-key", envvar="HEADRACE_SEAL_KEY", help="env:NAME or file:PATH with the keys that seal secrets on disk."
    ),
]
PortOption = Annotated[int, typer.Option("--port", "-p", help="Port of the console and the API; 0 takes a free one.")]
ForOption = Annotated[float, typer.Option("--for", help="Stop after this many seconds; 0 runs until Ctrl-C.")]
ReportOption = Annotated[str, typer.Option("--report", help="'json' ends with one JSON object on the last line.")]
ReachOption = Annotated[
    list[str] | None,
    typer.Option(
        "--reach",
        metavar="[TENANT=]CIDR|HOST[:PORT]",
        help="Where declared connections and outlets may go, and nowhere else; may be given several times.",
    ),
]
SecretsOption = Annotated[
    list[Path] | None,
    typer.Option("--secrets", help="Folder whose files declarations may refer to (file:PATH), beside <home>/secrets."),
]
PublicUrlOption = Annotated[
    str, typer.Option("--public-url", envvar="HEADRACE_PUBLIC_URL", help="Where people open the console; for links.")
]
SignInOption = Annotated[
    Path | None, typer.Option("--sign-in", help="Providers of identities that people may sign in with, YAML.")
]
LogOption = Annotated[str, typer.Option("--log", help="debug, info, warning or error.")]


StreamNatsOption = Annotated[
    str, typer.Option("--stream-nats", envvar="HEADRACE_STREAM_NATS", help="NATS server by which workers are fed.")
]
StreamNameOption = Annotated[str, typer.Option("--stream-name", help="Name of the work there; the workers' --stream.")]
StreamPartitionsOption = Annotated[
    int, typer.Option("--stream-partitions", min=1, max=256, help="The same for all, for the life of the work.")
]
StreamCredentialsOption = Annotated[
    Path | None, typer.Option("--stream-credentials", help="Credentials file, as nsc writes it.", exists=True)
]
AuditKeepOption = Annotated[
    int, typer.Option("--audit-keep", min=183, help="Days that audit entries stay in the database before an archive.")
]
AuditWarnOption = Annotated[
    float, typer.Option("--audit-warn", help="Tell when the disk of the audit trail is this full, in percent.")
]


def serve(
    home: HomeOption = DEFAULT_HOME,
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
    backup_every: Annotated[str, typer.Option(help="How often; the logs between go there every minute.")] = "24h",
    backup_keep: Annotated[int, typer.Option(min=1, help="How many backups stay.")] = 7,
    sign_in: SignInOption = None,
    share_bus: Annotated[
        bool, typer.Option("--share-bus", help="Let other processes of this account join the bus: run/bus.sock.")
    ] = False,
    audit_keep: AuditKeepOption = 365,
    audit_warn: AuditWarnOption = 90.0,
    reach: ReachOption = None,
    secrets: SecretsOption = None,
    public_url: PublicUrlOption = "",
    stream_nats: StreamNatsOption = "",
    stream_name: StreamNameOption = "HEADRACE",
    stream_partitions: StreamPartitionsOption = 16,
    stream_credentials: StreamCredentialsOption = None,
    run_for: ForOption = 0.0,
    report: ReportOption = "",
    log_level: LogOption = "info",
) -> None:
    """Run the platform on this machine."""
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
        share_bus=share_bus,
        database_url=database,
        history_url=history,
        backup_to=None if backup_to is None else backup_to.absolute(),
        backup_every_s=parse_duration_ns(backup_every) / SECOND_NS,
        backup_keep=backup_keep,
        audit=AuditSettings(keep_days=audit_keep, warn_percent=audit_warn),
        reach=tuple(reach or ()),
        secrets=tuple(secrets or ()),
        public_url=public_url,
        stream_work=shared_work(stream_nats, stream_name, stream_partitions, stream_credentials),
    )
    serve_platform(settings, folder, run_for, report)


def shared_work(server: str, name: str, partitions: int, credentials: Path | None) -> NatsSettings | None:
    """Where workers are fed; None where no server is named."""
    from headrace.exchange.nats import NatsSettings

    if not server:
        return None
    return NatsSettings(
        (server,), stream=name, subject=name.lower(), partitions=partitions,
        credentials=None if credentials is None else str(credentials),
    )  # fmt: skip


def serve_platform(settings: Settings, folder: Path | None, run_for_s: float, report: str) -> None:
    """Until it is stopped."""
    from headrace.cli.declarations import read_folder

    files = read_folder(folder) if folder is not None else None
    run(_serve(settings, files, run_for_s, report, time.monotonic()))


def demo(
    home: Annotated[Path, typer.Option("--home", help="Folder of the demo's data.")] = DEFAULT_HOME / "demo",
    port: PortOption = DEFAULT_PORT,
    run_for: ForOption = 0.0,
    report: ReportOption = "",
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the data of earlier demos first.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the plant: the same seed gives the same plant.")] = 1,
    speed: Annotated[float, typer.Option(help="Plant seconds a second.")] = 1.0,
    fault: Annotated[list[str] | None, typer.Option(help="For example press-2:bearing-wear@60s,severity=0.7")] = None,
    open_browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the console.")] = True,
    log_level: LogOption = "warning",
) -> None:
    """Start a press, moulding and assembly works with real protocol servers, and the platform connected to it."""
    began_s = time.monotonic()
    set_up_logging(log_level)
    from headrace.platform.settings import Settings

    if fresh and home.exists():
        _forget(home)
    settings = Settings(home=home, port=port)
    plant_options = ["--seed", str(seed), "--speed", str(speed)]
    for one in fault or ():
        plant_options += ["--fault", one]
    run(_demo(settings, plant_options, run_for, report, began_s, open_browser and not run_for))


def run(work: Any) -> None:
    """On uvloop where it exists, with Ctrl-C as an orderly stop."""
    sys.setswitchinterval(SWITCH_S)
    os.umask(0o077)  # whatever this process makes is its owner's alone
    try:
        import uvloop

        factory: Any = uvloop.new_event_loop
    except ImportError:
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        try:
            runner.run(work)
        except BaseExceptionGroup as group:
            raise _first(group) from group


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _serve(
    settings: Settings, files: list[SourceFile] | None, run_for_s: float, report: str, began_s: float
) -> None:
    async with AsyncExitStack() as stack:
        platform, url = await stack.enter_async_context(_listening(settings, files))
        note(f"Headrace listens on {url}")
        tell_trust(platform, url)
        if platform.hub is not None and platform.hub.where is not None:
            note(f"Edges connect to {platform.hub.where}")
        await until_stopped(run_for_s)
        document = await _report(platform, began_s) if report else None
    if document is not None:
        print_json(_settled(document, platform))


async def _demo(
    settings: Settings, plant_options: list[str], run_for_s: float, report: str, began_s: float, browse: bool
) -> None:
    from headrace.cli import demo_apps
    from headrace.cli.plant import plant_process

    async with AsyncExitStack() as field:  # the plant starts beside the platform, and outlives it
        starting = asyncio.create_task(field.enter_async_context(plant_process(plant_options, settings.home)))
        try:
            async with _listening(settings) as (platform, url):
                await platform.registry.apply((await starting).declaration, actor="local")
                await demo_apps.enable(platform.apps, platform.reconciler.directory.model, platform.clock.now_ns())
                points = len(platform.reconciler.directory.handles)
                note(f"A works with {points} points is running. Open {url}")
                note("Stop with Ctrl-C. To see more: headrace tail · headrace doctor · headrace plant fault --help")
                if browse and (os.environ.get("DISPLAY") or sys.platform in ("darwin", "win32")):
                    import webbrowser

                    webbrowser.open(url)
                await until_stopped(run_for_s)
                document = await _report(platform, began_s)
        finally:
            if not starting.done():
                starting.cancel()
    if report:
        print_json(_settled(document, platform))


@asynccontextmanager
async def _listening(settings: Settings, files: list[SourceFile] | None = None) -> AsyncIterator[tuple[Platform, str]]:
    """The platform with its API. `server.json` and the local token exist as long as it listens and has applied `files`.

    So whoever waits for them finds the plant in place.
    """
    from headrace.api.server import serving
    from headrace.cli.compose import api_settings, services
    from headrace.platform.platform import running
    from headrace.platform.runfile import announced

    async with (
        running(settings) as platform,
        serving(services(platform), api_settings(settings), platform.tls_context) as address,
    ):
        platform.reaches.occupy(address.port)
        newcomer = await platform.access.bootstrap()
        if newcomer is not None:
            name, password = newcomer
            note("")
            note(f"  First start. Sign in as   {name}")
            note(f"  with one-time password    {password}")
            note("  It is shown only now; the console asks for your own at once.")
            note("")
        if files is not None:
            plan, model = await platform.registry.apply(files, actor="local")
            note(f"{len(plan.changes)} changes applied; revision {model.revision}, {len(model.points)} points")
        async with announced(platform, address.url):
            yield platform, address.url


def tell_trust(platform: Platform, url: str) -> None:
    """How others come to trust a certificate that was made here."""
    if not platform.settings.secure or platform.web.fingerprint is None:
        return
    note("")
    note("  Its certificate comes from an authority of its own, for the names of this machine alone. SHA-256:")
    note(f"  {platform.web.fingerprint}")
    note("  To trust it on another machine, compare that and import the file:")
    note(f"    headrace ca export --server {url} --fingerprint … -o headrace-ca.pem     (or open {url}/api/v1/ca.pem)")
    note("")


async def until_stopped(run_for_s: float) -> None:
    """Ctrl-C, SIGTERM, or the time is up."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        async with asyncio.timeout(run_for_s or None):
            await stop.wait()
    except TimeoutError:
        pass
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _report(platform: Platform, began_s: float) -> dict[str, Any]:
    """What the run came to, before it is stopped; `_settled` adds what only the end can tell."""
    from headrace.platform.report import run_report

    return await run_report(platform, began_s)


def _settled(document: dict[str, Any], platform: Platform) -> dict[str, Any]:
    """After the stop everything is drained: what was accepted and is not stored was lost."""
    counters = platform.bus.counters().get("keep")
    accepted = counters.published if counters is not None else 0
    document["samples"] = platform.pipeline.stored + platform.pipeline.taken
    document["lost"] = accepted - platform.pipeline.stored
    return document


class OneLine(logging.Formatter):
    """A message is one line, whatever a device or a stranger put into it; only a traceback has more."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the library's name
        record.message = shown(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return shown(super().formatException(ei), lines=True)


def set_up_logging(level: str) -> None:
    known = {"debug", "info", "warning", "error"}
    if level not in known:
        raise ConfigError(f"'{level}' is no log level; use {', '.join(sorted(known))}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    if level != "debug":
        for plumbing in ("alembic", "httpx"):  # not what an operator asked about; addresses of webhooks are secrets
            logging.getLogger(plumbing).setLevel(logging.WARNING)


def _forget(home: Path) -> None:
    """Remove a demo's folder, and nothing that is not one."""
    strangers = {entry.name for entry in home.iterdir()} - {
        "database.db", "database.db-wal", "database.db-shm", "history", "connections", "fleet", "outlets", "run",
        "plant", "keys", "tls", "seal.probe", "audit",
    }  # fmt: skip
    if strangers:
        raise ConfigError(f"'{home}' holds more than a demo ({', '.join(sorted(strangers)[:3])}); not removed")
    shutil.rmtree(home)
