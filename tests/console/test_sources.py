"""The console's own checks: unit tests, lint, and a typed client that fits the API of today."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.console.conftest import CONSOLE, ROOT
from tests.services import require_service

LOCAL = ROOT / ".cache" / "node-bin"


def with_node(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the console with the Node that built it."""
    path = f"{LOCAL}{os.pathsep}{os.environ['PATH']}" if LOCAL.exists() else os.environ["PATH"]
    require_service("npm", shutil.which("npm", path=path) is not None, "tools/setup.sh console")
    require_service("the console's node_modules", (CONSOLE / "node_modules").exists(), "tools/setup.sh console")
    return subprocess.run(
        command,
        cwd=CONSOLE,
        env={**os.environ, "PATH": path, "CI": "1", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.mark.parametrize("script", ["test", "lint"])
def test_the_console_passes_its_own(script: str) -> None:
    run = with_node("npm", "run", "--silent", script)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_typed_client_is_generated_from_the_api_of_today(tmp_path: Path) -> None:
    fresh = tmp_path / "schema.d.ts"
    run = with_node("node_modules/.bin/openapi-typescript", "../docs/openapi.json", "-o", str(fresh))
    assert run.returncode == 0, run.stdout + run.stderr
    committed = (CONSOLE / "src/api/schema.d.ts").read_text()
    assert fresh.read_text() == committed, "run `npm run client` in console/ and commit"
