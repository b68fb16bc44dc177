"""The physical laws, one module a machine type, each on arrays of shape (machines,) with a fixed time step.

production.py  cycles, states, orders, scrap: shared by all that make parts
press.py  moulder.py  assembly.py  utilities.py
"""
