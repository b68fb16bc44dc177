"""Processes that are copies of one that is ready: each its own, all gone when they should be."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import pytest

from headrace.sdk import nursery
from headrace.sdk.children import bare_environment
from headrace.sdk.nursery import Child, Nursery

MODULE = "tests.sdk.nursery_child"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="copies are made on Linux; elsewhere each starts alone")


@dataclass(frozen=True)
class Told:
    """What a child says of itself: its number, who made ready, what it has open, whether it knows our environment."""

    pid: int
    ready: list[int]
    has: list[int]
    knows: bool


@pytest.fixture
def house() -> Iterator[Nursery]:
    made = Nursery(MODULE, bare_environment())
    yield made
    made.close()


async def told(child: Child) -> Told:
    found = re.fullmatch(r"(\d+) \[(.*)\] \[(.*)\] (\w+)\n", (await child.stdout.readline()).decode())
    assert found is not None
    ready, has = ([int(one) for one in part.split(", ") if one] for part in (found[2], found[3]))
    return Told(int(found[1]), ready, has, found[4] == "True")


async def end(child: Child) -> None:
    for _ in range(2):
        child.kill()
        await child.wait()


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_each_is_a_copy_of_one_that_is_ready(house: Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "secret")
    children = await asyncio.gather(*(house.start() for _ in range(4)))
    seen = [await told(child) for child in children]
    assert len({one.pid for one in seen}) == 4
    ((nurse,),) = {tuple(one.ready) for one in seen}
    for one, child in zip(seen, children, strict=True):
        assert psutil.Process(one.pid).ppid() == nurse and one.has[:3] == [0, 1, 2] and not one.knows
        assert len(one.has) <= 4  # the fourth is the folder in which it looks
        child.stdin.write(b"%d\n" % one.pid)
        assert await child.stdout.readline() == b"%d\n" % one.pid
        await end(child)
    assert alive(nurse)


@pytest.mark.parametrize("last", [b"", b"fail\n"])
async def test_a_child_that_ends_ends_its_pipe(house: Nursery, last: bytes) -> None:
    child = await house.start()
    await told(child)
    child.stdin.write(last)
    child.stdin.close()
    assert await child.stdout.read() == b""
    await child.wait()


async def test_a_killed_child_is_gone_when_it_was_waited_for(house: Nursery) -> None:
    child = await house.start()
    pid = (await told(child)).pid
    await end(child)
    assert not alive(pid)


async def test_without_work_it_ends_and_begins_anew() -> None:
    house = Nursery(MODULE, bare_environment(), idle_s=0.05)
    for _ in range(2):
        child = await house.start()
        (nurse,) = (await told(child)).ready
        await end(child)
        while alive(nurse):
            await asyncio.sleep(0.01)
    house.close()


async def test_a_nursery_that_was_killed_is_replaced(house: Nursery) -> None:
    child = await house.start()
    (first,) = (await told(child)).ready
    psutil.Process(first).kill()
    again = await house.start()
    assert (await told(again)).ready != [first]
    child.stdin.write(b"still here\n")  # its children go on without it
    assert await child.stdout.readline() == b"still here\n"
    await end(child)
    await end(again)


async def test_who_leaves_while_it_starts_leaves_nothing_behind(house: Nursery) -> None:
    for _ in range(5):
        asked = asyncio.create_task(house.start())
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
    last = await house.start()
    one = await told(last)
    while {child.pid for child in psutil.Process(one.ready[0]).children()} - {one.pid}:
        await asyncio.sleep(0.01)
    await end(last)


async def test_a_module_that_does_not_load_is_an_error() -> None:
    with pytest.raises(ConnectionError):
        await Nursery("tests.sdk.no_such_module", bare_environment()).start()


async def test_where_there_are_no_copies_each_starts_alone(house: Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(nursery.os, "pidfd_open")
    child = await house.start()
    one = await told(child)
    assert one.ready == [] and psutil.Process(one.pid).ppid() == psutil.Process().pid
    await end(child)
