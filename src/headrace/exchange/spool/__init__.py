"""What an edge holds until its hub has it: bounded on disk, durable on return, read again after any end.

spool.py  the flow   ·  log.py frames.py  files   ·  names.py  paths   ·  state.py ranges.py  what the hub has
"""

from headrace.exchange.spool.settings import Overflow, SpoolSettings
from headrace.exchange.spool.spool import Spool, open_spool

__all__ = ["Overflow", "Spool", "SpoolSettings", "open_spool"]
