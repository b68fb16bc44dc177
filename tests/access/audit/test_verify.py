"""Whatever is changed behind the trail's back shows: rows, archives, signed heads, one at a time and at random."""

import asyncio
import contextlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update
from tests.access.audit.world import AuditWorld
from tests.properties import drawn_seed

from headrace.access.audit.chain import digest
from headrace.access.audit_tables import archives, unguard
from headrace.access.tables import audit
from headrace.model.errors import DataError
from headrace.sdk.audit import AuditHead

pytestmark = pytest.mark.clause("62443-3-3 SR 3.9", "62443-3-3 SR 2.12", "GB/T 22239-2019 8.1.4.3")
ROUNDS = 120
HASHED = ("sequence", "time_ns", "form", "tenant", "actor", "action", "subject", "outcome", "data")
Rows = list[dict[str, Any]]


class Tampering:
    """A whole trail of rows and files, changed and put back; the guards are away, as for the database's owner."""

    def __init__(self, world: AuditWorld, rng: random.Random) -> None:
        self.engine, self.rng, self.folder = world.engine, rng, world.home / "audit"
        with self.engine.begin() as connection:
            unguard(connection)
        self.rows, self.listed = self._rows(audit), self._rows(archives)
        self.files = {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
        self.archives = sorted(path for path in self.files if path.parent.name == "archive")
        self.signed = self.folder / "checkpoints"

    def one(self) -> str:
        """Do one thing, and say what."""
        deeds = [
            self.change_entry, self.change_archive_row, self.drop_entry, self.cut_off, self.swap_entries,
            self.double_entry, self.rewrite, self.change_file, self.cut_file, self.swap_archives, self.drop_archive,
            self.drop_line, self.swap_lines, self.forge_line,
        ]  # fmt: skip
        return str(self.rng.choice(deeds)())

    def put_back(self) -> None:
        with self.engine.begin() as connection:
            for table, rows in ((audit, self.rows), (archives, self.listed)):
                connection.execute(delete(table))
                connection.execute(insert(table), rows)
        for path, content in self.files.items():
            self.write(path, content)

    # --- rows

    def change_entry(self) -> str:
        return self._change(audit, "sequence", self.rows)

    def change_archive_row(self) -> str:
        return self._change(archives, "last_sequence", self.listed)

    def drop_entry(self) -> str:
        gone = self.rng.choice(self.rows)["sequence"]
        self.execute(delete(audit).where(audit.c.sequence == gone))
        return f"drop entry {gone}"

    def cut_off(self) -> str:
        kept = self.rng.choice(self.rows)["sequence"]
        self.execute(delete(audit).where(audit.c.sequence >= kept))
        return f"cut off from {kept}"

    def swap_entries(self) -> str:
        one, two = self.rng.sample([row["sequence"] for row in self.rows], 2)
        for old, new in ((one, -1), (two, one), (-1, two)):
            self.execute(update(audit).where(audit.c.sequence == old).values(sequence=new))
        return f"swap {one} and {two}"

    def double_entry(self) -> str:
        row = self.rng.choice(self.rows)
        self.execute(insert(audit).values(**row | {"sequence": self.rows[-1]["sequence"] + 1}))
        return f"double {row['sequence']} at the end"

    def rewrite(self) -> str:
        """All hashes from an entry on made anew: the chain is right, the signed heads are not."""
        at = self.rng.randrange(len(self.rows))
        previous, rows = self.rows[at]["previous_hash"], []
        for number, row in enumerate(self.rows[at:]):
            row = row | {"previous_hash": previous} | ({"actor": "mallory"} if number == 0 else {})
            row["hash"] = previous = digest(previous, *(row[name] for name in HASHED))
            rows.append(row)
        with self.engine.begin() as connection:
            connection.execute(delete(audit).where(audit.c.sequence >= rows[0]["sequence"]))
            connection.execute(insert(audit), rows)
        return f"write anew from {rows[0]['sequence']}"

    # --- files

    def change_file(self) -> str:
        path = self.rng.choice([*self.archives, self.signed])
        at, bit = self.rng.randrange(len(self.files[path])), 1 << self.rng.randrange(8)
        content = bytearray(self.files[path])
        content[at] ^= bit
        if path == self.signed and at == len(content) - 1:  # the end of the last line: a crash may have cut that
            content[0] ^= 1
        self.write(path, bytes(content))
        return f"byte {at} of {path.name}, bit {bit}"

    def cut_file(self) -> str:
        path = self.rng.choice(self.archives)
        at = self.rng.randrange(len(self.files[path]))
        self.write(path, self.files[path][:at])
        return f"cut {path.name} at {at}"

    def swap_archives(self) -> str:
        one, two = self.archives
        self.write(one, self.files[two])
        self.write(two, self.files[one])
        return "swap archives"

    def drop_archive(self) -> str:
        path = self.rng.choice(self.archives)
        path.unlink()
        return f"drop {path.name}"

    def drop_line(self) -> str:
        lines = self.files[self.signed].splitlines(keepends=True)
        at = self.rng.randrange(len(lines) - 1)
        self.write(self.signed, b"".join(lines[:at] + lines[at + 1 :]))
        return f"drop checkpoint {at + 1}"

    def swap_lines(self) -> str:
        lines = self.files[self.signed].splitlines(keepends=True)
        one, two = self.rng.sample(range(len(lines)), 2)
        lines[one], lines[two] = lines[two], lines[one]
        self.write(self.signed, b"".join(lines))
        return f"swap checkpoints {one + 1} and {two + 1}"

    def forge_line(self) -> str:
        lines = self.files[self.signed].splitlines()
        document = json.loads(lines[-1]) | {"sequence": 1}
        lines[-1] = json.dumps(document, separators=(",", ":")).encode()
        self.write(self.signed, b"\n".join(lines) + b"\n")
        return "forge the last checkpoint"

    # --- within

    def _change(self, table: Any, key: str, rows: Rows) -> str:
        row, name = self.rng.choice(rows), self.rng.choice(list(rows[0]))
        old = row[name]
        new = old + self.rng.choice((1, -1, 1000)) if isinstance(old, int) else self._other(old)
        if table is audit and name == "sequence":
            new = old + 1_000
        self.execute(update(table).where(table.c[key] == row[key]).values({name: new}))
        return f"{table.name} {row[key]}: {name} {old!r} to {new!r}"

    def _other(self, text: str) -> str:
        at = self.rng.randrange(len(text))
        other = "0" if text[at] != "0" else "1"
        longer = text + " " if len(text) < 64 else text[:-1]  # a full column cuts spaces off by itself
        return self.rng.choice((text[:at] + other + text[at + 1 :], text[:at] + text[at + 1 :], longer))

    def _rows(self, table: Any) -> Rows:
        with self.engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(select(table).order_by(table.primary_key.c[0]))]

    def execute(self, statement: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(statement)

    @staticmethod
    def write(path: Path, content: bytes) -> None:
        path.unlink(missing_ok=True)
        path.write_bytes(content)


async def whole_world(world: AuditWorld) -> None:
    await world.archived()
    for _ in range(3):
        await world.fill(3, tenant="acme")
        await world.keeper.tick()
    await world.keeper.close()
    world.open()


@pytest.mark.seeded
async def test_any_single_tampering_is_found(world: AuditWorld) -> None:
    seed = drawn_seed()
    await whole_world(world)
    tampering = Tampering(world, random.Random(seed))
    for _ in range(ROUNDS):
        deed = tampering.one()
        with contextlib.suppress(DataError):
            verdict = await world.trail.verify()
            raise AssertionError(f"not found: {deed} (HEADRACE_SEED={seed}): {verdict}")
        tampering.put_back()
    assert (await world.trail.verify()).archived == 20


async def test_the_first_wrong_entry_is_named(world: AuditWorld) -> None:
    await whole_world(world)
    with world.round_the_guards() as connection:
        connection.execute(update(audit).where(audit.c.sequence == 24).values(outcome="refused"))
        connection.execute(update(audit).where(audit.c.sequence == 30).values(outcome="refused"))
    with pytest.raises(DataError, match="altered at entry 24"):
        await world.trail.verify()
    assert "altered at entry 24" in world.trail.state().trouble[0]


async def test_an_end_that_was_cut_off_shows_against_the_signed_heads(world: AuditWorld) -> None:
    await world.fill(12)
    await world.keeper.close()
    with world.round_the_guards() as connection:
        connection.execute(delete(audit).where(audit.c.sequence > 9))
    world.open()
    await world.keeper.start()
    assert "entry 12" in world.trail.state().trouble[0]
    with pytest.raises(DataError, match="cut off after entry 9"):
        await world.trail.verify()
    await world.fill(5)
    await world.keeper.close()
    world.open()
    with pytest.raises(DataError, match="entry 12 is not the one that was signed"):
        await world.trail.verify()


async def test_a_head_that_was_noted_elsewhere_is_looked_for(world: AuditWorld) -> None:
    await whole_world(world)
    head = (await world.trail.verify()).head
    early = AuditHead(8, next(iter(world.trail.reader.all()))[7].hash)  # by now in an archive
    await world.fill(1)
    assert (await world.trail.verify(early)).entries == head.sequence + 1
    assert (await world.trail.verify(head)).entries == head.sequence + 1
    for other in (AuditHead(8, "0" * 64), AuditHead(head.sequence + 9, head.hash)):
        with pytest.raises(DataError, match=f"entry {other.sequence}"):
            await world.trail.verify(other)


async def test_heads_are_signed_after_so_many_entries_or_so_long(world: AuditWorld) -> None:
    await world.keeper.start()
    assert world.trail.state().checkpoint is None
    await world.fill(4)
    await world.keeper.tick()
    assert world.trail.state().checkpoint is None
    await world.fill(1)
    await world.keeper.tick()
    signed = world.trail.state().checkpoint
    assert signed == world.trail.head == AuditHead(5, world.trail.head.hash)
    await world.fill(1)
    await world.keeper.tick()
    assert world.trail.state().checkpoint == signed
    world.clock.seconds += 900
    await world.keeper.tick()
    state = world.trail.state()
    assert (state.checkpoint, state.counters.checkpoints) == (world.trail.head, 2)
    await world.keeper.tick()
    assert world.trail.state().counters.checkpoints == 2
    await world.fill(1)
    await world.keeper.close()
    world.open()
    await world.keeper.start()
    assert (await world.trail.verify()).checkpoint == AuditHead(7, world.trail.head.hash)


async def test_half_a_line_of_a_crash_is_no_tampering(world: AuditWorld) -> None:
    await world.fill(5)
    await world.keeper.close()
    path = world.home / "audit" / "checkpoints"
    with path.open("ab") as file:
        file.write(b'{"kind":"head","sequ')
    world.open()
    await world.fill(5)
    await world.keeper.close()
    world.open()
    assert (await world.trail.verify()).checkpoints == 2


async def test_many_ask_at_once_and_each_is_answered(world: AuditWorld) -> None:
    await world.fill(3)
    one, two = await asyncio.gather(world.trail.verify(), world.trail.verify())
    assert one == two
