"""Who belongs to the plant: devices that publish to gateways, and edges that run a part of the platform.

devices/  register.py  the flow   ·  credentials.py topics.py sheet.py quarantine.py  its parts   ·  store.py
edges/    register.py  the flow   ·  authority.py requests.py  certificates   ·  link.py  its quality as points
packages/ reading.py   the flow   ·  container.py manifest.py keys.py  what is believed, and why   ·  shelf.py
tables.py  the database
"""
