"""Notifications: whom to tell of an alarm, when, and by which channel. The whole picture is in `desk.py`."""
