"""Counts what people tell it and how often its job ran; used by the tests of a whole platform."""

from headrace.sdk.apps import Action, App, Context, Reply, Request, Statement

app = App()


@app.on_start
async def start(ctx: Context) -> None:
    ctx.log(f"started anew with limit {ctx.settings['limit']:g}")


@app.job("tick", every="1s")
async def tick(ctx: Context, due_ns: int) -> None:
    await ctx.documents.put("ticks.txt", str(due_ns).encode(), "text/plain")


@app.route("GET", "/counts")
async def counts(ctx: Context, request: Request) -> object:
    rows = await ctx.tables.query("SELECT * FROM counts ORDER BY job_ns")
    return {"rows": rows.dicts(), "user": request.user, "says": ctx.say("hot", request.language, limit=5)}


@app.route("POST", "/counts", action=Action.WRITE)
async def count(ctx: Context, request: Request) -> object:
    given = request.fields(n=int)
    sql = "INSERT INTO counts (job_ns, n) VALUES ((SELECT count(*) FROM counts), ?)"
    await ctx.tables.write(Statement(sql, (given["n"],)))
    return {"key": ctx.settings["key"]}


@app.route("GET", "/plant")
async def plant(ctx: Context, request: Request) -> object:
    return {"points": [one.path for one in await ctx.model.points()]}


@app.route("GET", "/ticks")
async def ticks(ctx: Context, request: Request) -> Reply:
    return Reply(await ctx.documents.get("ticks.txt"), "text/plain", file="../ticks.txt")


@app.route("GET", "/html")
async def html(ctx: Context, request: Request) -> Reply:
    return Reply(b"<script>alert(1)</script>", "text/html")
