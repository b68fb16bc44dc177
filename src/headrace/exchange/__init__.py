"""How batches and events travel: the bounded bus in a process, between processes (unix.py) and machines (nats.py)."""
