"""The words of ISO 22400-2 in which everything here is counted: what time was, and how many of what.

    POT  planned operation time   = PBT + PDOT
    PBT  planned busy time        = AUBT + ADOT + no data
    AUBT actual unit busy time    = AUPT + ADET
    AUPT actual unit processing   = APT + AUST

Times are int64 nanoseconds, so they add up exactly in any order; quantities are float64. Source: ISO 22400-2:2014 §5.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Element(IntEnum):
    """What a stretch of a unit's time was; each nanosecond is exactly one of these."""

    APT = 0
    """Actual production time: producing value."""
    AUST = 1
    """Actual unit setup time."""
    ADET = 2
    """Actual unit delay time: malfunctions, minor stoppages and waiting while work is in progress."""
    ADOT = 3
    """Actual unit down time: available, and not executing an order."""
    NO_DATA = 4
    """Planned busy time of which nobody knows: not in the standard; a loss, and shown as what it is."""
    PDOT = 5
    """Planned down time: not used, as planned."""
    OFF = 6
    """Outside planned operation time."""


BUSY: Final = (Element.APT, Element.AUST, Element.ADET, Element.ADOT, Element.NO_DATA)
"""What planned busy time (PBT) consists of."""


class Quantity(IntEnum):
    """What is counted. Units: pieces, or what the order is measured in, unless said otherwise."""

    PQ = 0
    """Produced quantity."""
    GQ = 1
    """Good quantity."""
    SQ = 2
    """Scrap quantity."""
    RQ = 3
    """Rework quantity."""
    IDEAL = 4
    """PRI · PQ, in ns: how long the produced quantity takes at the planned run time per item."""
    PSQ = 5
    """Planned scrap quantity."""
    PQ1 = 6
    """Produced quantity of an order's first operation."""
    IP = 7
    """Inspected parts, each once."""
    GP = 8
    """Good parts at their first inspection, without rework."""
    CE = 9
    """Σ Mi·Ri: energy media used, each times its conversion factor. Units: kgce."""
    CEQ = 10
    """Q: energy exchanged with the surroundings. Units: kgce."""
    TH = 11
    """Throughput of an inventory."""
    IGQ = 12
    """Integrated goods quantity."""
    CM = 13
    """Consumed material."""
    PL = 14
    """Production loss."""
    STL = 15
    """Storage and transportation loss."""
    OL = 16
    """Other loss."""
    INV = 17
    """Inventory level over time. Units: quantity · h."""
    INVT = 18
    """How long the level was known. Units: h."""


GIVEN: Final = frozenset(set(Quantity) - {Quantity.IDEAL, Quantity.PSQ, Quantity.PQ1, Quantity.INVT})
"""What facts may give; the others are worked out."""
