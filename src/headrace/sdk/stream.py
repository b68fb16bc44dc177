"""Stream functions: what somebody who writes Python declares, and what the function gets and gives.

    @stream(window="10s", by="asset", inputs={"oil": "oil.temperature [Cel]"}, outputs={"oil.mean": "[Cel]"})
    def warm(columns, state, window):            columns: an Arrow record batch of one window of one key
        return {"oil.mean": pc.mean(columns["oil"]).as_py()}

    samples ─► key (asset, point, all) ─► window in event time ─► joined by time ─► the function ─► points

Nothing here runs: `compute/streams/` does. Why and how: docs/decisions/0041-stream-functions.md.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Final

from headrace.model.batch import ValueKind
from headrace.model.errors import ConfigError, DataError
from headrace.model.points import check_path
from headrace.model.time import MINUTE_NS, SECOND_NS, parse_duration_ns

OVERLAP_MAX: Final = 600
"""How many sliding windows may hold one sample."""


class Kind(StrEnum):
    TUMBLING = "tumbling"
    SLIDING = "sliding"
    SESSION = "session"
    COUNT = "count"


class By(StrEnum):
    """What a key is: windows and state are kept apart for each."""

    ASSET = "asset"
    POINT = "point"
    ALL = "all"


class Late(StrEnum):
    """What happens to a sample whose window is closed already. It is counted either way."""

    DROP = "drop"
    UPDATE = "update"  # the window is worked out again; its outputs are written over


class Join(StrEnum):
    """How several inputs become the rows of one table."""

    WINDOW = "window"  # not at all: a row a sample, with the name of its input
    LATEST = "latest"  # a row wherever any input has a sample, the others as they stood
    ASOF = "asof"  # a row a sample of the first input, the others as they stood, within `tolerance`


@dataclass(frozen=True, slots=True)
class Window:
    """Half-open, in event time. `width_ns` is the gap of a session; `samples` is of count windows alone."""

    kind: Kind
    width_ns: int = 0
    every_ns: int = 0
    samples: int = 0


def tumbling(width: str) -> Window:
    """One after another, beginning at multiples of the width (UTC)."""
    width_ns = duration_ns(width)
    return Window(Kind.TUMBLING, width_ns, width_ns)


def sliding(width: str, *, every: str) -> Window:
    """One ends at each multiple of `every`. Raises: ConfigError."""
    width_ns, every_ns = duration_ns(width), duration_ns(every)
    if width_ns % every_ns or width_ns // every_ns > OVERLAP_MAX:
        raise ConfigError(f"a window of {width} every {every}: the width is to be 1 to {OVERLAP_MAX} times the step")
    return Window(Kind.SLIDING, width_ns, every_ns)


def session(*, gap: str) -> Window:
    """Samples that follow each other in less than `gap`."""
    return Window(Kind.SESSION, duration_ns(gap))


def count(samples: int) -> Window:
    """Each so many samples of a key, in the order of their times. Raises: ConfigError."""
    if samples < 1:
        raise ConfigError(f"a window of {samples} samples never ends; give 1 or more")
    return Window(Kind.COUNT, samples=samples)


_TEXT: Final = re.compile(r"([^\s\[\]]+)?(?: (float64|int64|bool|text))? ?(?:\[([^\[\]]*)\])?")


def _words(text: str) -> str:
    """With one space where there are many."""
    return " ".join(text[:2_000].split())


@dataclass(frozen=True, slots=True)
class Input:
    """Points that a function reads: by their name within an asset, or by path (it has a `/`), where `*` is any part.

    As text: `oil.temperature [Cel]`, `pieces int64`, `acme/*/boiler/steam.flow float64 [t/h]`.
    """

    point: str
    kind: ValueKind = ValueKind.FLOAT64
    unit: str = ""

    @classmethod
    def of(cls, given: Input | str) -> Input:
        """Raises: ConfigError."""
        if isinstance(given, Input):
            return given
        found = _TEXT.fullmatch(_words(given))
        if found is None or not found[1]:
            raise ConfigError(f"'{given}' names no input; write a point, its kind and unit: 'oil.temperature [Cel]'")
        return cls(found[1], ValueKind.from_label(found[2] or "float64"), found[3] or "")


@dataclass(frozen=True, slots=True)
class Output:
    """A point that a function makes. As text: `[Cel]`, `int64`, `float64 [bar]`."""

    kind: ValueKind = ValueKind.FLOAT64
    unit: str = ""

    @classmethod
    def of(cls, given: Output | str) -> Output:
        """Raises: ConfigError."""
        if isinstance(given, Output):
            return given
        found = _TEXT.fullmatch(f"_ {given.strip()}")
        if found is None:
            raise ConfigError(f"'{given}' is no kind and unit of an output, such as 'int64', '[Cel]', 'float64 [bar]'")
        return cls(ValueKind.from_label(found[2] or "float64"), found[3] or "")


class Reduce(StrEnum):
    """What can be made of the good values of an input in a window without writing a function."""

    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    SUM = "sum"
    COUNT = "count"
    STD = "std"  # of the population
    FIRST = "first"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class StreamFunction:
    """A declaration, checked when it is made.

    `body` gets `(columns)`, `(columns, state)` or `(columns, state, window)`: an Arrow record batch, the dict of its
    key (JSON and NumPy arrays, kept over restarts) and what window it is. It returns values by output name, None for
    nothing; or an Arrow table with `time` and outputs, a row a sample. With `vectorized` it gets the windows of many
    keys at once, with a column `window` that counts from 0; `window` then has columns, and it returns columns, a row a
    window. `reduce` says (input, what) for each output in place of a body.

    `lateness_ns`: how far a sample may be behind the newest of its key. `idle_ns`: what a key has begun is closed when
    nothing came of it while others went on by so much more. `keep_ns`: how long closed windows can still be corrected
    (`late="update"`).
    """

    name: str
    version: str
    inputs: Mapping[str, Input]
    outputs: Mapping[str, Output]
    window: Window
    by: By = By.ASSET
    join: Join = Join.LATEST
    tolerance_ns: int = 0
    lateness_ns: int = 0
    idle_ns: int = MINUTE_NS
    late: Late = Late.DROP
    keep_ns: int = 0
    to: str = ""
    assets: str = "*"
    vectorized: bool = False
    imports: tuple[str, ...] = ()
    samples_max: int = 5_000_000
    reduce: Mapping[str, tuple[str, Reduce]] = field(default_factory=dict)
    body: Callable[..., Any] | None = None
    takes: int = 1

    @property
    def strict(self) -> bool:
        """Whether samples are late as soon as they are older than `lateness` allows, be a window open or not."""
        return self.window.kind in (Kind.SESSION, Kind.COUNT) or self.joins

    @property
    def joins(self) -> bool:
        return len(self.inputs) > 1 and self.join is not Join.WINDOW and not self.reduce

    def __call__(self, *given: Any) -> Any:
        """The body itself, for tests of it."""
        if self.body is None:
            raise ConfigError(f"{self.name} reduces its inputs; it has no body to call")
        return self.body(*given)

    def __post_init__(self) -> None:
        _check(self)


def stream(
    *,
    inputs: Mapping[str, Input | str],
    outputs: Mapping[str, Output | str],
    window: Window | str,
    by: str = "asset",
    name: str = "",
    version: str = "1",
    join: str = "latest",
    tolerance: str = "",
    lateness: str = "",
    idle: str = "1min",
    late: str = "drop",
    keep: str = "1h",
    to: str = "",
    assets: str = "*",
    vectorized: bool = False,
    imports: tuple[str, ...] = (),
    samples_max: int = 5_000_000,
) -> Callable[[Callable[..., Any]], StreamFunction]:
    """Make a stream function of a Python function; `StreamFunction` says what each word means.

    Raises: ConfigError for a declaration that cannot be.
    """

    def declare(body: Callable[..., Any]) -> StreamFunction:
        return StreamFunction(
            name=name or body.__name__,
            version=version,
            inputs={one: Input.of(text) for one, text in inputs.items()},
            outputs={one: Output.of(text) for one, text in outputs.items()},
            window=tumbling(window) if isinstance(window, str) else window,
            by=_choice(By, by, "by"),
            join=_choice(Join, join, "join"),
            tolerance_ns=duration_ns(tolerance) if tolerance else 0,
            lateness_ns=duration_ns(lateness) if lateness else 0,
            idle_ns=duration_ns(idle),
            late=_choice(Late, late, "late"),
            keep_ns=duration_ns(keep) if late == "update" else 0,
            to=to,
            assets=assets,
            vectorized=vectorized,
            imports=imports,
            samples_max=samples_max,
            body=body,
            takes=len(inspect.signature(body).parameters),
        )

    return declare


def reduced(name: str, outputs: Mapping[str, tuple[str, str, str]], **declared: Any) -> StreamFunction:
    """A stream function without a body: `{"oil.mean": ("oil", "mean", "[Cel]")}`, input, what, kind and unit.

    Raises: ConfigError.
    """
    made = stream(name=name, outputs={one: kind for one, (_, _, kind) in outputs.items()}, **declared)(_nothing)
    reduce = {one: (of, _choice(Reduce, what, "what to make of an input")) for one, (of, what, _) in outputs.items()}
    return replace(made, reduce=reduce, body=None, takes=0)


def duration_ns(text: str) -> int:
    """`10s`, `1min`, `1h30m`; more than nothing. Raises: ConfigError."""
    try:
        found = parse_duration_ns(text.replace("min", "m"))
    except DataError as error:
        raise ConfigError(error.message) from None
    if not 0 < found < 10**9 * SECOND_NS:
        raise ConfigError(f"'{text}' is too short or too long here")
    return found


def _nothing(columns: Any) -> None:
    del columns


def _choice(kind: Any, given: str, what: str) -> Any:
    try:
        return kind(given)
    except ValueError:
        raise ConfigError(f"'{given}' is not taken for '{what}'; use {', '.join(map(str, kind))}") from None


_NAME: Final = re.compile(r"[\w][\w.-]{0,99}")


def _check(one: StreamFunction) -> None:
    for said, what in ((one.name, "name"), (one.version, "version")):
        if not _NAME.fullmatch(said):
            raise ConfigError(f"'{said}' is no {what} of a stream function; use letters, digits, '_', '.', '-'")
    where = f"stream function {one.name}"
    if not one.inputs or not one.outputs:
        raise ConfigError(f"{where} has no inputs or no outputs; declare both")
    for name, given in one.inputs.items():
        if not name.isidentifier() or name in {"time", "key", "window", "input", "value", "quality"}:
            raise ConfigError(f"{where}: '{name}' cannot be the name of an input")
        if given.kind is ValueKind.TEXT:
            raise ConfigError(f"{where}: input '{name}' is text, which stream functions do not take yet")
    for name, output in one.outputs.items():
        _check_output(where, name, output)
    if one.by is By.POINT and len(one.inputs) > 1:
        raise ConfigError(f'{where}: by="point" has one input; each of its points is a key')
    if (one.by is By.ALL) != bool(one.to):
        raise ConfigError(f'{where}: `to` names the asset of the outputs, with by="all" and only there')
    if one.late is Late.UPDATE and (one.strict or one.takes > 1):
        raise ConfigError(f'{where}: late="update" is for tumbling and sliding windows without state and joins')
    if one.tolerance_ns and one.join is not Join.ASOF:
        raise ConfigError(f'{where}: tolerance goes with join="asof"')
    if one.body is not None and not 1 <= one.takes <= 3:
        raise ConfigError(f"{where}: it takes (columns), (columns, state) or (columns, state, window)")
    for of, _ in one.reduce.values():
        if of not in one.inputs:
            raise ConfigError(f"{where}: '{of}' is not one of its inputs")


def _check_output(where: str, name: str, output: Output) -> None:
    """It becomes a point of the plant. Raises: ConfigError."""
    if output.kind is ValueKind.TEXT:
        raise ConfigError(f"{where}: text outputs are not made yet")
    if "/" in name:
        raise ConfigError(f"{where}: output '{name}' has a '/'; it is one name, below the asset")
    if output.unit and output.kind is ValueKind.BOOL:
        raise ConfigError(f"{where}: output '{name}' is true or false; it has no unit")
    try:
        check_path(name)
    except DataError as error:
        raise ConfigError(f"{where}: output '{name}': {error.message}") from None


def described(function: StreamFunction) -> dict[str, Any]:
    """The declaration without its body, as JSON."""
    found: dict[str, Any] = {
        one.name: getattr(function, one.name) for one in fields(function) if one.name not in ("body", "reduce")
    }
    found["inputs"] = {name: [one.point, one.kind.label, one.unit] for name, one in function.inputs.items()}
    found["outputs"] = {name: [one.kind.label, one.unit] for name, one in function.outputs.items()}
    found["window"] = {one.name: getattr(function.window, one.name) for one in fields(Window)}
    found["imports"] = list(function.imports)
    found["reduce"] = {name: [of, what.value] for name, (of, what) in function.reduce.items()}
    return found


def from_description(found: Mapping[str, Any], body: Callable[..., Any]) -> StreamFunction:
    """The inverse, of text that nobody vouches for. Raises: ConfigError."""
    try:
        given = dict(found)
        window = given.pop("window")
        return StreamFunction(
            **{
                **given,
                "inputs": {
                    str(name): Input(str(point), ValueKind.from_label(kind), str(unit))
                    for name, (point, kind, unit) in given["inputs"].items()
                },
                "outputs": {
                    str(name): Output(ValueKind.from_label(kind), str(unit))
                    for name, (kind, unit) in given["outputs"].items()
                },
                "window": Window(Kind(window["kind"]), *(int(window[one.name]) for one in fields(Window)[1:])),
                "by": By(given["by"]),
                "join": Join(given["join"]),
                "late": Late(given["late"]),
                "imports": tuple(map(str, given["imports"])),
                **{name: int(given[name]) for name in given if name.endswith("_ns") or name in _WHOLE},
                "reduce": (
                    reduce := {str(name): (str(of), Reduce(what)) for name, (of, what) in given["reduce"].items()}
                ),
                "body": None if reduce else body,
            }
        )
    except (TypeError, ValueError, KeyError, AttributeError, DataError) as error:
        raise ConfigError(f"this describes no stream function: {error}") from None


_WHOLE: Final = ("samples_max", "takes")
