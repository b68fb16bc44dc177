"""The words everyone shares. Nothing here does I/O or reads a clock.

Batch       many samples in columns              batch.py
quality     OPC UA status codes                  quality.py
Point       one time series of an asset          points.py
Asset       a node of the equipment hierarchy    assets.py
AlarmRule   a condition that needs a person      alarms.py
Command     a requested write and its life       commands.py
Event       something that happened              events.py
PlantModel  everything declared, expanded        plant.py
Program     what follows from points, as text    expressions/
time        ns since 1970, UTC                   time.py
errors      one tree, named by the next step     errors.py
"""
