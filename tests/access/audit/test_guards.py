"""The database itself refuses to change, delete or reorder entries; only what an archive covers may leave the table."""

import pytest
from sqlalchemy import Connection, Engine, insert, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from tests.access.audit.world import DAY_S, AuditWorld

from headrace.access.audit_tables import archives
from headrace.access.tables import audit

pytestmark = pytest.mark.clause("62443-3-3 SR 3.9", "62443-3-3 SR 3.9 RE 1", "GB/T 22239-2019 8.1.4.3")
COLUMNS = "sequence, time_ns, actor, action, subject, outcome, data, previous_hash, hash, form, tenant"
ATTACKS = {
    "change": "UPDATE access_audit SET actor = 'mallory' WHERE sequence = 2",
    "renumber": "UPDATE access_audit SET sequence = 9 WHERE sequence = 3",
    "delete one": "DELETE FROM access_audit WHERE sequence = 2",
    "cut off": "DELETE FROM access_audit WHERE sequence >= 2",
    "delete all": "DELETE FROM access_audit",
    "again": f"INSERT INTO access_audit ({COLUMNS}) SELECT {COLUMNS} FROM access_audit WHERE sequence = 2",
    "skip": "INSERT INTO access_audit (sequence, time_ns, actor, action, subject, outcome, data, previous_hash, hash) "
    "SELECT 9, 1, 'a', 'b', 'c', 'd', '{}', hash, hash FROM access_audit WHERE sequence = 3",
    "unlinked": "INSERT INTO access_audit (sequence, time_ns, actor, action, subject, outcome, data, previous_hash, "
    "hash) VALUES (4, 1, 'a', 'b', 'c', 'd', '{}', 'x', 'y')",
}
OWN = {
    "sqlite": {
        "replace": f"INSERT OR REPLACE INTO access_audit ({COLUMNS}) SELECT sequence, time_ns, 'mallory', action, "
        "subject, outcome, data, previous_hash, hash, form, tenant FROM access_audit WHERE sequence = 2",
        "update or replace": "UPDATE OR REPLACE access_audit SET sequence = 1 WHERE sequence = 3",
    },
    "postgresql": {
        "truncate": "TRUNCATE access_audit",
        "upsert": f"INSERT INTO access_audit ({COLUMNS}) SELECT {COLUMNS} FROM access_audit WHERE sequence = 2 "
        "ON CONFLICT (sequence) DO UPDATE SET actor = 'mallory'",
        "truncate archives": "TRUNCATE access_audit_archives",
    },
}


def closing(connection: Connection, last: int, **other: object) -> None:
    row = connection.execute(text(f"SELECT hash FROM access_audit WHERE sequence = {last}")).first()
    values = {
        "last_sequence": last, "first_sequence": 1, "first_ns": 0, "last_ns": 0, "previous_hash": "0" * 64,
        "last_hash": row.hash if row else "x", "sha256": "y", "bytes": 1, "archived_ns": 0,
    }  # fmt: skip
    connection.execute(insert(archives).values(**values | other))


async def test_nothing_is_changed_or_taken_away(world: AuditWorld, engine: Engine) -> None:
    await world.fill(3)
    for name, statement in (ATTACKS | OWN[engine.dialect.name]).items():
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
            connection.exec_driver_sql(statement)
            raise AssertionError(f"the database let through: {name}")
    assert (await world.trail.verify()).entries == 3


async def test_a_list_of_archives_opens_the_way_for_old_entries_alone(world: AuditWorld, engine: Engine) -> None:
    await world.fill(3)
    world.clock.seconds = 4_000_000_000  # young by any clock
    await world.fill(2)
    for wrong in (
        {"last": 3, "first_sequence": 2},
        {"last": 3, "last_hash": "z"},
        {"last": 4},  # young
        {"last": 5},  # the newest
        {"last": 7},  # not there
        {"last": 0},
    ):
        with pytest.raises(IntegrityError, match="append-only"), engine.begin() as connection:
            closing(connection, **wrong)  # type: ignore[arg-type]
    with engine.begin() as connection:
        closing(connection, 2)
        connection.execute(text("DELETE FROM access_audit WHERE sequence <= 2"))
    for statement in (
        "DELETE FROM access_audit WHERE sequence = 3",
        "UPDATE access_audit_archives SET sha256 = 'mine'",
        "UPDATE access_audit_archives SET last_sequence = 5",
        "DELETE FROM access_audit_archives",
    ):
        with pytest.raises(IntegrityError, match="append-only"), engine.begin() as connection:
            connection.execute(text(statement))


async def test_a_temporary_table_of_the_same_name_opens_nothing(world: AuditWorld, engine: Engine) -> None:
    await world.fill(3)
    with engine.connect() as connection:
        connection.execute(text("CREATE TEMPORARY TABLE access_audit_archives (last_sequence bigint)"))
        connection.execute(text("INSERT INTO access_audit_archives VALUES (9)"))
        table = "main.access_audit" if engine.dialect.name == "sqlite" else "access_audit"
        with pytest.raises(IntegrityError, match="append-only"):
            connection.execute(text(f"DELETE FROM {table} WHERE sequence = 2"))
    assert world.in_table() == [1, 2, 3]


async def test_the_clock_of_the_platform_cannot_shorten_what_is_kept(world: AuditWorld) -> None:
    world.clock.seconds = 3_900_000_000  # the platform believes in a year of the far future
    await world.fill(12)
    world.clock.seconds += 2_000 * DAY_S
    await world.fill(1)
    await world.keeper.archive()
    assert world.in_table() == list(range(1, 14))
    assert "cannot be archived" in world.trail.state().trouble[0]
    assert (await world.trail.verify()).entries == 13


def test_the_table_of_before_has_all_that_is_hashed() -> None:
    assert {column.name for column in audit.columns} == set(COLUMNS.split(", "))
