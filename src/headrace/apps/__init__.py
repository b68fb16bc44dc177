"""Our own industrial apps, one folder each, built as anybody else would: they import `sdk` and `model`, nothing more.

operations/  orders, shifts, machine states, the 34 KPIs of ISO 22400-2
energy/      meters, comprehensive energy, baselines, carbon
outcomes/    what the plant gained since a frozen baseline, with intervals
"""
