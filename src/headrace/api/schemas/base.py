"""What all shapes share: strictness, times as RFC 3339 text, exact values, and the one shape of an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from headrace.model.batch import Value, ValueKind
from headrace.model.time import format_time
from headrace.sdk.access import Action

#: Integers beyond this are not exact in JavaScript, so they travel as decimal text. Source: RFC 8259 §6.
EXACT_INTEGER_MAX: Final = 2**53 - 1

Title = Annotated[Mapping[str, str], Field(description="Display text by language.", examples=[{"en": "Press 3"}])]
Time = Annotated[str, Field(description="RFC 3339, UTC, ns.", examples=["2026-11-22T08:00:00.25Z"])]
JsonValue = Annotated[
    float | int | bool | str | None,
    Field(description="Exact; an int64 beyond ±(2^53−1) is decimal text; null for NaN and infinities."),
]
WriteValue = Annotated[
    StrictBool
    | Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)]
    | Annotated[StrictFloat, Field(allow_inf_nan=False)]
    | Annotated[StrictStr, Field(max_length=65_536)],
    Field(description="An int64 beyond ±(2^53−1) may be written as decimal text."),
]


class Answer(BaseModel):
    """What the API sends."""

    model_config = ConfigDict(frozen=True)


class Request(BaseModel):
    """What the API takes: an unknown field is an error, and so is a value of another type than is said."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


#: A right by its name: JSON has no enumerations, which a strict model would ask for.
ActionName = Annotated[Action, Field(strict=False)]


class DeclarationError(Answer):
    """Where a declaration is wrong. Lines and columns count from 1."""

    file: str | None
    line: int | None
    column: int | None
    message: str


class ErrorDetail(Answer):
    """`code` is for programs and stable, `message` for people, `hint` says what to do next."""

    code: str = Field(examples=["not-found"])
    message: str = Field(examples=["there is no point 'acme/suzhou/press-3/oil.temperatur'"])
    hint: str | None = Field(None, examples=["did you mean 'acme/suzhou/press-3/oil.temperature'?"])
    errors: list[DeclarationError] | None = Field(None, description="Every wrong declaration, where that is the cause.")


class ErrorAnswer(Answer):
    error: ErrorDetail


KindLabel = Literal["float64", "int64", "bool", "text"]
_KIND_LABELS: Final[Mapping[ValueKind, KindLabel]] = {
    ValueKind.FLOAT64: "float64",
    ValueKind.INT64: "int64",
    ValueKind.BOOL: "bool",
    ValueKind.TEXT: "text",
}


def kind_label(kind: ValueKind) -> KindLabel:
    return _KIND_LABELS[kind]


def time_text(time_ns: int | None) -> str | None:
    return None if time_ns is None else format_time(time_ns)


def json_value(value: Value | None) -> Any:
    """One value for JSON: NaN and infinities are None, big integers are text."""
    if isinstance(value, float):
        return value if value - value == 0.0 else None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > EXACT_INTEGER_MAX:
        return str(value)
    return value
