"""Samples that others send of their own accord: InfluxDB line protocol and JSON lines to durable batches. Sockets are
not known here; `api/` brings the bytes.

desk.py  lines.py  ·  line_protocol.py  json_lines.py  ·  series.py  slices.py
"""
