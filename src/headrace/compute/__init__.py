"""Batches in, batches and events out, no clock of its own: live values and alarms."""
