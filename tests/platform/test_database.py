"""The database: the steps lead to exactly what the rooms' tables say, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, insert, inspect, text
from tests.postgres import postgres_engine

from headrace.access.tables import users
from headrace.model.errors import ConfigError, Unavailable
from headrace.platform.database import METADATA, head, migrate, open_database


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    if request.param == "sqlite":
        return open_database(f"sqlite:///{tmp_path / 'database.db'}")
    engine: Engine = request.getfixturevalue("postgres_engine")()
    migrate(engine)
    return engine


def test_steps_lead_to_the_tables_of_the_rooms(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, list(METADATA)) == []  # type: ignore[arg-type]


def test_a_second_start_changes_nothing(engine: Engine) -> None:
    before = sorted(inspect(engine).get_table_names())
    migrate(engine)
    assert sorted(inspect(engine).get_table_names()) == before
    assert head() == sorted(path.name[:4] for path in _steps())[-1]


def test_each_step_can_be_taken_back(tmp_path: Path) -> None:
    from alembic import command
    from alembic.config import Config

    from headrace.platform.database import MIGRATIONS

    engine = open_database(f"sqlite:///{tmp_path / 'database.db'}")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    migrate(engine)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_what_an_older_version_wrote_is_there_after_the_steps(
    request: pytest.FixtureRequest, tmp_path: Path, database: str
) -> None:
    from alembic import command
    from alembic.config import Config

    from headrace.platform.database import MIGRATIONS

    old: Engine = (
        create_engine(f"sqlite:///{tmp_path / 'database.db'}")
        if database == "sqlite"
        else request.getfixturevalue("postgres_engine")()
    )
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with old.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    user = {"name": "wang", "role": "viewer", "password_hash": "x", "disabled": False}
    with old.begin() as connection:
        connection.execute(insert(users).values(**user, must_change_password=False, created_ns=7))
    assert not inspect(old).has_table("fleet_devices")
    migrate(old)
    with old.connect() as connection:
        assert connection.execute(text("select created_ns from access_users")).scalar() == 7
        assert connection.execute(text("select count(*) from fleet_devices")).scalar() == 0
    old.dispose()


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_what_one_plant_declared_is_the_platforms_own_once_there_are_tenants(
    request: pytest.FixtureRequest, tmp_path: Path, database: str
) -> None:
    from alembic import command
    from alembic.config import Config

    from headrace.platform.database import MIGRATIONS

    old: Engine = (
        create_engine(f"sqlite:///{tmp_path / 'database.db'}")
        if database == "sqlite"
        else request.getfixturevalue("postgres_engine")()
    )
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))

    def step(go: Callable[[Config, str], None], to: str) -> None:
        with old.begin() as connection:
            config.attributes["connection"] = connection
            go(config, to)

    step(command.upgrade, "0002")
    rows = {
        "registry_revisions": "(number, time_ns, actor, summary) values (1, 5, 'li', '1 created')",
        "registry_objects": "(kind, key, spec, file, line, column_, ordinal, revision) "
        "values ('asset', 'acme', '{}', 'a.yaml', 1, 2, 1, 1)",
        "registry_changes": "(revision, kind, key, new_spec) values (1, 'asset', 'acme', '{}')",
        "fleet_edges": "(name, prefix, state, created_by, created_ns, desired_revision, desired_digest) "
        "values ('hall', 'acme', 'invited', 'li', 5, 0, '')",
    }
    with old.begin() as connection:
        for table, row in rows.items():
            connection.execute(text(f"insert into {table} {row}"))
    migrate(old)
    with old.begin() as connection:
        for table in rows:
            assert connection.execute(text(f"select tenant from {table}")).scalars().all() == ["default"], table
        assert connection.execute(text("select spec, line from registry_objects")).one() == ("{}", 1)
        of_acme = "(tenant, number, time_ns, actor, summary) values ('acme', 1, 6, 'wang', '')"
        connection.execute(text(f"insert into registry_revisions {of_acme}"))  # its own number 1
    keys = {table: inspect(old).get_pk_constraint(table)["constrained_columns"] for table in rows}
    assert keys["registry_objects"] == ["tenant", "kind", "key"]
    assert keys["registry_changes"] == ["tenant", "revision", "kind", "key"]
    step(command.downgrade, "0003")
    with old.begin() as connection:
        assert connection.execute(text("select number, actor from registry_revisions")).all() == [(1, "li")]
    assert inspect(old).get_pk_constraint("registry_revisions")["constrained_columns"] == ["number"]
    migrate(old)
    old.dispose()


def test_tables_carry_the_name_of_their_room() -> None:
    names = [table.name for metadata in METADATA for table in metadata.tables.values()]
    assert len(names) == len(set(names))
    assert all(name.split("_")[0] in ("access", "compute", "control", "fleet", "registry") for name in names)


def test_a_wrong_url_says_what_one_looks_like() -> None:
    with pytest.raises(ConfigError, match="postgresql"):
        open_database("no url")


@pytest.mark.clause("62443-3-3 SR 3.7", "62443-3-3 SR 4.1")
def test_an_unreachable_database_is_named_without_its_password() -> None:
    with pytest.raises(Unavailable) as caught:
        open_database("postgresql+psycopg://headrace:secret@127.0.0.1:1/headrace")
    assert "127.0.0.1:1" in caught.value.message
    assert "secret" not in caught.value.message


def _steps() -> list[Path]:
    from headrace.platform.database import MIGRATIONS

    return list((MIGRATIONS / "versions").glob("[0-9]*.py"))


__all__ = ["postgres_engine"]
