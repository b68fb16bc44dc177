"""Modbus TCP and RTU over TCP, client and simulator. Source: MODBUS Application Protocol V1.1b3.

config.py    what an engineer writes            encoding.py  values <-> register bytes
codec.py     requests, answers, frames          blocks.py    points -> blocks of registers -> batches
link.py      one socket, requests in flight     driver.py    the driver     simulator.py  the server
"""
