"""What a hostile app tries: the body of an app of the tests. Each attempt says what it got, or raises."""

import asyncio
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

from headrace.sdk.apps import Action, App, Reply, Statement

app = App()
held = []


def read_a_file(ctx):
    return Path("/etc/passwd").read_text()


def write_a_file(ctx):
    Path("/tmp/headrace-was-here").write_text("x")


def write_through_a_descriptor(ctx):
    for number in range(3, 64):
        try:
            if Path(f"/proc/self/fd/{number}").exists():
                return number
        except OSError:
            pass
    raise PermissionError


def open_a_socket(ctx):
    socket.socket()


def make_a_pair_of_sockets(ctx):
    socket.socketpair()


def fork(ctx):
    return os.fork()


def start_a_program(ctx):
    subprocess.run(["/bin/true"])


def start_a_thread(ctx):
    threading.Thread(target=print).start()


def kill_its_parent(ctx):
    os.kill(os.getppid(), signal.SIGKILL)


def kill_itself(ctx):
    os.kill(os.getpid(), signal.SIGKILL)


def trace(ctx):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, os.getppid(), 0, 0) != 0:
        raise PermissionError(ctypes.get_errno())


def loosen_its_limits(ctx):
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def read_the_environment(ctx):
    found = [name for name in os.environ if "KEY" in name or "SECRET" in name or "TOKEN" in name]
    if found:
        return found
    raise PermissionError


def import_what_was_not_granted(ctx):
    import sqlite3

    return sqlite3.__name__


async def loop(ctx):
    while True:
        pass


async def wait_for_ever(ctx):
    await asyncio.Event().wait()


async def take_all_memory(ctx):
    try:
        while True:
            held.append(bytearray(1_000_000))
    except MemoryError:
        held.clear()
        raise


async def exit(ctx):
    os._exit(3)


async def raise_exit(ctx):
    sys.exit("bye")


async def recurse(ctx):
    return await recurse(ctx)


def _pipe():
    """The pipe to the platform: the app shares a process with what speaks on it."""
    import gc

    return next(one for one in gc.get_objects() if type(one).__name__ == "Served")


async def say_garbage(ctx):
    os.write(_pipe()._sink, b"\xff" * 1000)
    await asyncio.sleep(60)


async def say_a_giant(ctx):
    os.write(_pipe()._sink, b"\xff\xff\xff\x7f")
    await asyncio.sleep(60)


async def be_ready_again(ctx):
    _pipe()._send({"t": "ready", "fences": True, "declared": {}})
    await asyncio.sleep(60)


async def say_nonsense(ctx):
    for document in ({"t": 5}, {"t": "ask"}, {"t": "log", "lines": 5}):
        _pipe()._send(document)
    await asyncio.sleep(60)


async def answer_with_a_giant(ctx):
    return Reply(bytes(40_000_000))


async def answer_with_a_lie(ctx):
    return Reply(b"x", "text/html\r\nset-cookie: a=b", 200)


async def answer_with_a_path(ctx):
    return Reply(b"x", "text/plain", 200, "a\r\nb")


async def ask_for_what_there_is_not(ctx):
    await ctx.tables._ask("os.system", "true")


async def ask_with_other_values(ctx):
    await ctx.tables._ask("tables.query", 1, 2, 3, 4)


async def ask_nonsense(ctx):
    for what, values in (
        ("tables.query", [5, []]), ("tables.write", ["x"]), ("tables.write", [[{"a": 1}]]),
        ("documents.put", [1, 2, 3]),
        ("history.samples", ["x", 1, 2, ""]), ("history.samples", [["acme/line-1/press-3/state"], 2**70, 0, ""]),
        ("history.samples", [["acme/line-1/press-3/state"], 0, 9, "no-cursor"]), ("model.points", [None]),
        ("history.buckets", [["acme/line-1/press-3/count"], 0, 9, 0, ["mean"], True]), ("live.get", [[1]]),
        ("history.buckets", [["acme/line-1/press-3/count"], 0, 9, 1, ["no-aggregate"], True]),
        ("events.publish", ["probe.x", "acme/line-1/press-3", {"a": float("nan")}, None]),
        ("events.publish", ["probe.x", "acme/line-1/press-3", [1], None]),
        ("events.publish", ["probe.x", "acme/line-1/press-3", {"a": "x" * 100_000}, None]),
        ("commands.write", ["acme/line-1/press-3/speed.setpoint", [1], "x"]), ("signer.verify", [b"", 5]),
        ("http.request", ["GET", "https://api.example.com/", {"host": "other"}, b"", 5]),
        ("http.request", ["GET", "https://api.example.com/", {"a": "b\r\nc: d"}, b"", 5]),
        ("http.request", ["GET", "https://anna:pw@api.example.com/", {}, b"", 5]),
        ("http.request", ["GET", "file:///etc/passwd", {}, b"", 5]), ("may", ["view", 5]), ("may", []),
        ("http.request", ["GET", "https://api.example.com/", {}, b"", float("inf")]), ("identifiers.resolve", [5]),
    ):  # fmt: skip
        try:
            found = await ctx.tables._ask(what, *values)
        except Exception as error:
            if "could not be answered" in str(error):
                raise AssertionError(f"{what} {values!r}"[:200]) from None
            continue
        if found is not False:
            raise AssertionError(f"{what} {values!r}: {found!r}"[:200])
    raise PermissionError


async def flood_the_log(ctx):
    for number in range(30_000):
        ctx.log(f"line {number}")
    raise PermissionError


async def flood_with_asks(ctx):
    asked = [ctx.tables.query("SELECT 1") for _ in range(1_000)]
    found = await asyncio.gather(*asked)
    if len(found) == 1_000:
        raise PermissionError


async def see_another_tenant(ctx):
    if [one for one in await ctx.model.assets() if one.path.startswith("beta")]:
        return "seen"
    return len(await ctx.live.get(["beta/line-1/press-3/state"]))


async def widen_its_permissions(ctx):
    _pipe().context.app = "acme.other"
    await ctx.history.latest(["acme/line-2/press-9/secret"], 2**62)


async def sign_as_another(ctx):
    ctx.app = "acme.other"
    made = await ctx.signer.sign(b"x")
    if not await ctx.signer.verify(b"x", made):
        return "it signed as another"
    raise PermissionError


async def fill_its_tables(ctx):
    while True:
        await ctx.tables.write(Statement("INSERT INTO t VALUES (randomblob(1000000))"))


async def write_beside_its_documents(ctx):
    await ctx.documents.put("../../../tmp/x", b"x", "text/plain")


@app.route("POST", "/{what}", action=Action.WRITE)
async def attempt(ctx, request):
    made = globals()[request.params["what"]](ctx)
    return {"got": await made if asyncio.iscoroutine(made) else made}


@app.route("GET", "/{what}")
async def look(ctx, request):
    made = globals()[request.params["what"]](ctx)
    return await made if asyncio.iscoroutine(made) else made
