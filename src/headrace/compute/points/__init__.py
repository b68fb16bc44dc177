"""Calculated points: expressions over whole plants (calculator.py), caught up with history, kept right when late."""
