"""Field protocols to batches, and writes back: drivers/<protocol>/, the session supervisor, the read planner."""
