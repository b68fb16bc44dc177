"""MQTT 3.1.1 and 5.0, apart from what anybody does with it: a codec without I/O, and a client session.

    packets.py     the words: one class a packet, properties, versions
    reasons.py     reason codes, and which packet may carry which
    properties.py  the table of properties, to bytes and back      primitives.py  strings, numbers, binary data
    parser.py      the stream: bytes -> packets, however it is cut decoding.py    the bodies of packets
    encoding.py    packets -> bytes                                topics.py      names, filters, what matches what
    client.py      one session with a server, over a line (line.py) tls.py         contexts for both ends

Sources: MQTT Version 3.1.1 (OASIS, 29 October 2014), MQTT Version 5.0 (OASIS, 7 March 2019). A clause such as
[MQTT-3.3.1-4] is numbered as the standard numbers it; where the two differ, v5 or v3.1.1 is said.
"""
