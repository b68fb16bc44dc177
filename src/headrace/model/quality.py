"""Quality of a sample: the OPC UA StatusCode, uint32. Source: OPC 10000-4 §7.39, OPC 10000-6 annex A.2.

The two top bits are the severity: 00 good, 01 uncertain, 10 bad. A failed read is a bad sample, not a gap.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

SEVERITY_MASK: Final = 0xC000_0000

GOOD: Final = 0x0000_0000
GOOD_LOCAL_OVERRIDE: Final = 0x0096_0000

UNCERTAIN: Final = 0x4000_0000
UNCERTAIN_LAST_USABLE_VALUE: Final = 0x4090_0000
UNCERTAIN_SENSOR_NOT_ACCURATE: Final = 0x4093_0000
UNCERTAIN_ENGINEERING_UNITS_EXCEEDED: Final = 0x4094_0000
UNCERTAIN_SUB_NORMAL: Final = 0x4095_0000

BAD: Final = 0x8000_0000
BAD_COMMUNICATION_ERROR: Final = 0x8005_0000
BAD_DECODING_ERROR: Final = 0x8007_0000
BAD_TIMEOUT: Final = 0x800A_0000
BAD_INVALID_TIMESTAMP: Final = 0x8023_0000
BAD_NO_COMMUNICATION: Final = 0x8031_0000
BAD_WAITING_FOR_INITIAL_DATA: Final = 0x8032_0000
BAD_NODE_ID_UNKNOWN: Final = 0x8034_0000
BAD_NOT_READABLE: Final = 0x803A_0000
BAD_OUT_OF_RANGE: Final = 0x803C_0000
BAD_NOT_SUPPORTED: Final = 0x803D_0000
BAD_TYPE_MISMATCH: Final = 0x8074_0000
BAD_CONFIGURATION_ERROR: Final = 0x8089_0000
BAD_NOT_CONNECTED: Final = 0x808A_0000
BAD_DEVICE_FAILURE: Final = 0x808B_0000
BAD_SENSOR_FAILURE: Final = 0x808C_0000
BAD_OUT_OF_SERVICE: Final = 0x808D_0000

_NAMES: Final = {
    value: "".join(word.capitalize() for word in name.split("_"))
    for name, value in list(globals().items())
    if isinstance(value, int) and name not in {"SEVERITY_MASK"}
}


def is_good(quality: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Shape: (count,) bool, true where the severity bits say good."""
    good: NDArray[np.bool_] = (quality & np.uint32(SEVERITY_MASK)) == 0
    return good


def is_bad(quality: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Shape: (count,) bool, true where the severity bits say bad (10; 11 is reserved and counts as bad)."""
    bad: NDArray[np.bool_] = (quality & np.uint32(BAD)) != 0
    return bad


def severity(code: int) -> str:
    """`good`, `uncertain` or `bad` for one status code."""
    top = (int(code) & SEVERITY_MASK) >> 30
    return ("good", "uncertain", "bad", "bad")[top]


def name_of(code: int) -> str:
    """The standard's name (`BadTimeout`), else the severity and the number (`Bad 0x80FF0000`)."""
    known = _NAMES.get(int(code) & 0xFFFF_0000)
    return known if known is not None else f"{severity(code).capitalize()} 0x{int(code):08X}"


_CODES: Final = {name.lower(): value for value, name in _NAMES.items()}


def code_of(name: str) -> int | None:
    """The status code of a standard name, whatever its case (`BadTimeout`, `GOOD`); None for a name that is none."""
    return _CODES.get(name.strip().lower())
