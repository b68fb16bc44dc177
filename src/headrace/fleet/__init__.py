"""Who belongs to the plant: devices that publish to gateways, and edges that run a part of the platform.

devices/  register.py  the flow   ·  credentials.py topics.py sheet.py quarantine.py  its parts   ·  store.py
edges/    register.py  the flow   ·  authority.py requests.py  certificates   ·  link.py  its quality as points
tables.py  the database
"""
