"""An edge that lies about whose its samples and events are, and a hub that asks it for what is another's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.exchange.link.ends import PREFIX, both, until
from tests.firms import Firms

from headrace.exchange.link.hub import EdgeHub
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import Unavailable
from headrace.model.events import Event
from headrace.sdk.edges import Edge

ACME, OURS = Edge("acme.e", "acme/hall", "", "acme"), Edge("e", "hall", "")


@pytest.mark.clause("62443-3-3 SR 5.1", "62443-3-3 SR 2.1")
@pytest.mark.parametrize(
    ("edge", "source", "subject", "may"),
    [
        (ACME, "alarms", "acme/hall/p/oil", True),
        (ACME, "alarms", "acme/hall", True),
        (ACME, "alarms", "acme/hallway/p", False),
        (ACME, "control", "acme/p", False),
        (ACME, "alarms", "betaworks/hall/p", False),
        (ACME, "connect", "acme.plc", True),
        (ACME, "connect", "beta.plc", False),
        (ACME, "connect", "plc", False),
        (ACME, "connect", "acme.x/y", False),
        (ACME, "outlet", "acme.out", False),
        (ACME, "connect", "acme/hall/p", False),  # a path where a name belongs would be nobody's
        (ACME, "alarms", "acme.plc", False),
        (OURS, "connect", "plc", True),
        (OURS, "connect", "acme.plc", False),
        (OURS, "alarms", "acme/hall/p", False),
        (OURS, "alarms", "hall/p", True),
    ],
)
def test_an_edge_tells_of_what_is_its_own(edge: Edge, source: str, subject: str, may: bool) -> None:
    firms = Firms(acme=("acme",), beta=("betaworks",))
    hub = EdgeHub(None, None, None, None, None, None, tenants=firms)  # type: ignore[arg-type]
    told = Event("1", f"edge/{edge.name}/{source}", "x", subject, 1)
    assert hub.owns(edge, told) is may


@pytest.mark.clause("62443-3-3 SR 5.1", "62443-3-3 SR 3.5")
async def test_what_an_edge_says_of_others_never_reaches_the_hub(tmp_path: Path) -> None:
    async with both(tmp_path) as ends:
        await ends.spool.register(["betaworks/p/oil", f"{PREFIX}x/p", f"{PREFIX}/../../betaworks/p/oil"])
        rows = np.arange(6, dtype=np.uint32)
        await ends.spool.append([Batch.of(ValueKind.FLOAT64, rows, 7 + rows.astype(np.int64), rows / 2, 0, 7)])
        await ends.spool.append_events(
            [
                Event("1", "alarms", "alarm.raised", "betaworks/p/oil", 5),
                Event("2", "control", "command.confirmed", f"{PREFIX}x/p", 5),
                Event("3", "alarms", "alarm.raised", f"{PREFIX}/p0", 5),
            ]
        )
        await until(lambda: len(ends.events) > 0 and sum(ends.taking.came.values()) >= 3)
        assert [event.id for event in ends.events] == ["3"]
        assert sorted(ends.store.paths().values()) == [f"{PREFIX}/p{n}" for n in range(3)]
        session = ends.hub.connected()["line"]
        assert session.points is not None and session.incoming is not None
        await until(lambda: session.points.refused_samples == 3)  # type: ignore[union-attr]
        assert (session.points.refused_points, session.incoming.refused_events) == (3, 2)


@pytest.mark.clause("62443-3-3 SR 5.1", "62443-3-3 SR 2.1")
async def test_an_edge_is_never_asked_for_what_is_anothers(tmp_path: Path) -> None:
    """Whatever a declaration says of where a point's device is."""
    async with both(tmp_path) as ends:
        await until(lambda: "line" in ends.hub.connected())
        for path in ("betaworks/p/oil", f"{PREFIX}x/p"):
            with pytest.raises(Unavailable, match="is outside of"):
                await ends.hub.write("line", path, 1.0)
            with pytest.raises(Unavailable, match="is outside of"):
                await ends.hub.read_back("line", path)
