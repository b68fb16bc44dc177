"""Killed at any moment: what was owed is told, under the same key, and once more at most for each death."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, event
from tests.compute.notify.works import STEPS, Clock, Post, Works, notification, plant, rule
from tests.properties import seeds

from headrace.compute.tables import metadata

ALARMS = [rule(f"r{at}", f"works/line-{at}/press") for at in range(6)]


class Killed(BaseException):
    """Nobody catches it: the process is gone."""


class Killer:
    """Strikes at the how-manieth moment at which something is sent or written."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self.random, self.left = random.Random(seed), 0
        event.listen(engine, "commit", lambda _: self.moment())

    def arm(self) -> None:
        if self.left <= 0:
            self.left = self.random.randrange(1, 7)

    def moment(self) -> None:
        if self.left > 0:
            self.left -= 1
            if self.left == 0:
                raise Killed


@pytest.mark.parametrize("seed", seeds(20, 5))
async def test_a_death_at_any_moment_loses_nothing(seed: int, tmp_path: Path) -> None:
    """What is told twice is what a death found told and not yet written down: once more for each such death."""
    engine = create_engine(f"sqlite:///{tmp_path}/test.db")
    metadata.create_all(engine)
    killer, post, clock, chance = Killer(engine, seed), Post(), Clock(), random.Random(seed + 1000)
    post.before = post.after = lambda _channel, _message: killer.moment()
    model = plant(notification(steps=STEPS), rules=ALARMS)
    works = await Works(engine, model, post, clock).start()
    deaths, owed_again, to_raise = 0, Counter[str](), list(ALARMS)
    for _ in range(200):
        killer.arm()
        try:
            if to_raise and chance.random() < 0.3:
                left, killer.left = killer.left, 0  # alarms have their own tests of death
                await works.raise_(to_raise.pop())
                killer.left = left
            await works.go(20, 4)
        except Killed:
            killer.left, deaths = 0, deaths + 1
            works = await Works(engine, model, post, clock).start()
            unwritten = {one.key for one in (await works.desk.log(limit=1000)).notices if one.state == "pending"}
            owed_again.update(unwritten & {sent.key for sent in post.sent})
    killer.left = 0
    await works.go(700, 10)
    told = Counter(sent.key for sent in post.sent)
    messages = {sent.key: sent.message.document for sent in post.sent}.values()
    each = Counter((said["kind"], alarm["rule"]) for said in messages for alarm in said["alarms"])
    assert deaths >= 3, f"seed {seed}"
    assert each == {(kind, one.name): 1 for kind in ("raised", "escalated") for one in ALARMS}, f"seed {seed}: {each}"
    assert all(count <= 1 + owed_again[key] for key, count in told.items()), f"seed {seed}: {told}, {owed_again}"
    assert works.desk.counters.pending == 0
    engine.dispose()


SCRIPT = """
import asyncio, json, os, sys
from sqlalchemy import create_engine
from tests.compute.notify.test_kill import ALARMS
from tests.compute.notify.works import STEPS, Post, Works, notification, plant
from headrace.compute.tables import metadata
from headrace.model.time import SECOND_NS
from headrace.sdk.clock import SystemClock

class Quick(SystemClock):
    time_ns = 0

async def main(folder):
    engine = create_engine(f"sqlite:///{folder}/test.db")
    metadata.create_all(engine)
    out = os.open(f"{folder}/out", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    def told(channel, message):
        os.write(out, json.dumps([message.key, *(one["rule"] for one in message.document["alarms"])]).encode() + b"\\n")
        os.fsync(out)
    post = Post(before=told)
    works = Works(engine, plant(notification(steps=STEPS[:1]), rules=ALARMS), post, Quick())
    works.clock.time_ns = works.clock.now_ns()
    await works.start()
    running = asyncio.create_task(works.desk.run())
    standing = {one.rule.name for one in works.alarms.current()}
    for rule in ALARMS:
        if rule.name not in standing:
            works.clock.time_ns = works.clock.now_ns()
            await works.sample(rule, 80.0)
            await asyncio.sleep(0.2)
    print("raised", flush=True)
    while True:
        await asyncio.sleep(0.05)
        if not works.desk.counters.pending and all(one.told for one in works.desk._ledger.cases.values()):
            print("settled", flush=True)

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize("seed", seeds(2, 1))
def test_kill_9(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for round_ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path)], stdout=subprocess.PIPE, env=environment, text=True
        )
        assert process.stdout is not None
        if round_ < 4:
            assert process.stdout.readline() == "raised\n"
            time.sleep(chance.random() * 2.5)
        else:
            while process.stdout.readline() != "settled\n":
                assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    told = Counter(tuple(json.loads(line)) for line in (tmp_path / "out").read_text().splitlines())
    each = Counter(name for _, *rules in told for name in rules)
    assert each == {one.name: 1 for one in ALARMS}, f"seed {seed}: {told}"
    assert max(told.values()) <= 2, f"seed {seed}: {told}"
