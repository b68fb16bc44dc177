"""OPC UA over opc.tcp: subscriptions, polling, writes, browsing, and a certificate that a person must trust.

config.py        what an engineer declares                       imports pydantic only
codec.py         bytes of Read and Publish responses → columns   sans-I/O, NumPy only
values.py        columns → batches of the declared kinds         NumPy only
trust.py         our own certificate, fingerprints of others     cryptography
session.py       one asyncua session: connect, call, close       asyncua from here on
subscription.py  sharded subscriptions and the publish pump
browsing.py      what the server offers, with kind and unit
driver.py        the abilities, one class; `DRIVER`
simulator.py     a small server for tests and trials
"""
