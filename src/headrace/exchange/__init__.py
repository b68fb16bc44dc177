"""How batches and events travel: within a process, and from an edge to its hub.

local.py  the bounded bus   ·  spool/  what an edge holds until its hub has it   ·  link/  the way there
"""
