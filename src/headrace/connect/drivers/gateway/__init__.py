"""The device gateway as a driver: one connection is one MQTT listener, its points are what its devices publish.

config.py    what an engineer writes       driver.py    listener, devices, payload and platform put together
desired.py   what devices are to become    simulator.py a fleet of devices        The server itself: `connect/gateway/`
"""
