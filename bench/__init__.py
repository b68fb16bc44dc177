"""Benchmarks: `make bench NAME=<room>` prints one JSON object a line; see harness.py."""
