"""An MQTT 3.1.1 and 5 server for devices, whose only job is to take their samples in and to carry commands down.

    hub.py            who is connected, who has a session, what goes to whom; begin reading here
    socket.py         one socket and its bounds                     connection.py    packets in, packets out
    admission.py      CONNECT and its answer                        answers.py       what is said to other packets
    session.py        what outlives a socket: subscriptions, messages under way
    collector.py      publishes of many sockets, stored together, acknowledged when that is durable
    subscriptions.py  who asked for what                            retained.py      the last message of a topic
    wheel.py          keep-alive, expiry: one timer for all         upstream.py      what the platform does for us
    limits.py         every bound, and every counter                listener.py      sockets, TLS, WebSocket

The driver that makes a connection of it is `connect/drivers/gateway/`.
"""
