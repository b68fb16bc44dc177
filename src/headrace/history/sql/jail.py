"""What the SQL process may not, enforced by the kernel, should DuckDB's own refusals ever fail.

No file or socket can be opened any more, no file can grow, no core is written; memory has a ceiling; the process
yields to the platform's own work. Where a system lacks one of these, DuckDB's own limits and the time limit remain.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

MEMORY_BESIDE_BYTES = 1 << 30  # Python, Arrow and DuckDB themselves, thread stacks and the answer


def confine(memory_bytes: int) -> None:
    """Call once everything is imported and connected."""
    with suppress(OSError, AttributeError):
        os.nice(10)
    with suppress(OSError):  # if memory runs out all the same, this process is the one to end
        Path("/proc/self/oom_score_adj").write_text("1000")
    try:
        import resource
    except ImportError:
        return
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_DATA, memory_bytes + MEMORY_BESIDE_BYTES),
        (resource.RLIMIT_NOFILE, 0),
    ):
        with suppress(OSError, ValueError):
            resource.setrlimit(limit, (value, value))
