"""The plant as an OPC UA server, so that any SCADA can read Headrace: `address_space.py`, `gate.py`, `outlet.py`."""
