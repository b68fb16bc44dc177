"""What `headrace app new` writes: a small app that works, with a test that passes, for its author to change."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from headrace.model.errors import ConfigError, Conflict
from headrace.sdk.apps import SDK_VERSION, read_manifest


def scaffold(folder: Path, name: str, title: str) -> list[str]:
    """The files that were written. Raises: ConfigError for a name that is none; Conflict where something is there."""
    if folder.exists() and any(folder.iterdir()):
        raise Conflict(f"{folder} is not empty; choose another folder with --folder")
    short = name.rpartition(".")[2]
    words = {"@NAME@": name, "@SHORT@": short, "@TITLE@": title, "@SDK@": SDK_VERSION}
    texts = {path: _filled(text, words) for path, text in _FILES.items()}
    read_manifest(texts["manifest.toml"])
    try:
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {error.filename} ({error.strerror})") from None
    return sorted(texts)


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text


_MANIFEST: Final = """\
# What this app is and what it asks for. docs/apps.md says what each key means.
name = "@NAME@"
version = "0.1.0"
sdk = "@SDK@"
licence = "Apache-2.0"
module = "app"
title = { en = "@TITLE@", zh = "@TITLE@" }

[permissions]
assets = ["**"]                  # what it sees of the plant
read = ["**/state"]              # whose samples it reads
tables_mb = 50

[settings.running]
kind = "text"
default = "running"
title = { en = "The state that counts", zh = "计入的状态" }

[[pages]]
name = "hours"
kind = "widgets"
file = "pages/hours.toml"
title = { en = "Running hours", zh = "运行小时" }
"""

_APP: Final = '''\
"""@TITLE@: how long machines have been running."""

from headrace.sdk.apps import App, Context, Request, Samples, Statement

app = App()


@app.samples("**/state")
async def states(ctx: Context, samples: Samples) -> None:
    """Keep each state; what is given twice is kept once."""
    rows = [
        (samples.paths[handle].rpartition("/")[0], time_ns, str(value))
        for batch in samples.batches
        for handle, time_ns, value in zip(
            batch.handles.tolist(), batch.source_ns.tolist(), batch.values.tolist(), strict=True
        )
    ]
    await ctx.tables.write(Statement("INSERT OR REPLACE INTO states VALUES (?, ?, ?)", many=rows))


@app.route("GET", "/hours")
async def hours(ctx: Context, request: Request) -> object:
    """Hours of each machine, up to now."""
    found = await ctx.tables.query(
        """
        SELECT asset, sum(end_ns - time_ns) / 3.6e12 AS hours
        FROM (SELECT *, lead(time_ns, 1, ?) OVER (PARTITION BY asset ORDER BY time_ns) AS end_ns FROM states)
        WHERE state = ? GROUP BY asset ORDER BY asset
        """,
        ctx.now_ns(),
        ctx.settings["running"],
    )
    return {"machines": found.dicts(), "total": sum(float(row["hours"] or 0) for row in found.dicts())}
'''

_MIGRATION: Final = """\
-- Migrations are applied in order, once each, and never changed: to alter a table, add 0002-….sql.
CREATE TABLE states (asset TEXT, time_ns INTEGER, state TEXT NOT NULL, PRIMARY KEY (asset, time_ns)) STRICT;
"""

_PAGE: Final = """\
refresh = "10s"

[[rows]]
[[rows.widgets]]
kind = "number"
title = { en = "All machines", zh = "全部设备" }
source = "/hours"
value = "total"
unit = "h"
decimals = 1

[[rows]]
[[rows.widgets]]
kind = "table"
source = "/hours"
rows = "machines"
[[rows.widgets.columns]]
field = "asset"
kind = "asset"
title = { en = "Machine", zh = "设备" }
[[rows.widgets.columns]]
field = "hours"
kind = "number"
unit = "h"
decimals = 1
title = { en = "Hours", zh = "小时" }
"""

_TEST: Final = '''\
"""Run with `headrace app test`."""

from pathlib import Path

from headrace.model.batch import ValueKind
from headrace.sdk.testing.apps import AppUnderTest
from headrace.sdk.testing.fake_plant import FakePlant

FOLDER = Path(__file__).parent.parent
PRESS = "acme/line-1/press-3"


async def test_hours_of_a_press() -> None:
    plant = FakePlant()
    plant.point(f"{PRESS}/state", ValueKind.TEXT)
    plant.feed(f"{PRESS}/state", {"2026-11-26T06:00:00Z": "running", "2026-11-26T08:30:00Z": "stopped"})
    async with AppUnderTest.of(FOLDER, plant) as app:
        await app.run_until("2026-11-26T12:00:00Z")
        assert await app.get("/hours") == {"machines": [{"asset": PRESS, "hours": 2.5}], "total": 2.5}
        await app.restart()
        assert (await app.get("/hours"))["total"] == 2.5
'''

_README: Final = """\
# @TITLE@

    headrace app test                       its tests, and whether its files fit together
    headrace app pack -k publisher.key      one signed file
    headrace app install @SHORT@-0.1.0.hrpkg
"""

_FILES: Final = {
    "manifest.toml": _MANIFEST,
    "app.py": _APP,
    "migrations/0001-states.sql": _MIGRATION,
    "pages/hours.toml": _PAGE,
    "locale/en.toml": '# Texts for ctx.say(key, language): report = "{hours} h"\n',
    "locale/zh.toml": '# Texts for ctx.say(key, language): report = "{hours} 小时"\n',
    "tests/test_app.py": _TEST,
    "README.md": _README,
}
