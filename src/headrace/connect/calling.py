"""A socket to a declared host: resolved by us, judged by `sdk/reach.py`, connected to what was judged.

host, port ──Reach.targets──► addresses ──one after the other──► socket
"""

from __future__ import annotations

import asyncio
import socket

from headrace.model.errors import Unreachable
from headrace.sdk.reach import Reach


async def call(reach: Reach, host: str, port: int) -> socket.socket:
    """A connected socket that does not block; the caller bounds the time and owns it.

    Raises: Unreachable, Refused; OSError, of the last address, where all of several refuse.
    """
    loop = asyncio.get_running_loop()
    failure: OSError | None = None
    for target in await reach.targets(host, port):
        sock = socket.socket(target.family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, target.address)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    if failure is None:
        raise Unreachable(f"'{host}' has no address")
    raise failure
