"""Pages of widgets as whoever draws them gets them: kinds, sources, and how a value is shown."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field

from headrace.api.schemas.apps import SettingAnswer
from headrace.api.schemas.base import Answer, Title
from headrace.sdk.app_desk import AppPage
from headrace.sdk.apps.widgets import Input, TableColumn, Widget, WidgetPage

Call = Literal["POST", "PUT", "PATCH", "DELETE"]


class ColumnAnswer(Answer):
    field: str = Field(description="Where in a row; dots go into what is within.")
    title: Title
    kind: Literal["text", "number", "time", "duration", "asset", "percent"] = Field(
        description="`time` is ns since 1970 or RFC 3339, `duration` s, `percent` a ratio, `asset` a path."
    )
    unit: str = Field(description="UCUM.")
    decimals: int | None

    @classmethod
    def of(cls, one: TableColumn) -> Self:
        return cls(
            field=one.field, title=dict(one.title), kind=one.kind.value, unit=one.unit, decimals=one.decimals
        )  # fmt: skip


class InputAnswer(Answer):
    """Chosen on the page; it is in the query of every source."""

    name: str
    kind: Literal["date", "text", "choice", "asset"]
    title: Title
    choices: list[str]
    default: str

    @classmethod
    def of(cls, one: Input) -> Self:
        return cls(
            name=one.name, kind=one.kind.value, title=dict(one.title), choices=list(one.choices), default=one.default
        )


class WidgetAnswer(Answer):
    """What is empty does not belong to its kind."""

    kind: Literal["number", "table", "bar", "trend", "text", "form", "button"]
    title: Title
    source: str = Field(description="A GET route of the app.", examples=["/hours"])
    rows: str = Field(description="Where the list is in what it answers; empty where it is one itself.")
    value: str
    label: str
    unit: str = Field(description="UCUM.")
    decimals: int | None
    columns: list[ColumnAnswer]
    points: list[str] = Field(description="Of a trend.")
    span_s: int = Field(description="How far back a trend goes.")
    text: Title
    method: Call | None = Field(description="Of a form or a button.")
    path: str = Field(description="The route that it calls.")
    button: Title
    confirm: Title = Field(description="What is asked before it is called; empty where nothing is.")
    fields: list[SettingAnswer]

    @classmethod
    def of(cls, one: Widget) -> Self:
        method, _, path = one.call.partition(" ")
        known: dict[str, Call] = {"POST": "POST", "PUT": "PUT", "PATCH": "PATCH", "DELETE": "DELETE"}
        return cls(
            kind=one.kind.value, title=dict(one.title), source=one.source, rows=one.rows, value=one.value,
            label=one.label, unit=one.unit, decimals=one.decimals,
            columns=[ColumnAnswer.of(column) for column in one.columns], points=list(one.points), span_s=one.span_s,
            text=dict(one.text or {}), method=known.get(method), path=path, button=dict(one.button or {}),
            confirm=dict(one.confirm or {}), fields=[SettingAnswer.of(field) for field in one.fields],
        )  # fmt: skip


class WidgetPageAnswer(Answer):
    app: str
    page: str
    title: Title
    version: str
    refresh_s: int = Field(description="How often sources are asked anew; 0 is when somebody says so.")
    inputs: list[InputAnswer]
    rows: list[list[WidgetAnswer]]

    @classmethod
    def of(cls, page: AppPage, drawn: WidgetPage) -> Self:
        return cls(
            app=page.app, page=page.page.name, title=dict(page.page.title), version=page.version,
            refresh_s=drawn.refresh_s, inputs=[InputAnswer.of(one) for one in drawn.inputs],
            rows=[[WidgetAnswer.of(one) for one in row] for row in drawn.rows],
        )  # fmt: skip
