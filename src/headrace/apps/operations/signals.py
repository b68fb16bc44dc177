"""Machine states from points: a rule says what a machine does, given what its points say at a moment.

    samples of each input ─► what stood at each change of any of them ─► rule ─► states

Rules are pure and work on columns, so a late sample changes what it changes and nothing else: the ledger asks the
rule again for the time in question. A bad sample says nothing: NaN here, and UNKNOWN as a state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.apps.operations.series import Series, Times
from headrace.apps.operations.states import State
from headrace.model import expressions
from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import ConfigError
from headrace.model.expressions import Program, Variable

Columns = Sequence[NDArray[np.float64]]
States = NDArray[np.int8]


class StateRule(Protocol):
    """`inputs`: the names of what it looks at, in the order of its columns."""

    @property
    def inputs(self) -> tuple[str, ...]: ...

    def states(self, columns: Columns) -> States:
        """Shape: (moments,) each. NaN: not known."""
        ...


@dataclass(frozen=True)
class StatusRule:
    """One status point, number or text, by a table; `otherwise` for what the table does not name."""

    point: str
    table: Mapping[int | str, State]
    otherwise: State = State.UNKNOWN

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.point,)

    def __post_init__(self) -> None:
        """Raises: ConfigError for an empty table."""
        if not self.table:
            raise ConfigError(f"the table of states for {self.point} is empty; say which value means which state")

    @cached_property
    def _sorted(self) -> tuple[NDArray[np.float64], States]:
        coded = sorted((text_code(key) if isinstance(key, str) else float(key), at) for key, at in self.table.items())
        return np.array([key for key, _ in coded]), np.array([state for _, state in coded], np.int8)

    def states(self, columns: Columns) -> States:
        keys, states = self._sorted
        (values,) = columns
        at = np.minimum(np.searchsorted(keys, values), len(keys) - 1)
        found = np.where(keys[at] == values, states[at], np.int8(self.otherwise))
        return np.where(np.isnan(values), np.int8(State.UNKNOWN), found).astype(np.int8)


@dataclass(frozen=True)
class BitsRule:
    """A bit that says running and, where there are such, bits for fault and setup: the fault counts most.

    With neither, the machine is `still`: idle, or stopped where somebody is to be asked.
    """

    running: str
    fault: str = ""
    setup: str = ""
    still: State = State.STOPPED

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(name for name in (self.running, self.fault, self.setup) if name)

    def states(self, columns: Columns) -> States:
        by_name = dict(zip(self.inputs, columns, strict=True))
        states = np.where(by_name[self.running] != 0, np.int8(State.PRODUCING), np.int8(self.still))
        if self.setup:
            states = np.where((by_name[self.setup] > 0) & (states != State.PRODUCING), np.int8(State.SETUP), states)
        states = np.where(np.isnan(by_name[self.running]), np.int8(State.UNKNOWN), states)
        if self.fault:
            states = np.where(by_name[self.fault] > 0, np.int8(State.FAULT), states)
        return states.astype(np.int8)


@dataclass(frozen=True)
class ExpressionRule:
    """Conditions in order, in the language of expressions: the first that holds gives the state.

    Make one with `of`. Source of the language: docs/expressions.md.
    """

    inputs: tuple[str, ...]
    cases: tuple[tuple[Program, State], ...]
    otherwise: State

    @classmethod
    def of(cls, cases: Sequence[tuple[str, State]], kinds: Mapping[str, Variable], otherwise: State) -> ExpressionRule:
        """Raises: ConfigError for what is no condition, or looks back in time."""
        programs = []
        for text, state in cases:
            program = expressions.compile(text, kinds)
            if program.kind is not ValueKind.BOOL:
                raise ConfigError(f"'{text}' gives {program.kind.label}; a state needs a condition, such as x > 3")
            if program.memory_ns or program.samples > 1:
                raise ConfigError(f"'{text}' looks back in time; make it a calculated point and use that")
            programs.append((program, state))
        if not programs:
            raise ConfigError("a rule of conditions needs at least one")
        names = sorted({name for program, _ in programs for name in program.inputs})
        if not names:
            raise ConfigError("the conditions name no point; a state comes from what points say")
        text_names = [name for name in names if kinds[name].kind is ValueKind.TEXT]
        if text_names:
            raise ConfigError(f"{', '.join(text_names)} is text; use a table of its values")
        return cls(tuple(names), tuple(programs), otherwise)

    def states(self, columns: Columns) -> States:
        by_name = dict(zip(self.inputs, columns, strict=True))
        count = len(columns[0])
        states = np.full(count, self.otherwise, np.int8)
        for program, state in reversed(self.cases):
            result = expressions.evaluate(
                program, {name: _as_series(by_name[name], kind) for name, kind in program.inputs.items()}
            )
            bad = q.is_bad(result.quality)
            states = np.where(bad, np.int8(State.UNKNOWN), np.where(result.values & ~bad, np.int8(state), states))
        return states.astype(np.int8)


def _as_series(values: NDArray[np.float64], kind: ValueKind) -> expressions.Series:
    missing = np.isnan(values)
    quality = np.where(missing, np.uint32(q.BAD_WAITING_FOR_INITIAL_DATA), np.uint32(q.GOOD)).astype(np.uint32)
    return expressions.Series(np.arange(len(values)), np.where(missing, 0, values).astype(kind.dtype), quality)


def timeline(rule: StateRule, inputs: Sequence[Series], start_ns: int, end_ns: int) -> tuple[Times, States]:
    """When the state is what, over [start, end): changes alone, the first at `start_ns`. Shape: (changes,) each."""
    moments = [series.slice(start_ns, end_ns)[0] for series in inputs]
    times = np.unique(np.concatenate([[start_ns], *moments]))
    states = rule.states([series.at(times) for series in inputs])
    keep = np.concatenate([[True], states[1:] != states[:-1]])
    return times[keep], states[keep]


def text_code(text: str) -> float:
    """A number for a text, the same everywhere: 52 bits of BLAKE2b, which a float64 holds exactly."""
    return float(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 12)


def numbers_of(batch: Batch) -> NDArray[np.float64]:
    """The values of a batch as rules and counters see them; NaN for bad samples. Shape: (samples,)."""
    if batch.kind is ValueKind.TEXT:
        texts, codes = np.unique(batch.values, return_inverse=True)
        values = np.array([text_code(text) for text in texts.tolist()])[codes] if len(texts) else np.empty(0)
    else:
        values = batch.values.astype(np.float64)
    return np.where(q.is_bad(batch.quality), np.nan, values)


PACKML: Final[Mapping[int | str, State]] = {
    **dict.fromkeys((2, 4, 17), State.IDLE),
    **dict.fromkeys((3, 12, 14, 15), State.SETUP),
    6: State.PRODUCING, 16: State.PRODUCING,
    **dict.fromkeys((1, 7, 10, 11), State.STOPPED),
    **dict.fromkeys((8, 9), State.FAULT),
    **dict.fromkeys((5, 13), State.STARVED),
}  # fmt: skip
"""StateCurrent of PackML. Source: ANSI/ISA-TR88.00.02, the state numbers of OPC 30050 §5."""

MTCONNECT: Final[Mapping[int | str, State]] = {
    "ACTIVE": State.PRODUCING,
    **dict.fromkeys(("READY", "PROGRAM_COMPLETED", "PROGRAM_STOPPED"), State.IDLE),
    **dict.fromkeys(("INTERRUPTED", "FEED_HOLD", "STOPPED", "PROGRAM_OPTIONAL_STOP", "OPTIONAL_STOP"), State.STOPPED),
    "WAIT": State.STARVED,
    "UNAVAILABLE": State.UNKNOWN,
}
"""EXECUTION of MTConnect. Source: ANSI/MTC1.4, part 2."""
