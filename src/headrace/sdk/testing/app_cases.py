"""What every `Context` does, case by case: the body of an app that `app_contract.py` runs, wherever apps run.

Each case is given a context over `app_contract.plant()`, with the permissions of `app_contract.MANIFEST`.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from headrace.model.alarms import AlarmAction
from headrace.model.commands import CommandState
from headrace.model.errors import (
    AccessError,
    Conflict,
    DataError,
    HeadraceError,
    LimitReached,
    NotFound,
    Refused,
    Unavailable,
    Unreachable,
)
from headrace.model.time import SECOND_NS, parse_time_ns
from headrace.sdk.apps import Context, Samples, Signature, Statement
from headrace.sdk.store import Aggregate

T0 = parse_time_ns("2026-11-25T12:00:00Z")
PRESS = "acme/line-1/press-3"
HIDDEN = "acme/line-2/press-9"


async def refused(kind: type[HeadraceError], asked: Awaitable[Any]) -> str:
    try:
        found = await asked
    except kind as error:
        return error.message
    raise AssertionError(f"{kind.__name__} was to come, and {found!r} came")


def rows(samples: Samples) -> list[tuple[str, int, Any, int]]:
    return [
        (samples.paths[handle], at, value, quality)
        for batch in samples.batches
        for handle, at, value, quality in zip(
            batch.handles.tolist(), batch.source_ns.tolist(), batch.values.tolist(), batch.quality.tolist(), strict=True
        )
    ]


async def it_is_told_who_it_is(ctx: Context) -> None:
    assert ctx.app == "acme.probe"
    assert ctx.tenant == "default"
    assert ctx.settings["greeting"] == "hello" and ctx.settings["micro-stop"] == 120 * SECOND_NS
    assert ctx.say("title", "zh", n=3) == "三 3" and ctx.say("title", n=3) == "three 3"
    assert ctx.say("only-english", "zh") == "English" and ctx.say("nowhere") == "nowhere"
    assert ctx.now_ns() > T0


async def it_sees_what_was_granted_of_the_model(ctx: Context) -> None:
    assert [one.path for one in await ctx.model.assets()] == ["acme/line-1", PRESS]
    assert [one.path for one in await ctx.model.assets(PRESS)] == [PRESS]
    assert await ctx.model.assets("acme/line-2") == []
    points = {one.path: one for one in await ctx.model.points()}
    assert f"{PRESS}/oil.temperature" in points and f"{HIDDEN}/secret" not in points
    assert points[f"{PRESS}/oil.temperature"].unit == "Cel"
    assert f"{HIDDEN}/state" in points  # its samples were granted, so it is seen
    assert [one.path for one in await ctx.model.points("**/state")] == [f"{PRESS}/state", f"{HIDDEN}/state"]
    assert await ctx.model.points("beta") == []
    assert ctx.model.revision > 0
    await refused(HeadraceError, ctx.model.points("bad place"))


async def it_reads_the_newest_samples(ctx: Context) -> None:
    found = rows(await ctx.live.get([f"{PRESS}/oil.temperature", f"{PRESS}/state", f"{PRESS}/silent"]))
    assert sorted(found) == [
        (f"{PRESS}/oil.temperature", T0 + 9 * SECOND_NS, 49.0, 0),
        (f"{PRESS}/state", T0 + 5 * SECOND_NS, "停", 0),
    ]
    assert len(await ctx.live.get([])) == 0


async def it_reads_samples_of_the_past(ctx: Context) -> None:
    asked = [f"{PRESS}/oil.temperature", f"{PRESS}/count", f"{PRESS}/running", f"{PRESS}/state"]
    found = [row async for part in ctx.history.samples(asked, T0, T0 + 3 * SECOND_NS) for row in rows(part)]
    assert sorted(found) == [
        (f"{PRESS}/count", T0, 2**60, 0), (f"{PRESS}/count", T0 + SECOND_NS, 2**60 + 1, 0),
        (f"{PRESS}/oil.temperature", T0, 40.0, 0), (f"{PRESS}/oil.temperature", T0 + SECOND_NS, 41.0, 0),
        (f"{PRESS}/oil.temperature", T0 + 2 * SECOND_NS, 42.0, 0), (f"{PRESS}/running", T0, True, 0),
        (f"{PRESS}/state", T0, "run", 0),
    ]  # fmt: skip
    nothing = [part async for part in ctx.history.samples([f"{PRESS}/silent"], T0, T0 + SECOND_NS)]
    assert nothing == []
    latest = rows(await ctx.history.latest(asked[:1], T0 + 4 * SECOND_NS + 1))
    assert latest == [(f"{PRESS}/oil.temperature", T0 + 4 * SECOND_NS, 44.0, 0)]


async def it_reads_buckets(ctx: Context) -> None:
    asked = [f"{PRESS}/silent", f"{PRESS}/oil.temperature"]
    width = 5 * SECOND_NS
    found = await ctx.history.buckets(
        asked, T0, T0 + 2 * width, width_ns=width, aggregates=(Aggregate.MEAN, Aggregate.COUNT)
    )
    assert found.start_ns.tolist() == [T0, T0 + width] and found.width_ns == width
    assert found.handles.tolist() == [0, 1]
    assert found.columns[Aggregate.MEAN][1].tolist() == [42.0, 47.0]
    assert found.columns[Aggregate.COUNT].tolist() == [[0, 0], [5, 5]]
    empty = await ctx.history.buckets([f"{PRESS}/silent"], T0, T0 + width, width_ns=width)
    assert str(empty.columns[Aggregate.MEAN].tolist()) == "[[nan]]"


async def it_reads_nothing_else(ctx: Context) -> None:
    hidden = [f"{HIDDEN}/secret"]
    assert "manifest" in await refused(AccessError, ctx.live.get(hidden))
    await refused(AccessError, ctx.history.latest(hidden, T0))
    await refused(AccessError, ctx.history.buckets(hidden, T0, T0 + 1, width_ns=1))
    await refused(AccessError, ctx.history.samples(hidden, T0, T0 + 1).__anext__())
    await refused(AccessError, ctx.live.get([f"{PRESS}/state", *hidden]))
    await refused(NotFound, ctx.live.get([f"{PRESS}/nowhere"]))


async def it_tells_events(ctx: Context) -> None:
    await ctx.events.publish("probe.done", PRESS, {"n": 1, "text": "压机"})
    await ctx.events.publish("probe.done", f"{PRESS}/state", {}, time_ns=T0)
    await refused(AccessError, ctx.events.publish("other.done", PRESS, {}))
    await refused(AccessError, ctx.events.publish("alarm.raised", PRESS, {}))
    await refused(AccessError, ctx.events.publish("probe.done", "acme/line-2", {}))
    await refused(NotFound, ctx.events.publish("probe.done", f"{PRESS}/nowhere", {}))


async def it_sees_alarms(ctx: Context) -> None:
    current = await ctx.alarms.current()
    assert [one.rule.name for one in current] == [f"{PRESS}/oil.temperature:hot"]
    assert current[0].value == 81.5 and current[0].rule.limit == 80
    assert await ctx.alarms.current("acme/line-2") == []
    history = await ctx.alarms.history(T0, T0 + 10 * SECOND_NS)
    assert [(one.action, one.time_ns) for one in history] == [
        (AlarmAction.RAISED, T0 + SECOND_NS), (AlarmAction.CLEARED, T0 + 2 * SECOND_NS),
    ]  # fmt: skip
    assert await ctx.alarms.history(T0, T0 + 10 * SECOND_NS, "acme/line-2") == []


async def it_writes_setpoints_as_itself(ctx: Context) -> None:
    made = await ctx.commands.write(f"{PRESS}/speed.setpoint", 12.5, "the order asks for it")
    assert made.state is CommandState.CONFIRMED and made.actor == "app:acme.probe"
    assert made.value == 12.5 and made.reason == "the order asks for it"
    refusal = await ctx.commands.write(f"{PRESS}/locked.setpoint", 1.0, "to see")
    assert refusal.state is CommandState.REFUSED and "locked" in refusal.detail
    await refused(AccessError, ctx.commands.write(f"{PRESS}/oil.temperature", 1.0, "to see"))
    await refused(AccessError, ctx.commands.write(f"{HIDDEN}/secret", 1.0, "to see"))
    await refused(NotFound, ctx.commands.write(f"{PRESS}/nowhere.setpoint", 1.0, "to see"))


async def it_resolves_no_identifier_where_nobody_does(ctx: Context) -> None:
    await refused(Unavailable, ctx.identifiers.resolve("88.118.8/press-3"))


async def it_keeps_documents(ctx: Context) -> None:
    made = await ctx.documents.put("reports/a.txt", b"one", "text/plain")
    assert (made.name, made.media_type, made.size) == ("reports/a.txt", "text/plain", 3)
    assert made.sha256 == "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
    await ctx.documents.put("reports/b.bin", bytes(range(256)), "application/octet-stream")
    await ctx.documents.put("other", b"", "text/plain")
    assert await ctx.documents.get("reports/b.bin") == bytes(range(256))
    assert [one.name for one in await ctx.documents.list()] == ["other", "reports/a.txt", "reports/b.bin"]
    assert [one.name for one in await ctx.documents.list("reports/")] == ["reports/a.txt", "reports/b.bin"]
    await ctx.documents.put("reports/a.txt", b"two", "text/plain")
    assert await ctx.documents.get("reports/a.txt") == b"two"
    await ctx.documents.delete("reports/a.txt")
    await refused(NotFound, ctx.documents.get("reports/a.txt"))
    await refused(NotFound, ctx.documents.delete("reports/a.txt"))
    for name in ("../escape", "/etc/passwd", "a//b", "a/../b", ".hidden", "a\0b", "", "C:\\x", "a/./b", "x" * 300):
        await refused(DataError, ctx.documents.put(name, b"x", "text/plain"))
        await refused(NotFound, ctx.documents.get(name))
    await refused(LimitReached, ctx.documents.put("large", bytes(1_000_001), "text/plain"))
    assert await ctx.documents.get("other") == b""


async def it_keeps_rows(ctx: Context) -> None:
    assert await ctx.tables.write(Statement("INSERT INTO pieces VALUES (?, ?, ?)", ("a", 1, 0.5))) == [1]
    await ctx.tables.write(
        Statement("INSERT INTO pieces VALUES (?, ?, ?)", many=[("b", 2**62, None), ("丙", None, 1.5)]),
        "UPDATE pieces SET weight = 0.25 WHERE name = 'a'",
    )
    found = await ctx.tables.query("SELECT name, count, weight FROM pieces ORDER BY name")
    assert found.columns == ("name", "count", "weight")
    assert list(found.rows) == [("a", 1, 0.25), ("b", 2**62, None), ("丙", None, 1.5)]
    assert (await ctx.tables.query("SELECT count(*) AS n FROM pieces WHERE name = ?", "b")).one() == {"n": 1}
    assert (await ctx.tables.query("SELECT ?", b"\0\xff")).rows[0] == (b"\0\xff",)
    assert len(await ctx.tables.query("SELECT * FROM pieces WHERE name = 'nobody'")) == 0


async def it_keeps_all_rows_of_a_write_or_none(ctx: Context) -> None:
    before = (await ctx.tables.query("SELECT count(*) FROM pieces")).rows
    await refused(
        Conflict,
        ctx.tables.write("INSERT INTO pieces VALUES ('x', 1, 1)", "INSERT INTO pieces VALUES ('x', 2, 2)"),
    )
    await refused(DataError, ctx.tables.write("DELETE FROM pieces", "INSERT INTO nowhere VALUES (1)"))
    assert (await ctx.tables.query("SELECT count(*) FROM pieces")).rows == before


async def its_sql_stays_in_its_tables(ctx: Context) -> None:
    for sql in (
        "ATTACH DATABASE '/tmp/other.db' AS other", "PRAGMA writable_schema = ON", "SELECT load_extension('x')",
        "DELETE FROM sqlite_master", "VACUUM INTO '/tmp/copy.db'", "DROP TABLE pieces", "BEGIN", "COMMIT",
        "CREATE TEMP TABLE t (a)", "SELECT 1; SELECT 2",
    ):  # fmt: skip
        await refused(DataError, ctx.tables.write(sql))
        await refused(DataError, ctx.tables.query(sql))
    await refused(DataError, ctx.tables.query("INSERT INTO pieces VALUES ('q', 1, 1)"))
    await refused(LimitReached, ctx.tables.query(f"WITH n(i) AS ({RECURSIVE}) SELECT i FROM n"))


RECURSIVE = "SELECT 1 UNION ALL SELECT i + 1 FROM n"


async def it_calls_granted_hosts_alone(ctx: Context) -> None:
    for url in (
        "https://evil.example/",
        "http://api.example.com/",
        "https://api.example.com:8443/",
        "https://example.com/",
    ):
        assert "manifest" in await refused(Refused, ctx.http.request("GET", url))
    await refused(Unreachable, ctx.http.request("GET", "https://api.example.com/orders", timeout_s=2))
    await refused(Unreachable, ctx.http.request("GET", "https://eu.parts.example/orders", timeout_s=2))


async def it_has_signatures_of_the_platform(ctx: Context) -> None:
    made = await ctx.signer.sign(b"the report")
    assert len(bytes.fromhex(made.key)) == 32 and len(bytes.fromhex(made.value)) == 64
    assert await ctx.signer.verify(b"the report", made)
    assert not await ctx.signer.verify(b"the reporT", made)
    assert not await ctx.signer.verify(b"the report", Signature(made.key, made.value, made.time_ns + 1))
    assert not await ctx.signer.verify(b"the report", Signature(made.key, "00" * 64, made.time_ns))
    assert not await ctx.signer.verify(b"the report", Signature("zz", "no hex", made.time_ns))


CASES = [name for name in list(globals()) if name.startswith(("it_", "its_"))]
