"""A client of an MQTT broker: Mosquitto, EMQX, HiveMQ, NATS … What messages mean is in `connect/payload/`.

config.py   what an engineer writes     driver.py    the driver
identity.py the client id               readback.py  what a written point said next     simulator.py  a small broker
"""
