"""Runs apps: each in a process of its own that sees the SDK and what its manifest was granted, and nothing else."""
