"""What authorisation costs: a request that is answered from memory, a decision beside Casbin's, and a sample.

A hub of 1,000 firms and 100,000 points. CPU time, because walls are noisy; what is measured runs in this process.

    request   door.admit, rates ─► rights ─► the plant as seen      against the same request with all of it left out
    decision  may this one write to this point                     against pycasbin, RBAC with domains
    sample    JSON lines into the intake, with and without a narrowed sender
    revoking  end_grant ─► the partner's live feed is told, over a socket
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import create_engine
from starlette.requests import Request

from bench.harness import Measure, cpu_s
from headrace.access.desk import AccessDesk
from headrace.access.factor_tables import metadata as factor_tables
from headrace.access.passwords import Hasher
from headrace.access.tables import metadata
from headrace.api.plant_index import PlantIndexes
from headrace.api.rates import Rates
from headrace.api.rights import RIGHTS
from headrace.api.security import Doorkeeper
from headrace.api.settings import ApiSettings
from headrace.api.sight import Sight
from headrace.connect.ingest.desk import IngestDesk
from headrace.model.assets import Asset
from headrace.model.batch import Batch, ValueKind
from headrace.model.plant import PlantModel
from headrace.model.points import Point
from headrace.sdk.access import Action, Principal
from headrace.sdk.clock import SystemClock
from headrace.sdk.services import IngestDialect

FIRMS: Final = 1_000
POINTS_EACH: Final = 100
REQUESTS: Final = 20_000
RUNS: Final = 7
LOCAL: Final = Principal("local", "owner", "local")


def measures(_: Sequence[str] = ()) -> Iterator[Measure]:
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        yield from asyncio.run(_all(Path(folder)))


async def _all(folder: Path) -> list[Measure]:
    engine = create_engine(f"sqlite:///{folder}/access.db")
    metadata.create_all(engine)
    factor_tables.create_all(engine)
    access = AccessDesk(engine, SystemClock(), hasher=Hasher(time_cost=1, memory_kib=8))
    tokens = await _people(access)
    plant = _plant()
    found = [*(await _requests(access, plant, tokens)), *(await _decisions(access, tokens))]
    found += await _samples(plant, access, tokens)
    found.append(await _revoking())
    engine.dispose()
    return found


async def _people(access: AccessDesk) -> dict[str, str]:
    """Firms, and who asks: the owner of one, somebody with 20 roles on parts, a partner with 50 grants."""
    await access.tenants()
    for number in range(FIRMS):  # their first accounts are nobody's here
        await access.create_tenant(LOCAL, f"firm-{number}", "", [f"firm-{number}"], separate_duties=False)
    owner = Principal("local", "owner", "local", "firm-500")
    paths = [f"firm-500/site/line-{number}" for number in range(20)]
    tokens = {
        "owner of one of 1,000 firms": (await access.create_token(owner, "owner", "owner"))[1],
        "operator of 20 lines": (await access.create_token(owner, "parts", "operator", paths=paths))[1],
    }
    partner = Principal("local", "owner", "local", "firm-7")
    for number in range(50):
        giver = Principal("local", "owner", "local", f"firm-{100 + number}")
        await access.share(giver, "firm-7", f"firm-{100 + number}/site/line-1", "bench", patterns=["*/value-1*"])
    tokens["partner with 50 grants"] = (await access.create_token(partner, "partner", "viewer"))[1]
    return tokens


def _plant() -> PlantModel:
    points: dict[str, Point] = {}
    assets: dict[str, Asset] = {}
    for firm in range(FIRMS):
        for number in range(POINTS_EACH):
            path = f"firm-{firm}/site/line-{number % 25}/press/value-{number}"
            points[path] = Point(path, ValueKind.FLOAT64)
            assets.setdefault(path.rpartition("/")[0], Asset(path.rpartition("/")[0]))
    return PlantModel(1, {}, {}, assets, points)


class _Registry:
    def __init__(self, plant: PlantModel) -> None:
        self._plant = plant

    async def model(self) -> PlantModel:
        return self._plant

    async def model_of(self, tenant: str) -> PlantModel:
        del tenant
        return self._plant


class _Paths:
    def __init__(self, plant: PlantModel) -> None:
        self._paths = dict(enumerate(plant.points))

    def paths(self) -> dict[int, str]:
        return self._paths


async def _requests(access: AccessDesk, plant: PlantModel, tokens: dict[str, str]) -> list[Measure]:
    indexes = PlantIndexes(_Registry(plant), _Paths(plant), lambda: access.tenancy)  # type: ignore[arg-type]
    ticks = itertools.count()  # a hundred requests a second: the limits of rate are looked at, and hold nobody up
    rates = Rates(ApiSettings(), lambda: next(ticks) / 100)
    door, right = Doorkeeper(access, ApiSettings(), rates), RIGHTS["getLatest"]
    found = []
    for who, token in tokens.items():
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/api/v1/latest",
            "headers": [(b"host", b"localhost"), (b"authorization", f"Bearer {token}".encode())],
            "query_string": b"",
            "client": ("192.0.2.7", 50_000),
        }

        async def authorised(scope: dict[str, Any] = scope) -> object:
            caller = await door.admit(Request(scope), "GET", right)
            assert caller is not None
            principal = caller.principal
            return await indexes.seen_by(Sight.of(access.rights(principal), principal.tenant))

        async def open_to_all(scope: dict[str, Any] = scope) -> object:
            Request(scope)
            return await indexes.current()

        began_s = time.perf_counter()
        await authorised()
        first_ms = (time.perf_counter() - began_s) * 1e3
        costs = [await _cpu_us(authorised) - await _cpu_us(open_to_all) for _ in range(RUNS)]
        found.append(
            Measure(f"authorising a cached request, {who}", statistics.median(costs), "us CPU", target="<= 50")
        )
        found.append(Measure(f"first request after a change of rights or plant, {who}", first_ms, "ms"))
    return found


async def _cpu_us(work: Callable[[], Any]) -> float:
    gc.collect()
    began_s = cpu_s()
    for _ in range(REQUESTS):
        await work()
    return (cpu_s() - began_s) / REQUESTS * 1e6


async def _decisions(access: AccessDesk, tokens: dict[str, str]) -> list[Measure]:
    operator = await access.by_token(tokens["operator of 20 lines"])
    path = "firm-500/site/line-13/press/value-13"

    def ours() -> float:
        began_s = cpu_s()
        for _ in range(REQUESTS):
            access.check(operator, Action.WRITE, path)
        return (cpu_s() - began_s) / REQUESTS * 1e6

    peer = _casbin(path)
    theirs = None if peer is None else statistics.median(peer() for _ in range(3))
    value = statistics.median(ours() for _ in range(RUNS))
    return [
        Measure(
            "one decision: may an operator of 20 lines write to this point", value, "us CPU", theirs,
            "Casbin 1.43 (pycasbin), the same 20 rules, RBAC with domains and keyMatch", "<= 1", "ratio",
        )
    ]  # fmt: skip


def _casbin(path: str) -> Callable[[], float] | None:
    """None where it is not installed."""
    try:
        import casbin
    except ImportError:
        return None
    model = casbin.Enforcer.new_model()
    model.add_def("r", "r", "sub, dom, obj, act")
    model.add_def("p", "p", "sub, dom, obj, act")
    model.add_def("g", "g", "_, _, _")
    model.add_def("e", "e", "some(where (p.eft == allow))")
    matcher = "g(r.sub, p.sub, r.dom) && r.dom == p.dom && keyMatch(r.obj, p.obj) && r.act == p.act"
    model.add_def("m", "m", matcher)
    enforcer = casbin.Enforcer(model)
    for number in range(20):
        for action in ("view", "acknowledge", "write"):
            enforcer.add_policy(f"operator-{number}", "firm-500", f"firm-500/site/line-{number}/*", action)
        enforcer.add_grouping_policy("anna", f"operator-{number}", "firm-500")
    assert enforcer.enforce("anna", "firm-500", path, "write")

    def run() -> float:
        began_s = cpu_s()
        for _ in range(REQUESTS // 20):
            enforcer.enforce("anna", "firm-500", path, "write")
        return (cpu_s() - began_s) / (REQUESTS // 20) * 1e6

    return run


class _Taking:
    async def take(self, batches: Sequence[Batch]) -> None:
        """Nothing is kept: what is before the intake is measured."""


class _Directory:
    def __init__(self, plant: PlantModel) -> None:
        self.model = plant
        self.handles = {path: handle for handle, path in enumerate(plant.points)}


async def _samples(plant: PlantModel, access: AccessDesk, tokens: dict[str, str]) -> list[Measure]:
    """The same lines by a sender who may send everything, and by one who may send for one firm."""
    owner = await access.by_token(tokens["owner of one of 1,000 firms"])
    area = access.rights(owner).area(Action.INGEST)
    directory = _Directory(plant)
    desk = IngestDesk(lambda: directory, _Taking(), SystemClock())  # type: ignore[arg-type]
    paths = [path for path in plant.points if path.startswith("firm-500/")]
    times = list(range(1_700_000_000_000_000_000, 1_700_000_000_000_000_000 + 1_000))
    lines = b"".join(
        json.dumps({"path": path, "time": times, "value": [1.5] * len(times)}).encode() + b"\n" for path in paths
    )
    count = len(paths) * len(times)

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(lines), 1 << 16):
            yield lines[at : at + (1 << 16)]

    async def cost(within: Any) -> float:
        gc.collect()
        began_s = cpu_s()
        receipt = await desk.receive(chunks(), IngestDialect.JSON_LINES, within=within)
        assert receipt.samples == count and receipt.refused == 0
        return (cpu_s() - began_s) / count * 1e9

    await cost(None), await cost(area)
    open_ns, narrowed_ns = [], []
    for _ in range(RUNS):
        open_ns.append(await cost(None))
        narrowed_ns.append(await cost(area))
    value, peer = statistics.median(narrowed_ns), statistics.median(open_ns)
    return [
        Measure(
            "a sample of a sender who may send for one firm only", value, "ns CPU", peer,
            "the same sender without any limit", "<= 1.02", "ratio",
        )
    ]  # fmt: skip


async def _revoking() -> Measure:
    """From the end of a grant to the partner's socket being told, with the real server in between."""
    from tests.api.fakes import T0
    from tests.api.test_live_feed import open_feed, receive, subscribe
    from tests.tenants.hub import hub
    from tests.tenants.test_matrix import LINE, POINT

    from headrace.api.server import serving

    taken = []
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        async with hub(Path(folder)) as firms, serving(firms.services, ApiSettings(port=0)) as address:
            owner = await firms.owner("acme")
            for _ in range(RUNS):
                grant = await firms.access.share(owner, "beta", LINE, "bench", start_ns=T0)
                async with open_feed(address.url, firms.as_("beta.viewer")) as feed:
                    await subscribe(feed, [POINT])
                    await receive(feed)
                    began_s = time.perf_counter()
                    await firms.access.end_grant(owner, grant.id)
                    while (await receive(feed)).get("paths") != []:
                        pass
                    taken.append((time.perf_counter() - began_s) * 1e3)
    return Measure("from the end of a grant to the partner's live feed", max(taken), "ms (worst)", target="<= 1000")
