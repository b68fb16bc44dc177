"""Sparkplug B: Headrace as a host application, and as an edge node. Source: Sparkplug 3.0.0, Eclipse Foundation.

schema.py    data types, protobuf messages     topics.py     spBv1.0/…
host.py      what nodes publish -> batches     register.py, nodes.py   who is known: births, deaths, sequence
asking.py    rebirth requests                  presence.py    STATE of the host
metrics.py   payloads -> columns, plainly      shapes.py     the same, by shapes: outlines.py, templates.py
slots.py     aliases and names -> points       reading.py, values.py   columns -> batches
births.py    what a birth tells                browsing.py, commands.py, encoding.py, properties.py, compressed.py
edge.py      an edge node, without I/O         report.py      what it tells, by exception
"""
