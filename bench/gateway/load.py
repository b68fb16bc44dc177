"""A fleet in one cheap process: raw sockets, packets built beforehand, no MQTT library.

    python -m bench.gateway.load PORT CONNECTIONS --qos 1 --messages 200000            as fast as the server takes them
    python -m bench.gateway.load PORT CONNECTIONS --rate 1 --seconds 10                each so often a second
    python -m bench.gateway.load PORT CONNECTIONS --idle                               connected, and silent

Prints `ready` when all are connected and waits for a line on stdin; prints what it sent as JSON at the end, when
everything of QoS 1 is acknowledged. Each 5,000 connections have a loopback address of their own.
"""

from __future__ import annotations

import argparse
import heapq
import json
import resource
import select
import socket
import sys
import time

WINDOW = 20
PAYLOAD = b'{"ts":%d,"temperature":%d.5,"pressure":3.25,"running":true}'


def name(number: int) -> str:
    return f"dev-{number:05d}"


def topic(number: int) -> str:
    return f"fleet/{name(number)}/values"


def connect_packet(number: int) -> bytes:
    ident = name(number).encode()
    body = b"\0\4MQTT\4\2\0\0" + len(ident).to_bytes(2, "big") + ident
    return bytes((0x10, len(body))) + body


def publish_packet(number: int, qos: int, packet_id: int, value: int) -> bytes:
    where = topic(number).encode()
    payload = PAYLOAD % (1_780_000_000_000 + value, value % 90)
    body = len(where).to_bytes(2, "big") + where + (packet_id.to_bytes(2, "big") if qos else b"") + payload
    return bytes((0x30 | qos << 1, len(body))) + body


class Device:
    __slots__ = ("block", "left", "number", "owed", "rest", "sock", "value")

    def __init__(self, number: int, port: int, qos: int) -> None:
        self.number = number
        self.sock = socket.socket()
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.bind((f"127.0.0.{2 + number // 5000}", 0))
        self.sock.connect(("127.0.0.1", port))
        self.sock.send(connect_packet(number))
        self.block = b"".join(publish_packet(number, qos, at + 1, at) for at in range(WINDOW))
        self.left = self.owed = self.value = 0
        self.rest = b""

    def welcome(self) -> None:
        self.sock.settimeout(30)
        got = b""
        while len(got) < 4:
            data = self.sock.recv(4 - len(got))
            if not data:
                sys.exit(f"{name(self.number)} was cut off")
            got += data
        if got != b"\x20\x02\0\0":
            sys.exit(f"{name(self.number)} was not let in: {got!r}")
        self.sock.setblocking(False)


def saturate(devices: list[Device], qos: int, messages: int) -> int:
    """Each device sends its share, a window at a time; QoS 1 waits for the acknowledgements of the window before."""
    poll = select.epoll()
    by_fd = {device.sock.fileno(): device for device in devices}
    share = messages // len(devices) // WINDOW
    for device in devices:
        device.left = share
        poll.register(device.sock, select.EPOLLOUT)
    busy = len(devices)
    while busy:
        for fd, event in poll.poll(30):
            device = by_fd[fd]
            if event & select.EPOLLIN and device.owed:
                device.owed -= len(device.sock.recv(65_536))
                if not device.owed:
                    if device.left:
                        poll.modify(fd, select.EPOLLOUT)
                    else:
                        poll.unregister(fd)
                        busy -= 1
                continue
            data = device.rest or device.block
            sent = device.sock.send(data)
            device.rest = data[sent:]
            if device.rest:
                continue
            device.left -= 1
            if qos:
                device.owed = 4 * WINDOW
                poll.modify(fd, select.EPOLLIN)
            elif not device.left:
                poll.unregister(fd)
                busy -= 1
    return share * WINDOW * len(devices)


def pace(devices: list[Device], qos: int, rate: float, seconds: float) -> int:
    """Each device at its own moment of the interval, so that the server sees single messages."""
    began_s = time.monotonic()
    due = [(began_s + at / len(devices) / rate, at) for at in range(len(devices))]
    heapq.heapify(due)
    packets = [publish_packet(device.number, qos, 1, device.number) for device in devices]
    count, end_s = 0, began_s + seconds
    while due[0][0] < end_s:
        at_s, at = due[0]
        wait_s = at_s - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)
        devices[at].sock.send(packets[at])
        count += 1
        heapq.heapreplace(due, (at_s + 1 / rate, at))
    if qos:
        for device in devices:
            device.sock.settimeout(10)
            owed = 4 * (count // len(devices))
            while owed > 0:
                owed -= len(device.sock.recv(65_536)) or owed
    return count


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("connections", type=int)
    parser.add_argument("--qos", type=int, default=0)
    parser.add_argument("--messages", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--idle", action="store_true")
    parser.add_argument("--first", type=int, default=0)
    asked = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    devices = []
    for first in range(0, asked.connections, 200):
        some = [
            Device(asked.first + number, asked.port, asked.qos)
            for number in range(first, min(first + 200, asked.connections))
        ]
        for device in some:
            device.welcome()
        devices += some
    print("ready", flush=True)
    sys.stdin.readline()
    began_s, cpu_s = time.monotonic(), time.process_time()
    if asked.idle:
        sent = 0
    elif asked.rate:
        sent = pace(devices, asked.qos, asked.rate, asked.seconds)
    else:
        sent = saturate(devices, asked.qos, asked.messages)
    took = {"sent": sent, "seconds": time.monotonic() - began_s, "cpu_s": time.process_time() - cpu_s}
    print(json.dumps(took), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
