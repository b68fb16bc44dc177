"""Alarms: conditions in event time (engine.py), their states and history in SQL (journal.py), and the desk."""
