"""`python -m tools.migration "what changes"`: write the next step of the database, from the rooms' tables.

Compares an empty database, brought up by the steps there are, with what `tables.py` of each room say. Read what it
wrote: renames look like a drop and an add.
"""

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from headrace.platform.database import MIGRATIONS, migrate


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    known = sorted((MIGRATIONS / "versions").glob("[0-9]*.py"))
    number = f"{int(known[-1].stem.split('_')[0]) + 1 if known else 1:04d}"
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{Path(folder) / 'empty.db'}")
        if known:
            migrate(engine)
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.revision(config, message=sys.argv[1], autogenerate=True, rev_id=number)


if __name__ == "__main__":
    main()
