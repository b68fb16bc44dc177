"""The database: the steps lead to exactly what the rooms' tables say, on SQLite and on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect
from tests.postgres import postgres_engine

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


def test_tables_carry_the_name_of_their_room() -> None:
    names = [table.name for metadata in METADATA for table in metadata.tables.values()]
    assert len(names) == len(set(names))
    assert all(name.split("_")[0] in ("access", "compute", "control", "registry") for name in names)


def test_a_wrong_url_says_what_one_looks_like() -> None:
    with pytest.raises(ConfigError, match="postgresql"):
        open_database("no url")


def test_an_unreachable_database_is_named_without_its_password() -> None:
    with pytest.raises(Unavailable) as caught:
        open_database("postgresql+psycopg://headrace:secret@127.0.0.1:1/headrace")
    assert "127.0.0.1:1" in caught.value.message
    assert "secret" not in caught.value.message


def _steps() -> list[Path]:
    from headrace.platform.database import MIGRATIONS

    return list((MIGRATIONS / "versions").glob("[0-9]*.py"))


__all__ = ["postgres_engine"]
