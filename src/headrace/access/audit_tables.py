"""Closed archives of the audit trail, and the guards: the database itself lets entries only be appended.

access_audit            INSERT  only the next entry, linked to the newest
                        UPDATE  never                       TRUNCATE  never
                        DELETE  only what a row of access_audit_archives covers
access_audit_archives   INSERT  only the next stretch, whole, all of it older than half a year by the database's clock,
                                and never the newest entry
                        UPDATE, DELETE, TRUNCATE  never

Whoever owns the database can drop the guards; what they change then shows in the chain and in the checkpoints.
A step that rebuilds one of these tables on SQLite (`batch_alter_table`) loses its guards: make them again after it.
Source: IEC 62443-3-3 SR 3.9; GB/T 22239-2019 8.1.5.2, 8.1.4.3 (six months at least: Cybersecurity Law, article 21).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Connection, MetaData, String, Table, event

metadata = MetaData()

KEEP_DAYS_MIN: Final = 183

archives = Table(
    "access_audit_archives",
    metadata,
    Column("last_sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("first_sequence", BigInteger, nullable=False),
    Column("first_ns", BigInteger, nullable=False),  # earliest and latest time of an entry in it
    Column("last_ns", BigInteger, nullable=False),
    Column("previous_hash", String(64), nullable=False),  # of the entry before its first
    Column("last_hash", String(64), nullable=False),
    Column("sha256", String(64), nullable=False),  # of the file
    Column("bytes", BigInteger, nullable=False),
    Column("archived_ns", BigInteger, nullable=False),
)

_NEXT: Final = """1 + coalesce((SELECT max(sequence) FROM access_audit),
        (SELECT max(last_sequence) FROM access_audit_archives), 0)"""
_NEWEST_HASH: Final = "(SELECT hash FROM access_audit ORDER BY sequence DESC LIMIT 1)"
_APPENDS: Final = f"NEW.sequence = {_NEXT}\n        AND NEW.previous_hash = coalesce({_NEWEST_HASH}, NEW.previous_hash)"
_ARCHIVED: Final = "OLD.sequence <= coalesce((SELECT max(last_sequence) FROM access_audit_archives), 0)"
_CLOSES: Final = """NEW.first_sequence = 1 + coalesce((SELECT max(last_sequence) FROM access_audit_archives), 0)
        AND NEW.last_sequence >= NEW.first_sequence
        AND NEW.last_sequence < (SELECT max(sequence) FROM access_audit)
        AND NEW.last_hash = (SELECT hash FROM access_audit WHERE sequence = NEW.last_sequence)
        AND NEW.last_sequence - NEW.first_sequence + 1 = (SELECT count(*) FROM access_audit
            WHERE sequence BETWEEN NEW.first_sequence AND NEW.last_sequence)
        AND NOT EXISTS (SELECT 1 FROM access_audit WHERE sequence <= NEW.last_sequence
            AND time_ns > {young})"""
_YOUNG: Final = {
    "sqlite": f"CAST((julianday('now') - 2440587.5 - {KEEP_DAYS_MIN}) * 86400 AS INTEGER) * 1000000000",
    "postgresql": f"CAST(extract(epoch FROM now()) - {KEEP_DAYS_MIN} * 86400 AS bigint) * 1000000000",
}
# (table, what is done, the condition under which it may be)
_RULES: Final = (
    ("access_audit", "INSERT", _APPENDS),
    ("access_audit", "UPDATE", ""),
    ("access_audit", "DELETE", _ARCHIVED),
    ("access_audit_archives", "INSERT", _CLOSES),
    ("access_audit_archives", "UPDATE", ""),
    ("access_audit_archives", "DELETE", ""),
)


def _sqlite(table: str, verb: str, unless: str) -> str:
    # A condition that is NULL does not hold.
    when = f"\n    WHEN NOT coalesce({unless.format(young=_YOUNG['sqlite'])}, 0)" if unless else ""
    return f"""CREATE TRIGGER {table}_{verb.lower()} BEFORE {verb} ON {table}{when}
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only: {verb} on {table} refused'); END"""


def _postgresql(table: str, verb: str, unless: str) -> tuple[str, str]:
    row = "OLD" if verb == "DELETE" else "NEW"
    passes = f"IF coalesce({unless.format(young=_YOUNG['postgresql'])}, false)\n    THEN RETURN {row}; END IF;"
    name = f"{table}_{verb.lower()}"
    each = "STATEMENT" if verb == "TRUNCATE" else "ROW"
    return (
        # Temporary tables come last, or one of these names would answer for ours.
        f"""CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET search_path = {{schema}}, pg_temp AS $$ BEGIN
    {passes if unless else ""}
    RAISE EXCEPTION 'the audit trail is append-only: {verb} on {table} refused'
        USING ERRCODE = 'restrict_violation'; END $$""",
        f"CREATE TRIGGER {name} BEFORE {verb} ON {table} FOR EACH {each} EXECUTE FUNCTION {name}()",
    )


_TRUNCATES: Final = (("access_audit", "TRUNCATE", ""), ("access_audit_archives", "TRUNCATE", ""))

GUARDS: Final[Mapping[str, tuple[str, ...]]] = {
    "sqlite": tuple(_sqlite(*rule) for rule in _RULES),
    "postgresql": tuple(part for rule in (*_RULES, *_TRUNCATES) for part in _postgresql(*rule)),
}
DROPS: Final[Mapping[str, tuple[str, ...]]] = {
    "sqlite": tuple(f"DROP TRIGGER {table}_{verb.lower()}" for table, verb, _ in _RULES),
    "postgresql": tuple(f"DROP FUNCTION {table}_{verb.lower()}() CASCADE" for table, verb, _ in (*_RULES, *_TRUNCATES)),
}


def guard(connection: Connection) -> None:
    """Make the guards; both tables exist."""
    for statement in GUARDS.get(connection.dialect.name, ()):
        if "{schema}" in statement:
            schema = connection.exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
            statement = statement.replace("{schema}", schema)
        connection.exec_driver_sql(statement)


def unguard(connection: Connection) -> None:
    """Take them away: for a step that changes the tables, and for tests that go round them."""
    for statement in DROPS.get(connection.dialect.name, ()):
        connection.exec_driver_sql(statement)


@event.listens_for(archives, "after_create")
def _created(_table: Table, connection: Connection, **_: Any) -> None:
    guard(connection)
