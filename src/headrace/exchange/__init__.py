"""How batches and events travel: within a process, between processes and machines, and from an edge to its hub.

local.py  the bounded bus   ·  unix.py, nats.py  the same elsewhere   ·  packing: `model/packing.py`
spool/  what an edge holds until its hub has it   ·  link/  the way there
"""
