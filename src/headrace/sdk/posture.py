"""How an installation is set where security is concerned, beside what is advised.

Source: IEC 62443-3-3 SR 7.6 (network and security configuration settings) and its RE 1 (for programs to read).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Judged(StrEnum):
    ADVISED = "as-advised"
    DIFFERS = "differs"
    LOOK = "look"  # right in one plant and wrong in another: a person has to look


@dataclass(frozen=True, slots=True)
class SettingInForce:
    """`value` is a word, a number with its unit, or names; `advised` is for people. `clause` says who asks for it."""

    name: str
    value: str
    advised: str
    judged: Judged
    clause: str
