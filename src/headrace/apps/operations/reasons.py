"""Why a machine stood still: a tree of two levels, so that two taps give a reason.

    breakdown ─ mechanical, electrical, …      a tap on the group, a tap on the reason

A reason also says what the time was (`element`), whether it was a failure (KPIs 31 to 33), and whether it was
maintenance (KPI 34).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from headrace.apps.operations.elements import Element
from headrace.apps.operations.states import IS_FAILURE, ReasonColumns, State
from headrace.model.errors import ConfigError

Maintenance = Literal["", "corrective", "preventive"]
REASONS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Reason:
    """`code` is what facts name; it is never used again for something else."""

    group: str
    code: str
    en: str
    zh: str
    element: Element = Element.ADET
    failure: bool = False
    maintenance: Maintenance = ""


class Reasons:
    """Reasons by number (their place) and by code. Raises: ConfigError for a code that comes twice, or too many."""

    def __init__(self, reasons: Sequence[Reason]) -> None:
        if len(reasons) > REASONS_MAX:
            raise ConfigError(f"{len(reasons)} reasons: nobody finds the right one among more than {REASONS_MAX}")
        self.all = tuple(reasons)
        self.numbers = {reason.code: at for at, reason in enumerate(reasons)}
        if len(self.numbers) != len(reasons):
            codes = [reason.code for reason in reasons]
            twice = next(code for code in codes if codes.count(code) > 1)
            raise ConfigError(f"two reasons have the code '{twice}'; give one another code")
        self.columns = ReasonColumns(
            np.array([reason.element for reason in reasons], np.int8),
            np.array([reason.failure for reason in reasons], np.bool_),
        )

    def number(self, code: str) -> int:
        """Raises: ConfigError with the codes that there are."""
        try:
            return self.numbers[code]
        except KeyError:
            known = ", ".join(list(self.numbers)[:12])
            raise ConfigError(f"there is no reason '{code}'; use one of {known} …") from None

    def failing(self, causes: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which causes are failures: reasons that say so, and states that are. Shape: that of `causes`."""
        return self._which(causes, [reason.failure for reason in self.all], IS_FAILURE)

    def maintained(self, causes: NDArray[np.int32], kind: Maintenance) -> NDArray[np.bool_]:
        """Which causes are that kind of maintenance. Shape: that of `causes`."""
        none = np.zeros(len(State), np.bool_)
        return self._which(causes, [reason.maintenance == kind for reason in self.all], none)

    def _which(
        self, causes: NDArray[np.int32], by_reason: list[bool], by_state: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        states = len(by_state)
        table = np.concatenate([by_state[::-1], np.array(by_reason, np.bool_)])  # −states … −1, 0 … reasons − 1
        return np.where(causes >= -states, table[np.maximum(causes + states, 0)], False)


STANDARD: Final = Reasons(
    [
        Reason("breakdown", "mechanical", "Mechanical fault", "机械故障", failure=True, maintenance="corrective"),
        Reason("breakdown", "electrical", "Electrical fault", "电气故障", failure=True, maintenance="corrective"),
        Reason("breakdown", "hydraulic", "Hydraulic or pneumatic fault", "液压气动故障", failure=True,
               maintenance="corrective"),
        Reason("breakdown", "control", "Control or software fault", "控制系统故障", failure=True,
               maintenance="corrective"),
        Reason("breakdown", "tool", "Tool or mould broken", "刀具模具损坏", failure=True, maintenance="corrective"),
        Reason("setup", "changeover", "Changeover", "换型", Element.AUST),
        Reason("setup", "tool-change", "Tool change", "换刀换模", Element.AUST),
        Reason("setup", "adjustment", "Adjustment", "调机", Element.AUST),
        Reason("setup", "first-piece", "First piece inspection", "首件检验", Element.AUST),
        Reason("material", "no-material", "No material", "缺料"),
        Reason("material", "wrong-material", "Wrong or bad material", "来料不良"),
        Reason("material", "blocked", "Downstream blocked", "下游堵塞"),
        Reason("people", "no-operator", "No operator", "缺人", Element.ADOT),
        Reason("people", "meeting", "Meeting or training", "会议培训", Element.ADOT),
        Reason("organisation", "no-order", "No order", "无订单", Element.ADOT),
        Reason("organisation", "no-papers", "Drawings or programme missing", "缺图纸程序"),
        Reason("organisation", "quality-hold", "Held for quality", "质量待判"),
        Reason("utilities", "no-power", "No power", "停电"),
        Reason("utilities", "no-air", "No air, water or steam", "缺气缺水"),
        Reason("planned", "maintenance", "Planned maintenance", "计划保养", Element.PDOT, maintenance="preventive"),
        Reason("planned", "cleaning", "Planned cleaning", "计划清洁", Element.PDOT),
        Reason("planned", "trial", "Trial run", "试制", Element.PDOT),
    ]
)  # fmt: skip
"""What a plant begins with."""

GROUPS: Final[dict[str, str]] = {
    "breakdown": "故障",
    "setup": "换型调整",
    "material": "物料",
    "people": "人员",
    "organisation": "组织",
    "utilities": "能源动力",
    "planned": "计划",
}
"""The groups that a plant begins with, in Chinese."""
