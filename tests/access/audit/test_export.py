"""An export is what the trail holds, for one tenant, signed; a spreadsheet computes nothing of it."""

import csv
import io
import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.access.audit.world import AuditWorld
from tests.properties import drawn_seed

from headrace.access.audit.export import ExportVerdict, verify_export
from headrace.access.audit.signing import PublicKey, SigningKey
from headrace.model.errors import ConfigError, DataError
from headrace.sdk.audit import AuditFilter, AuditFormat

pytestmark = pytest.mark.clause("62443-3-3 SR 6.1", "62443-3-3 SR 6.1 RE 1", "62443-3-3 SR 3.9")


async def exported(world: AuditWorld, tenant: str = "default", **wanted: object) -> Path:
    path = world.home / "export.ndjson"
    pieces = [piece async for piece in world.trail.export(tenant, AuditFilter(**wanted))]  # type: ignore[arg-type]
    path.write_bytes(b"".join(pieces))
    return path


def key_of(world: AuditWorld) -> PublicKey:
    return PublicKey.read(world.home / "keys" / "audit.pub")


async def test_an_export_goes_through_archives_and_checks_out_elsewhere(world: AuditWorld) -> None:
    await world.archived()
    await world.fill(4, tenant="acme")
    path = await exported(world)
    verdict = verify_export(path, key_of(world))
    head = (await world.trail.verify()).head
    assert verdict == ExportVerdict(
        "default", {}, 27, 0, 1, 27, head, world.clock.now_ns(), key_of(world).fingerprint, True
    )
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    assert lines[3]["data"] == {"n": 3}
    assert "acme" not in {line.get("tenant") for line in lines}
    assert verify_export(await exported(world, "acme")).first == 28
    assert verify_export(await exported(world, "nobody")).entries == 0


async def test_a_filtered_export_says_what_it_leaves_out(world: AuditWorld) -> None:
    await world.archived()
    verdict = verify_export(await exported(world, subject="acme/press-1"))  # 1 and 10 to 19
    assert (verdict.entries, verdict.gaps, verdict.filter) == (12, 9, {"subject": "acme/press-1"})
    start_ns = world.clock.now_ns() - 4 * 10**9
    late = verify_export(await exported(world, start_ns=start_ns))
    assert (late.first, late.last) == (21, 27)
    early = verify_export(await exported(world, end_ns=start_ns))
    assert (early.first, early.last) == (1, 20)


@pytest.mark.seeded
async def test_any_change_of_an_export_is_found(world: AuditWorld) -> None:
    await world.archived()
    path = await exported(world)
    whole, key = path.read_bytes(), key_of(world)
    lines = whole.splitlines(keepends=True)
    seed = drawn_seed()
    rng = random.Random(seed)
    for _ in range(300):
        at, bit = rng.randrange(len(whole)), 1 << rng.randrange(8)
        kept = rng.randrange(len(lines))
        changed = rng.choice(
            (
                whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :],
                whole[:at],
                whole[at + 1 :],
                b"".join(lines[:kept] + lines[kept + 1 :]),
                b"".join([*lines[:kept], lines[kept], *lines[kept:]]),
            )
        )
        path.write_bytes(changed)
        try:
            verify_export(path, key)
        except DataError:
            continue
        raise AssertionError(f"not found (HEADRACE_SEED={seed})")


async def test_the_first_wrong_entry_of_an_export_is_named(world: AuditWorld) -> None:
    await world.fill(9)
    path = await exported(world)
    path.write_bytes(path.read_bytes().replace(b"acme/press-4", b"acme/press-7"))
    with pytest.raises(DataError, match="altered at entry 5"):
        verify_export(path)


async def test_another_key_signs_nothing_here(world: AuditWorld, tmp_path: Path) -> None:
    await world.fill(2)
    path = await exported(world)
    other = SigningKey.make(tmp_path / "other").public
    with pytest.raises(DataError, match="another key"):
        verify_export(path, other)
    assert not verify_export(path).pinned
    (tmp_path / "no.pub").write_text("nothing")
    with pytest.raises(ConfigError):
        PublicKey.read(tmp_path / "no.pub")


async def test_an_altered_entry_is_not_exported_as_if_nothing_were(world: AuditWorld) -> None:
    await world.fill(5)
    with world.round_the_guards() as connection:
        connection.exec_driver_sql("UPDATE access_audit SET actor = 'mallory' WHERE sequence = 3")
    for form in AuditFormat:
        with pytest.raises(DataError, match="altered at entry 3"):
            _ = [piece async for piece in world.trail.export("default", AuditFilter(), form)]


async def test_a_spreadsheet_computes_nothing(world: AuditWorld) -> None:
    for subject in ("=1+1", "+1", "-1", "@sum", "\tx", "\rx", 'quo"te,\nline', "plain", "中文"):
        await world.trail.record("=cmd|' /C calc'!A0", "x", subject, "done")
    text = b"".join([piece async for piece in world.trail.export("default", AuditFilter(), AuditFormat.CSV)]).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["subject"] for row in rows] == [
        "'=1+1", "'+1", "'-1", "'@sum", "'\tx", "'\rx", 'quo"te,\nline', "plain", "中文",
    ]  # fmt: skip
    assert {row["actor"] for row in rows} == {"'=cmd|' /C calc'!A0"}
    assert rows[0]["hash"] == (await world.trail.page("default"))[0][-1].hash


@settings(deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=60), st.just(b'{"export":{}}'), st.just(b"{}")), max_size=5))
def test_any_other_file_is_refused(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    path = tmp_path_factory.getbasetemp() / "any.ndjson"
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(DataError):
        verify_export(path)
