"""OPC UA over opc.tcp: subscriptions, polling, writes, browsing, and a certificate that a person must trust.

config.py        what an engineer declares                       imports pydantic only
codec.py         bytes of Read and Publish responses → columns   sans-I/O, NumPy only
values.py        columns → batches of the declared kinds; nodes.py: points by node
trust.py         our own certificate, fingerprints of others     cryptography, when it is needed
channel.py       checked frames into asyncua's channel           asyncua from here on
session.py       one session: open, call, fail once, close; failures.py: its errors as ours
subscription.py  sharded subscriptions and the publish pump; polling.py: reads, and the fallback
writing.py       writes; browsing.py and units.py: what the server offers
driver.py        the abilities, one class; `DRIVER`
simulator.py     a small server for tests and trials
"""
