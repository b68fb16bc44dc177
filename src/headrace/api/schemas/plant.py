"""Assets, points and declarations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from headrace.api.schemas.base import Answer, DeclarationError, KindLabel, Request, Title, kind_label
from headrace.model.alarms import AlarmRule
from headrace.model.calculations import Calculation
from headrace.model.errors import ConfigError, ConfigErrors
from headrace.model.points import Point, Range
from headrace.model.time import MILLISECOND_NS
from headrace.sdk.services import Plan, SourceFile

Severity = Literal["good", "uncertain", "bad"]


class AlarmCounts(Answer):
    """Alarms that are annunciated, by priority."""

    critical: int = 0
    high: int = 0
    medium: int = 0
    low: int = 0


class AssetNode(Answer):
    """A node of the equipment hierarchy. `points`, `alarms` and `worst_quality` speak of the whole subtree."""

    path: str = Field(examples=["acme/suzhou/press-shop/line-1/press-3"])
    parent: str | None
    level: str = Field(examples=["equipment"])
    title: Title
    type: str | None = Field(examples=["hydraulic-press"])
    attributes: Mapping[str, str]
    feeds: list[str] = Field(description="Assets that it supplies: where it fails, they follow.")
    points: int
    alarms: AlarmCounts
    worst_quality: Severity | None = Field(description="Of the newest samples; null without points.")


class TypeAnswer(Answer):
    """A template of assets: how many points it gives, and what an asset may say, with defaults."""

    name: str = Field(examples=["hydraulic-press"])
    version: int
    title: Title
    points: int
    parameters: Mapping[str, StrictBool | StrictInt | StrictFloat | StrictStr]


class RangeAnswer(Answer):
    """Inclusive, in the point's unit."""

    low: float
    high: float

    @classmethod
    def of(cls, span: Range | None) -> Self | None:
        return None if span is None else cls(low=span.low, high=span.high)


class PointRule(Answer):
    """An alarm rule of a point: where the normal band of its indicator ends."""

    rule: str = Field(examples=["acme/suzhou/press-shop/line-1/press-3/oil.temperature:hot"])
    condition: Literal["high", "low", "rate", "deviation", "stale", "equals", "expression"]
    limit: float = Field(description="In the point's unit; per second for rate, seconds for stale.")
    priority: Literal["critical", "high", "medium", "low"]


class PointAnswer(Answer):
    """One time series of an asset."""

    path: str = Field(examples=["acme/suzhou/press-shop/line-1/press-3/oil.temperature"])
    asset: str
    name: str = Field(examples=["oil.temperature"])
    kind: KindLabel
    unit: str = Field(description="UCUM.", examples=["Cel"])
    range: RangeAnswer | None
    write_range: RangeAnswer | None
    access: Literal["read", "read-write"]
    critical: bool = Field(description="Whether a second person must approve each write.")
    title: Title
    decimals: int | None
    connection: str | None
    address: Mapping[str, Any] | None = Field(description="In the words of the connection's driver.")
    interval_ms: float | None
    expression: str | None = Field(description="Of a calculated point; in the words of docs/expressions.md.")
    inputs: list[str] = Field(description="Paths of the points that it is calculated from.")
    function: str | None = Field(description="The stream function that makes it.")
    retention: str = Field(description="The class that says how long it is kept.", examples=["default"])
    alarms: list[PointRule]

    @classmethod
    def of(cls, point: Point, rules: Sequence[AlarmRule] = (), calculation: Calculation | None = None) -> Self:
        source = point.source
        return cls(
            path=point.path,
            asset=point.asset_path,
            name=point.name,
            kind=kind_label(point.kind),
            unit=point.unit,
            range=RangeAnswer.of(point.range),
            write_range=RangeAnswer.of(point.write_range or point.range) if point.writable else None,
            access=point.access.value,
            critical=point.guard.critical,
            title=dict(point.title),
            decimals=point.decimals,
            connection=source.connection if source else None,
            address=dict(source.address) if source else None,
            interval_ms=source.interval_ns / MILLISECOND_NS if source else None,
            expression=None if calculation is None else point.expression,
            inputs=[] if calculation is None else list(calculation.inputs.values()),
            function=point.function or None,
            retention=point.retention,
            alarms=[
                PointRule.model_construct(
                    rule=rule.name, condition=rule.condition.value, limit=rule.limit, priority=rule.priority.value
                )
                for rule in rules
            ],
        )


class PointPage(Answer):
    points: list[PointAnswer]
    next_cursor: str | None
    total: int = Field(description="All that match, on every page.")


class DeclarationFile(Request):
    """One YAML file of a declaration folder."""

    name: str = Field(min_length=1, max_length=255, examples=["line-1.yaml"])
    text: str


class Declarations(Answer):
    revision: int
    files: list[DeclarationFile]


class PlanRequest(Request):
    """`prune` removes what the files lack."""

    files: list[DeclarationFile] = Field(max_length=10_000)
    prune: bool = True

    def sources(self) -> list[SourceFile]:
        return [SourceFile(file.name, file.text) for file in self.files]


class ApplyRequest(PlanRequest):
    revision: int | None = Field(None, description="Refused with 409 unless this is still the current revision.")


class FieldChangeAnswer(Answer):
    field: str
    old: Any
    new: Any


class ChangeAnswer(Answer):
    action: Literal["create", "change", "remove"]
    kind: str = Field(
        description="retention, type, connection, alarm-class, asset, point, alarm, ingest, outlet, channel…"
    )
    key: str
    details: list[FieldChangeAnswer]


class PlanAnswer(Answer):
    """What applying would do, or did. With `errors` nothing can be applied."""

    revision: int
    changes: list[ChangeAnswer]
    errors: list[DeclarationError]

    @classmethod
    def of(cls, plan: Plan, revision: int | None = None) -> Self:
        return cls(
            revision=plan.revision if revision is None else revision,
            changes=[
                ChangeAnswer(
                    action=change.action.value,
                    kind=change.kind,
                    key=change.key,
                    details=[FieldChangeAnswer(field=d.field, old=d.old, new=d.new) for d in change.details],
                )
                for change in plan.changes
            ],
            errors=[one for error in plan.errors for one in declaration_errors(error)],
        )


def declaration_errors(error: ConfigError) -> list[DeclarationError]:
    parts = error.errors if isinstance(error, ConfigErrors) else [error]
    return [DeclarationError(file=e.file, line=e.line, column=e.column, message=e.message) for e in parts]
