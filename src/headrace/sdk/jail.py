"""What a process may not that runs what others wrote: statements of SQL, stream functions. The kernel enforces it.

`confine`    no file or socket can be opened any more, no file can grow, no core is written; memory has a ceiling; the
             process yields to the platform's own work
`seal`       no system call but those that computing needs: no file, socket, process, thread, signal or trace, whoever
             the process runs as. Linux on x86-64 and ARM64; elsewhere it says that it does not hold

Source of `seal`: Linux seccomp(2), filters as in bpf(4); syscall numbers of asm/unistd_64.h and asm-generic/unistd.h.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

MEMORY_BESIDE_BYTES = 1 << 30  # Python, Arrow and DuckDB themselves, thread stacks and the answer


def confine(memory_bytes: int, beside_bytes: int = MEMORY_BESIDE_BYTES, descriptors: int = 0) -> None:
    """Call once everything is imported and connected. `descriptors`: what polls needs as many as it has open, and gets
    no number beyond them."""
    with suppress(OSError, AttributeError):
        os.nice(10)
    with suppress(OSError):  # if memory runs out all the same, this process is the one to end
        Path("/proc/self/oom_score_adj").write_text("1000")
    try:
        import resource
    except ImportError:
        return
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_DATA, memory_bytes + beside_bytes),
        (resource.RLIMIT_NOFILE, descriptors),
    ):
        with suppress(OSError, ValueError):
            resource.setrlimit(limit, (value, value))


#: What computing needs, by name: number on x86-64, number on ARM64 (None where it has none).
_ALLOWED: Final[dict[str, tuple[int | None, int | None]]] = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "fstat": (5, 80),
    "poll": (7, None),
    "ppoll": (271, 73),
    "lseek": (8, 62),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "nanosleep": (35, 101),
    "getpid": (39, 172),
    "exit": (60, 93),
    "getrusage": (98, 165),
    "times": (100, 153),
    "sigaltstack": (131, 132),
    "gettid": (186, 178),
    "futex": (202, 98),
    "sched_getaffinity": (204, 123),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "set_robust_list": (273, 99),
    "getcpu": (309, 168),
    "getrandom": (318, 278),
    "membarrier": (324, 283),
    "rseq": (334, 293),
}
_MACHINES: Final = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, AUDIT_ARCH_*
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | 1, 0x80000000  # EPERM; SECCOMP_RET_*
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2


def seal() -> bool:
    """From now on, and for ever. Whether it holds: False where this system has no such filters."""
    if sys.platform != "linux" or platform.machine() not in _MACHINES or struct.calcsize("P") != 8:
        return False
    program = _program(*_MACHINES[platform.machine()])
    code = ctypes.create_string_buffer(program, len(program))
    described = ctypes.create_string_buffer(struct.pack("@HxxxxxxQ", len(program) // 8, ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    prctl = libc.prctl
    prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    refused = prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or prctl(_SET_SECCOMP, _FILTER, ctypes.addressof(described), 0, 0)
    return not refused


def _program(column: int, architecture: int) -> bytes:
    """struct sock_filter: code u16, jump if true u8, jump if false u8, operand u32."""
    steps = [(_LOAD, 0, 0, 4), (_JUMP_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    for numbers in _ALLOWED.values():
        number = numbers[column]
        if number is not None:
            steps += [(_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    steps.append((_RETURN, 0, 0, _REFUSE))
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
