"""Headrace as a Sparkplug B edge node: `connect/sparkplug/edge.py` says what to publish, this carries it."""
