"""Production: orders and shifts, machine states from signals, counts, KPIs of ISO 22400-2, losses and reports."""
