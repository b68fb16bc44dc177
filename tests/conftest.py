"""For all tests: no property fails for being slow, for that says more of the machine than of us."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("headrace", deadline=None)
settings.load_profile("headrace")
