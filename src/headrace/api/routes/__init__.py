"""One module a subject; each holds a `router` that `app.py` includes."""
