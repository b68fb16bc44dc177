"""An app of the tests that says what it was given, and dies when it is told to."""

import asyncio
import os
import signal

from headrace.sdk.apps import Action, App, Reply, Statement

app = App()
entered = {"together": 0, "most": 0}


async def note(ctx, what):
    await ctx.tables.write(Statement("INSERT INTO notes (what, at) VALUES (?, ?)", (what, ctx.now_ns())))


async def die_at(ctx, what):
    """Once, where the settings say so."""
    if ctx.settings["die"] == what and not len(await ctx.tables.query("SELECT 1 FROM notes WHERE what = 'died'")):
        await note(ctx, "died")
        os.kill(0, 0) if ctx.settings["how"] == "refused" else os._exit(9)


@app.on_start
async def start(ctx):
    await die_at(ctx, "start")
    await note(ctx, "start")


@app.on_stop
async def stop(ctx):
    await die_at(ctx, "stop")
    await note(ctx, "stop")


@app.samples("acme/*/*/count")
async def samples(ctx, samples):
    await die_at(ctx, "samples")
    for batch in samples.batches:
        rows = [(samples.paths[int(h)], int(v)) for h, v in zip(batch.handles, batch.values, strict=True)]
        await ctx.tables.write(Statement("INSERT INTO given VALUES (?, ?)", many=rows))


@app.events("thing.*")
async def events(ctx, events):
    await die_at(ctx, "events")
    for event in events:
        await note(ctx, f"event {event.type} {event.subject} {event.data['n']}")


@app.job("tick", every="1s")
async def tick(ctx, due_ns):
    await die_at(ctx, "job")
    await note(ctx, f"job {due_ns}")


@app.route("GET", "/notes")
async def notes(ctx, request):
    found = await ctx.tables.query("SELECT what FROM notes ORDER BY rowid")
    return [row[0] for row in found.rows]


@app.route("GET", "/given")
async def given(ctx, request):
    return [list(row) for row in (await ctx.tables.query("SELECT DISTINCT path, value FROM given")).rows]


@app.route("POST", "/die", action=Action.WRITE)
async def die(ctx, request):
    await note(ctx, "dying")
    os.kill(os.getpid(), signal.SIGKILL) if request.query.get("how") == "signal" else os._exit(9)


@app.route("GET", "/together")
async def together(ctx, request):
    entered["together"] += 1
    entered["most"] = max(entered["most"], entered["together"])
    await asyncio.sleep(0.05)
    entered["together"] -= 1
    return entered["most"]


@app.route("POST", "/alone", action=Action.WRITE)
async def alone(ctx, request):
    return await together(ctx, request)


@app.route("GET", "/may/{word}")
async def may(ctx, request):
    await request.check(Action.VIEW, request.params["word"])
    return Reply(f"{request.user} {request.language} {request.query['a']}".encode(), "text/plain", file="a.txt")


@app.route("POST", "/json", action=Action.WRITE)
async def echo(ctx, request):
    return request.fields(number=int, text=str)


@app.route("GET", "/nothing")
async def nothing(ctx, request):
    print("printed", "words")
    ctx.log("logged")


@app.route("GET", "/crash")
async def crash(ctx, request):
    return 1 / 0


@app.route("GET", "/set")
async def not_json(ctx, request):
    return {1, 2}


@app.route("GET", "/revision")
async def revision(ctx, request):
    await ctx.model.assets()
    return ctx.model.revision
