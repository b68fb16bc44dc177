"""Back-tests: what alarm rules would have raised over a stretch of history, beside what was (run.py, desk.py)."""
