"""What the nursery of these tests runs: says what it has, then gives back each line until there is no more."""

from __future__ import annotations

import os
import sys
from pathlib import Path

READY: list[int] = []


def ready() -> None:
    READY.append(os.getpid())


def main() -> None:
    has = sorted(int(one) for one in os.listdir("/proc/self/fd") if Path(f"/proc/self/fd/{one}").exists())  # noqa: PTH208
    sys.stdout.buffer.write(f"{os.getpid()} {READY} {has} {'PASSWORD' in os.environ}\n".encode())
    sys.stdout.buffer.flush()
    for line in sys.stdin.buffer:
        if line == b"fail\n":
            raise ValueError(line)
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
