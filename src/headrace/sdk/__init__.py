"""What authors of drivers, stores, functions and apps implement, and the rooms meet in.

driver.py  field.py  store.py  bus.py  intake.py  devices.py  edges.py  fleet.py  access.py  services.py
clock.py  throttle.py  ·  testing/: the contract suites to inherit
"""
