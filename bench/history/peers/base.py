"""What the bench asks of a historian, ours and each peer alike.

    start ─► (prepare ─► write) a commit, durable on return ─► finish ─► disk ─► ask … ─► stop

`prepare` is the client's formatting: it is told apart and counts for nobody.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.history.dataset import Dataset
from bench.history.questions import Digest, Question
from headrace.model.batch import Batch


class Absent(Exception):
    """The peer is not on this machine; the text says how to get it."""


class Peer:
    """The defaults suit a peer that runs inside the bench's own child process."""

    title = ""
    in_process = True
    tolerance = 1e-9
    """Relative, to which its answers must agree with ours."""

    def start(self, directory: Path, dataset: Dataset, *, fresh: bool) -> None:
        """Open in `directory`, which is empty where `fresh`. Raises: Absent."""
        raise Absent(f"{self.title} cannot be started")

    def prepare(self, batches: Sequence[Batch]) -> Any:
        """The form in which `write` takes a commit."""
        return batches

    def write(self, commit: Any) -> None:
        """Returns when it is durable, as far as the peer can promise that."""

    def finish(self) -> None:
        """Everything in the form in which it stays on disk."""

    def compact(self) -> None:
        """What it does at leisure to be smaller or quicker; its cost is told apart."""

    def disk(self) -> Mapping[str, int]:
        """Bytes on disk by what they are."""
        return {}

    def busy(self) -> bool:
        """Whether work in the background goes on."""
        return False

    def ask(self, question: Question) -> Callable[[], Any] | None:
        """What gets the answer in the peer's own form; None where it cannot."""
        return None

    def digest(self, question: Question, answer: Any) -> Digest | None:
        """What the answer comes to; None where there is nothing to compare."""
        return None

    def cpu_s(self) -> float:
        """CPU seconds of the process that does the work, all threads."""
        return time.process_time()

    def extra(self) -> Mapping[str, Any]:
        """What else is known of it at the end, for rows of its own."""
        return {}

    def stop(self) -> None:
        """Let go of everything."""


def folder_bytes(folder: Path, *endings: str) -> int:
    """Of all files below `folder`, or of those with one of these endings."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files if not endings or path.name.endswith(endings))
