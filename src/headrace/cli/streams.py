"""`headrace stream`: versions of stream functions, and back-tests.

add, promote, rollback, retire, place, list ─► the platform that runs, as its client ─► register, audit trail
                                      └ nobody runs the home: the same acts on its files, in the same trail
backtest ─► a cell, over the history of a home whose platform rests
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

import typer

from headrace.cli.client import DEFAULT_HOME, Client, HomeOption, JsonOption, ServerOption, connect, running
from headrace.cli.output import note, print_json, print_table, say
from headrace.model.errors import NotFound
from headrace.model.time import SECOND_NS, format_time, parse_duration_ns, parse_time_ns

if TYPE_CHECKING:
    from headrace.sdk.computing import Streams

LOCAL: Final = "local"
NATS: Final = "nats://127.0.0.1:4222"

app = typer.Typer(help="Functions over streams of samples: versions, shadow runs, back-tests.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="Name of the function.")]
VersionArgument = Annotated[str, typer.Argument(help="Version of it.")]
WhyOption = Annotated[str, typer.Option("--why", help="For the journal and the audit trail.")]
FileArgument = Annotated[Path, typer.Argument(help="Python file with the function.", exists=True, dir_okay=False)]
OnOption = Annotated[str, typer.Option("--on", help="Where it runs: hub, or workers that share it over NATS.")]
ModelOption = Annotated[
    Path | None, typer.Option("--model", help="ONNX model that the source knows as MODEL.", exists=True, dir_okay=False)
]
FunctionOption = Annotated[str, typer.Option("--function", help="Name of the function, where the file has several.")]


@app.command("add")
def add(
    file: Annotated[Path, typer.Argument(help="Python with the function, or an ONNX model.", exists=True)],
    function: FunctionOption = "", on: OnOption = "hub", model: ModelOption = None,
    name: Annotated[str, typer.Option("--name", help="Of a model's function; the file's if not given.")] = "",
    version: Annotated[str, typer.Option("--version", help="Of a model's function.")] = "1",
    inputs: Annotated[str, typer.Option("--inputs", help="Of a model: 'oil=oil.temperature [Cel], speed=speed'.")] = "",
    features: Annotated[
        str, typer.Option("--features", help="Of a model, a column each: 'oil:mean, speed:max'; means, if not given.")
    ] = "",
    outputs: Annotated[str, typer.Option("--outputs", help="Of a model: 'wear=float64, left=[h]'.")] = "",
    window: Annotated[str, typer.Option("--window", help="Of a model: 10s.")] = "",
    batch: Annotated[int, typer.Option("--batch", min=1, help="Windows that a model scores at once.")] = 1024,
    budget: Annotated[
        str, typer.Option("--budget", help="Time of a model for windows that end together; the rest is skipped.")
    ] = "",
    home: HomeOption = DEFAULT_HOME, server: ServerOption = None,
) -> None:  # fmt: skip
    """Take a version up: it runs beside the active one, and its outputs are compared, not stored."""
    if file.suffix == ".onnx":
        from headrace.cli.stream_models import ModelOptions, source_of

        given = ModelOptions(name, version, inputs, features, outputs, window, batch, budget)
        held = file.read_bytes()
        source = source_of(file, held, given)
    else:
        source, held = file.read_text("utf-8"), b"" if model is None else model.read_bytes()
    if client := _client(home, server):
        body = {"source": source, "function": function, "on": on, "model": base64.b64encode(held).decode()}
        _said(client.post("/streams", body))
    else:
        _said(_offline(home, lambda streams: streams.add(LOCAL, source, function, on=on, model=held)))


@app.command("promote")
def promote(
    name: NameArgument, version: VersionArgument, why: WhyOption = "", home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
) -> None:  # fmt: skip
    """Make a version the active one: its outputs are stored from now on."""
    if client := _client(home, server):
        _said(client.post(f"/streams/{_part(name)}/versions/{_part(version)}/promote", {"why": why}))
    else:
        _said(_offline(home, lambda streams: streams.promote(LOCAL, name, version, why)))


@app.command("rollback")
def rollback(
    name: NameArgument, why: WhyOption = "", home: HomeOption = DEFAULT_HOME, server: ServerOption = None
) -> None:
    """Go back to the version before, with the state that it had."""
    if client := _client(home, server):
        _said(client.post(f"/streams/{_part(name)}/rollback", {"why": why}))
    else:
        _said(_offline(home, lambda streams: streams.roll_back(LOCAL, name, why)))


@app.command("retire")
def retire(
    name: NameArgument, version: VersionArgument, why: WhyOption = "", home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
) -> None:  # fmt: skip
    """Stop a version."""
    if client := _client(home, server):
        _said(client.post(f"/streams/{_part(name)}/versions/{_part(version)}/retire", {"why": why}))
    else:
        _said(_offline(home, lambda streams: streams.retire(LOCAL, name, version, why)))


@app.command("place")
def place(
    name: NameArgument, version: VersionArgument, on: Annotated[str, typer.Option("--on", help="hub or workers.")],
    why: WhyOption = "", home: HomeOption = DEFAULT_HOME, server: ServerOption = None,
) -> None:  # fmt: skip
    """Say where a version runs: on the hub, or on workers."""
    if client := _client(home, server):
        body = {"on": on, "why": why}
        _said(client.post(f"/streams/{_part(name)}/versions/{_part(version)}/place", body))
    else:
        _said(_offline(home, lambda streams: streams.place(LOCAL, name, version, on, why)))


@app.command("list")
def listed(home: HomeOption = DEFAULT_HOME, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """Every version, and how the running ones do; with --json, how shadows differ."""
    client = _client(home, server)
    rows = client.get("/streams") if client else _offline(home, lambda streams: streams.versions())
    if as_json:
        for row in rows:
            if client and row["stage"] == "shadow":
                route = f"/streams/{_part(row['name'])}/versions/{_part(row['version'])}/difference"
                row["difference"] = client.get(route)
        print_json(rows)
        return
    print_table(
        ["function", "version", "stage", "on", "by", "outputs", "late", "failed", "skipped", "trouble"],
        [[row["name"], row["version"], row["stage"], row["on"], row["added_by"], *_fares(row["run"])] for row in rows],
        empty="no functions",
    )


@app.command("journal")
def journal(home: HomeOption = DEFAULT_HOME, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """Who did what, oldest first. The audit trail has the same, signed."""
    client = _client(home, server)
    acts = client.get("/streams/acts") if client else _offline(home, lambda streams: streams.acts())
    if as_json:
        print_json(acts)
        return
    print_table(["time", "who", "act", "function", "version", "why"], [list(one.values()) for one in acts])


@app.command("worker")
def worker(
    file: FileArgument,
    function: FunctionOption = "",
    nats: Annotated[str, typer.Option("--nats", envvar="HEADRACE_NATS", help="Address of a NATS server.")] = NATS,
    stream: Annotated[str, typer.Option("--stream", help="Name of the work there.")] = "HEADRACE",
    partitions: Annotated[int, typer.Option(min=1, max=256, help="The same for all, for the life of it.")] = 16,
    lease: Annotated[str, typer.Option(help="How long a worker that died keeps its partitions.")] = "5s",
    keep: Annotated[int, typer.Option(min=1, help="Samples between two states of a partition.")] = 200_000,
    credentials: Annotated[Path | None, typer.Option(help="Credentials file, as nsc writes it.", exists=True)] = None,
    model: ModelOption = None,
) -> None:
    """Share a function with other workers: each takes partitions of the samples over NATS, until it is stopped."""
    from headrace.exchange.nats import NatsSettings
    from headrace.platform.stream_worker import work

    settings = NatsSettings(
        (nats,), stream=stream, subject=stream.lower(), partitions=partitions,
        lease_s=parse_duration_ns(lease) / SECOND_NS, credentials=None if credentials is None else str(credentials),
    )  # fmt: skip
    with suppress(KeyboardInterrupt):
        held = b"" if model is None else model.read_bytes()
        asyncio.run(work(file.read_text("utf-8"), function, settings, keep_samples=keep, model=held))


@app.command("backtest")
def backtest(
    file: FileArgument,
    start: Annotated[str, typer.Argument(help="From, such as 2026-11-22T00:00:00Z.")],
    end: Annotated[str, typer.Argument(help="To, not included.")],
    function: FunctionOption = "",
    home: HomeOption = DEFAULT_HOME,
    out: Annotated[Path | None, typer.Option("--out", help="Parquet file for what came out.")] = None,
    model: ModelOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a function over a stretch of history, storing nothing; the platform of the home is at rest."""
    from dataclasses import asdict

    from headrace.compute.streams.cell import Cell

    cell = Cell(file.read_text("utf-8"), function, model=b"" if model is None else model.read_bytes())
    try:
        found = asyncio.run(_backtest(home, cell, parse_time_ns(start), parse_time_ns(end)))
    finally:
        cell.close()
    table = found.table()
    if out is not None:
        import pyarrow.parquet as pq

        pq.write_table(table, out)
    if as_json:
        print_json({**asdict(found.counters), "error": found.error})
        return
    rows = [
        [one["point"], format_time(one["time"].value), one["value"]]
        for one in table.slice(max(table.num_rows - 20, 0)).to_pylist()
    ]
    print_table(["point", "time", "value"], rows, empty="nothing came out")
    counted = found.counters
    say(f"{counted.taken} samples, {counted.windows} windows, {counted.outputs} samples made, {counted.failed} failed")
    if found.error:
        say(f"the last that failed: {found.error}")


