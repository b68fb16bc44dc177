"""Pages that are made from code: written where they are stale, or said to be (`--check`)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]


def settle(texts: Mapping[Path, str], source: str) -> int:
    """The exit status. `source` says what a stale page no longer is: `what the code declares`."""
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text("utf-8") != text]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is not {source}: run `make docs`", file=sys.stderr)
        return int(bool(stale))
    for path in stale:
        path.write_text(texts[path], "utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0
