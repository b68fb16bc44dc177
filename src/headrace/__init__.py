"""Headrace: an industrial internet platform. ARCHITECTURE.md is the map; `model/` holds the shared words."""

__version__ = "0.1.0"
