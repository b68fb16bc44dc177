"""The composition root: reads settings, constructs, wires, starts and stops. pipeline.py shows the whole flow."""
