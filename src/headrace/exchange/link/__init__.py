"""Between an edge and its hub: one TLS connection, framed, with lanes; what is sent is taken once.

wire.py messages.py squeeze.py  bytes, without a socket   ·  channel.py dial.py sockets.py  the connection
edge.py edge_session.py sender.py window.py   the edge's end   ·   hub.py session.py lanes.py points.py   the hub's
beat.py  the health of the link ·  enrol.py  how an edge becomes known

The protocol and its reasons: docs/decisions/0023-edge-protocol.md.
"""

from headrace.exchange.link.edge import EdgeLink
from headrace.exchange.link.hub import EdgeHub
from headrace.exchange.link.role import EdgeRole
from headrace.exchange.link.settings import HubSettings, LinkSettings

__all__ = ["EdgeHub", "EdgeLink", "EdgeRole", "HubSettings", "LinkSettings"]
