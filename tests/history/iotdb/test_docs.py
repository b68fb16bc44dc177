"""The commands of docs/scale-out.md do what they say, and the two languages show the same."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.history.samples import assert_same, contents
from tools import iotdb

from headrace.history import HistorySettings, open_store
from headrace.sdk.clock import SystemClock
from headrace.sdk.testing.store import ramp

DOCS = Path(__file__).parents[3] / "docs"
ADDRESS = "iotdb://headrace@db1:6667,db2:6667,db3:6667/works"


def blocks(name: str) -> list[str]:
    return re.findall(r"```\w+\n(.*?)```", (DOCS / name).read_text(), re.S)


def test_both_languages_show_the_same_commands() -> None:
    assert blocks("scale-out.md") == blocks("scale-out.zh-CN.md")
    headings = [re.findall(r"^#+", (DOCS / name).read_text(), re.M) for name in ("scale-out.md", "scale-out.zh-CN.md")]
    assert headings[0] == headings[1]


async def test_the_history_moves_to_the_cluster_and_back(
    tmp_path: Path, one_node: iotdb.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = await open_store(tmp_path / ".headrace" / "history", HistorySettings(), SystemClock())
    await home.register(["a/x", "a/y"])
    await home.append([ramp(0, 50), ramp(1, 5)])
    sent = await contents(home)
    await home.close()
    monkeypatch.setenv("HEADRACE_IOTDB_PASSWORD_FILE", str(one_node.directory / "password"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    commands = [block for block in blocks("scale-out.md") if "history migrate" in block]
    assert len(commands) == 2
    for command in commands:
        script = f'headrace() {{ "{sys.executable}" -m headrace "$@"; }}\n{command}'
        script = script.replace(ADDRESS, one_node.url("works"))
        subprocess.run(["bash", "-euc", script], cwd=tmp_path, check=True)  # noqa: ASYNC221
    back = await open_store(tmp_path / "back", HistorySettings(), SystemClock())
    assert_same(await contents(back), sent)
    await back.close()
