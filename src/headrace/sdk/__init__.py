"""What authors of drivers, stores, functions and apps implement, and the rooms meet in.

driver.py  store.py  bus.py  access.py  live.py  clock.py  ·  testing/: the contract suites they inherit
"""
