"""The surroundings of a process that this one starts: where this package is, and nothing that was told in confidence.

Our own environment may hold keys and passwords (`env:NAME`), which a child has no use for.
Source: IEC 62443-3-3 SR 2.1 (least privilege), SR 4.1; CWE-526.
"""

from __future__ import annotations

import os
import sys
from typing import Final

_KEPT: Final = ("LD_LIBRARY_PATH", "SYSTEMROOT", "TZ", "TMPDIR")


def bare_environment() -> dict[str, str]:
    """Of a child that runs our own code in our own Python."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "LANG": "C.UTF-8"}
