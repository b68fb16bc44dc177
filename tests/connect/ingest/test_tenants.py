"""Samples that a tenant sends are for its own points, by its own maps."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from tests.connect.ingest.plant import Directory, in_pieces
from tests.firms import two

from headrace.connect.ingest.desk import IngestDesk
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import NotFound
from headrace.model.ingest import IngestMap, SeriesRule
from headrace.model.plant import PlantModel
from headrace.model.points import Point
from headrace.sdk.services import IngestDialect, IngestReceipt
from headrace.sdk.testing.clock import START_NS, FakeClock

PATHS = ("acme/p/oil", "betaworks/p/oil", "ours/p/oil")
MAPS = (
    IngestMap("acme.all", tuple(SeriesRule(f"{root}/p/oil", "m") for root in ("betaworks", "acme"))),
    IngestMap("beta.all", (SeriesRule("{root}/p/oil", "m"),), bucket="b", ignore_unknown=True),
)


@dataclass
class Kept:
    paths: list[str] = field(default_factory=list)

    async def take(self, batches: object) -> None:
        assert isinstance(batches, list)
        one: Batch
        for one in batches:
            self.paths += [PATHS[handle] for handle in one.handles.tolist()]


def send(body: str, tenant: str, dialect: IngestDialect, bucket: str | None = None) -> tuple[list[str], IngestReceipt]:
    model = PlantModel(
        points={path: Point(path, ValueKind.FLOAT64) for path in PATHS}, ingest={one.name: one for one in MAPS}
    )
    directory = Directory(model, {path: at for at, path in enumerate(PATHS)})
    kept = Kept()
    desk = IngestDesk(lambda: directory, kept, FakeClock(START_NS), two())  # type: ignore[arg-type]
    chunks = in_pieces(body.encode(), 1 << 16)
    receipt = asyncio.run(desk.receive(chunks, dialect, tenant=tenant, bucket=bucket))
    return kept.paths, receipt


@pytest.mark.clause("62443-3-3 SR 5.1", "62443-3-3 SR 2.1")
@pytest.mark.parametrize(("tenant", "own"), [("acme", PATHS[0]), ("beta", PATHS[1]), ("default", PATHS[2])])
def test_samples_are_taken_for_ones_own_points(tenant: str, own: str) -> None:
    body = "\n".join(f'{{"path": "{path}", "value": 1}}' for path in PATHS)
    paths, receipt = send(body, tenant, IngestDialect.JSON_LINES)
    assert (paths, receipt.samples, receipt.refused) == ([own], 1, 2)
    lines = "\n".join(f"{path.rpartition('/')[0]} oil=1" for path in PATHS)
    assert send(lines, tenant, IngestDialect.LINE_PROTOCOL)[0] == [own]
    never = body.replace("/p/oil", "/p/oix")
    said, unknown = (
        [one.message for one in send(text, tenant, IngestDialect.JSON_LINES)[1].details] for text in (body, never)
    )
    foreign = [one for one in unknown if own.partition("/")[0] not in one]
    assert [one.replace("oil", "oix") for one in said] == foreign, "another's point is as if it never was"


@pytest.mark.clause("62443-3-3 SR 5.1")
def test_maps_are_ones_own_and_lead_to_ones_own_points() -> None:
    assert send("m x=1", "acme", IngestDialect.LINE_PROTOCOL)[0] == ["acme/p/oil"]
    assert send("m x=1", "default", IngestDialect.LINE_PROTOCOL)[0] == []
    body = "m,root=acme x=1\nm,root=betaworks x=1"
    paths, receipt = send(body, "beta", IngestDialect.LINE_PROTOCOL, "b")
    assert (paths, receipt.ignored) == (["betaworks/p/oil"], 1)
    with pytest.raises(NotFound):
        send("m x=1", "nobody", IngestDialect.LINE_PROTOCOL)
