"""An app of the tests: how long machines ran."""

from __future__ import annotations

from headrace.sdk.apps import Action, App, Context, Request, Samples, Statement

from .reckoning import stretches

app = App()
standing: dict[str, tuple[str, int]] = {}


@app.on_start
async def start(ctx: Context) -> None:
    rows = await ctx.tables.query("SELECT path, state, since_ns FROM standing")
    standing.update({str(path): (str(state), int(since)) for path, state, since in rows.rows})
    ctx.log(f"goes on with {len(rows)}")


@app.samples("**/state")
async def states(ctx: Context, samples: Samples) -> None:
    steps = [
        (samples.paths[handle], time_ns, str(value))
        for batch in samples.batches
        for handle, time_ns, value in zip(
            batch.handles.tolist(), batch.source_ns.tolist(), batch.values.tolist(), strict=True
        )
    ]
    ended = list(stretches(steps, standing, str(ctx.settings["running"])))
    await ctx.tables.write(
        Statement("INSERT OR IGNORE INTO hours VALUES (?, ?, ?)", many=ended),
        Statement(
            "INSERT INTO standing VALUES (?, ?, ?) "
            "ON CONFLICT DO UPDATE SET state = excluded.state, since_ns = excluded.since_ns",
            many=[(path, *standing[path]) for path in {path for path, _, _ in steps}],
        ),
    )


@app.events("alarm.raised")
async def raised(ctx: Context, events: list[object]) -> None:
    ctx.log(f"{len(events)} alarms")


@app.job("daily", at="00:00")
async def daily(ctx: Context, due_ns: int) -> None:
    found = await ctx.tables.query("SELECT path, sum(end_ns - start_ns) / 3.6e12 AS hours FROM hours GROUP BY path")
    for row in found.dicts():
        await ctx.events.publish("hours.counted", str(row["path"]), {"hours": row["hours"]}, time_ns=due_ns)
    text = ctx.say("report", "zh", hours=sum(float(row["hours"] or 0) for row in found.dicts()), day=due_ns)
    await ctx.documents.put("reports/last.txt", text.encode(), "text/plain")


@app.job("hourly", every="1h", catch_up=True)
async def hourly(ctx: Context, due_ns: int) -> None:
    ctx.log(f"hour {due_ns}")


@app.route("GET", "/hours/{name}")
async def hours(ctx: Context, request: Request) -> object:
    found = await ctx.tables.query(
        "SELECT path, sum(end_ns - start_ns) / 3.6e12 AS hours FROM hours WHERE path LIKE ? GROUP BY path",
        f"%/{request.params['name']}/%",
    )
    return [row for row in found.dicts() if await request.may(Action.VIEW, str(row["path"]))]


@app.route("POST", "/lamp", action=Action.WRITE)
async def lamp(ctx: Context, request: Request) -> object:
    fields = request.fields(path=str, on=bool)
    command = await ctx.commands.write(fields["path"], fields["on"], f"{request.user} asked")
    return {"state": command.state.value, "detail": command.detail}
