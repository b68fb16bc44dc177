"""A socket to a declared host: resolved by us, judged by `sdk/reach.py`, connected to what was judged.

host, port ──Reach.targets──► addresses ──one after the other──► socket
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

from headrace.model.errors import ConfigError, Unreachable
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


def client_tls(ca: Path | None) -> ssl.SSLContext:
    """Who vouches for the other side: the system's authorities, or those of a file. Reads it. Raises: ConfigError."""
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"'ca' cannot be used: {error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
