"""What a TCP socket is asked for, and what it tells, where the system knows it. Elsewhere nothing happens."""

from __future__ import annotations

import socket
import struct
from typing import Any, Final

_NOTSENT_LOWAT: Final = 25  # TCP_NOTSENT_LOWAT of Linux
_UNSENT_BYTES: Final = 32 * 1024
# struct tcp_info: u8 × 8, then u32s; `total_retrans` is the 24th of them, and `segs_out` follows after some u64s.
_TOTAL_RETRANS_AT: Final = 8 + 4 * 23
_SEGS_OUT_AT: Final = 136
_U32: Final = struct.Struct("=I")


def tune(transport: Any, congestion: str) -> str:
    """Small frames at once, little unsent in the kernel, the congestion control that was asked for; gives that in use.

    What waits unsent in the kernel cannot be overtaken, so it is kept short.
    """
    found = transport.get_extra_info("socket")
    if found is None:
        return ""
    for level, option, value in (
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, _NOTSENT_LOWAT, _UNSENT_BYTES),
    ):
        try:
            found.setsockopt(level, option, value)
        except OSError:
            pass
    naming: int | None = getattr(socket, "TCP_CONGESTION", None)
    if naming is None:
        return ""
    if congestion:
        try:
            found.setsockopt(socket.IPPROTO_TCP, naming, congestion.encode())
        except OSError:
            pass  # not in this kernel, or not allowed to us: the system's own will do
    try:
        return str(found.getsockopt(socket.IPPROTO_TCP, naming, 16).rstrip(b"\0").decode())
    except OSError:
        return ""


def segments(transport: Any) -> tuple[int, int] | None:
    """(sent again, sent) since the connection began. Source: Linux, include/uapi/linux/tcp.h, `struct tcp_info`."""
    found = transport.get_extra_info("socket")
    option = getattr(socket, "TCP_INFO", None)
    if found is None or option is None:
        return None
    try:
        info = found.getsockopt(socket.IPPROTO_TCP, option, 192)
    except OSError:
        return None
    if len(info) < _SEGS_OUT_AT + 4:
        return None
    return _U32.unpack_from(info, _TOTAL_RETRANS_AT)[0], _U32.unpack_from(info, _SEGS_OUT_AT)[0]
