"""The historian: append, compact, query, retain. The design is docs/decisions/0005-the-historian.md.

async with contextlib.aclosing(await open_store(directory, HistorySettings(), SystemClock())) as store: …
"""

from headrace.history.place import open_history
from headrace.history.settings import HistorySettings
from headrace.history.store import open_store

__all__ = ["HistorySettings", "open_history", "open_store"]