async def _backtest(home: Path, cell: Any, start_ns: int, end_ns: int) -> Any:
    from headrace.compute.streams.stretch import run_over
    from headrace.history.settings import HistorySettings
    from headrace.history.store import open_store
    from headrace.sdk.clock import SystemClock

    folder = home / "history"
    if not folder.exists():
        raise NotFound(f"{home} has no history here")
    store = await open_store(folder, HistorySettings(), SystemClock())
    try:
        return await run_over(cell.function, store, start_ns, end_ns, cell)
    finally:
        await store.close()


def _client(home: Path, server: str | None) -> Client | None:
    """Of the platform that was named, or runs on `home`; None where the command does the act itself."""
    return connect(home, server) if server or running(home) or running(home / "demo") else None


def _offline(home: Path, act: Callable[[Streams], Awaitable[Any]]) -> Any:
    """An act on a home that nobody runs; what comes of it as the API would show it."""
    from headrace.api.schemas.streams import StreamActAnswer, StreamAnswer
    from headrace.platform.offline import open_streams
    from headrace.sdk.computing import StreamAct, StreamVersion

    def shown(one: StreamVersion | StreamAct) -> dict[str, Any]:
        found = StreamAnswer.of(one) if isinstance(one, StreamVersion) else StreamActAnswer.of(one)
        return found.model_dump()

    async def done() -> Any:
        async with open_streams(home) as streams:
            made = await act(streams)
            return shown(made) if isinstance(made, StreamVersion) else [shown(one) for one in made]

    return asyncio.run(done())


def _fares(run: dict[str, Any] | None) -> list[Any]:
    if run is None:
        return [None] * 5
    return [*(run["counters"].get(name) for name in ("outputs", "late", "failed", "skipped")), run["error"] or None]


def _said(one: dict[str, Any]) -> None:
    where = "" if one["on"] == "hub" else f" on {one['on']}"
    note(f"{one['name']} {one['version']} is {one['stage']}{where}")


def _part(name: str) -> str:
    return quote(name, safe="")
