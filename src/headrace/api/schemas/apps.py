"""Apps: what is installed, what it asks for, what was taken in, and how it fares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from headrace.api.schemas.base import Answer, Request, Time, Title, time_text
from headrace.model.time import format_time
from headrace.sdk.access import Action
from headrace.sdk.app_desk import (
    AppLogLine,
    AppPage,
    AppUse,
    AppVersion,
    BackTables,
    InstalledApp,
    KeptData,
    SettingsForm,
    ShelvedApp,
)
from headrace.sdk.apps.manifest import Page, Permissions
from headrace.sdk.apps.settings import Setting

Origin = Literal["built-in", "package", "folder", "wheel"]
Data = Annotated[KeptData, Field(strict=False, description="What becomes of tables, documents and settings.")]
Values = Annotated[
    Mapping[str, Any], Field(description="By the names of the form; secrets are given, and never shown.")
]


class PermissionsAnswer(Answer):
    """Places are paths with what is below them, or globs of paths."""

    assets: list[str] = Field(description="What it sees of the model.")
    read: list[str] = Field(description="Points whose samples it reads.")
    write: list[str] = Field(description="Points that it may write, as itself, with all checks of a write.")
    events: list[str]
    publish: list[str]
    alarms: bool
    hosts: list[str] = Field(description="What it may call over HTTP.", examples=[["api.example.com:443"]])
    sign: bool
    documents_mb: int
    tables_mb: int

    @classmethod
    def of(cls, one: Permissions) -> Self:
        return cls(
            assets=list(one.assets), read=list(one.read), write=list(one.write), events=list(one.events),
            publish=list(one.publish), alarms=one.alarms, hosts=list(one.hosts), sign=one.sign,
            documents_mb=one.documents_mb, tables_mb=one.tables_mb,
        )  # fmt: skip


class AppVersionAnswer(Answer):
    version: str
    origin: Origin
    sha256: str = Field(description="Of the package's manifest, which names every file by digest.")
    signers: list[str] = Field(description="Publishers that this platform trusts; none of what is not signed.")
    added_at: Time | None = Field(description="Null for what is built in.")
    added_by: str

    @classmethod
    def of(cls, one: AppVersion) -> Self:
        return cls(
            version=one.version, origin=one.origin.value, sha256=one.sha256, signers=list(one.signers),
            added_at=format_time(one.added_ns) if one.added_ns else None, added_by=one.by,
        )  # fmt: skip


class PageAnswer(Answer):
    name: str
    kind: Literal["module", "widgets"]
    file: str
    title: Title
    action: Action = Field(description="The right on the assets of the app that it takes to see it.")

    @classmethod
    def of(cls, one: Page) -> Self:
        return cls(name=one.name, kind=one.kind.value, file=one.file, title=dict(one.title), action=one.action)


class AppAnswer(Answer):
    """An app as the caller's tenant sees it."""

    name: str
    title: Title
    summary: Title
    publisher: str = Field(description="As the app says; `signers` of its versions are what is proved.")
    licence: str = Field(examples=["Apache-2.0"])
    licence_text: str = Field(description="Of one app, not in lists; empty where it brings none.")
    origin: Origin
    state: Literal["available", "disabled", "starting", "running", "halted"]
    offered: str = Field(description="The newest version, or the one that was rolled back to.")
    version: str = Field(description="The version that runs, or would.")
    permissions: PermissionsAnswer = Field(description="What the version offered asks for.")
    accepted: PermissionsAnswer | None
    asks: list[str] = Field(description="What is asked beyond what was accepted; it waits until that is accepted.")
    trouble: str
    memory_mb: int
    call_s: float
    pages: list[PageAnswer]
    changed_by: str
    changed_at: Time | None
    versions: list[AppVersionAnswer]

    @classmethod
    def of(cls, one: InstalledApp) -> Self:
        made = one.manifest
        return cls(
            name=made.name, title=dict(made.title), summary=dict(made.summary), publisher=made.publisher,
            licence=made.licence, licence_text=one.licence_text, origin=one.origin.value, state=one.state.value,
            offered=made.version, version=one.version, permissions=PermissionsAnswer.of(made.permissions),
            accepted=None if one.accepted is None else PermissionsAnswer.of(one.accepted), asks=list(one.asks),
            trouble=one.trouble, memory_mb=made.limits.memory_mb, call_s=made.limits.call_s,
            pages=[PageAnswer.of(page) for page in made.pages], changed_by=one.by, changed_at=time_text(one.since_ns),
            versions=[AppVersionAnswer.of(version) for version in one.versions],
        )  # fmt: skip


class ShelvedAppAnswer(Answer):
    """An app as the platform's operator sees it."""

    name: str
    title: Title
    owner: str = Field(description="The tenant that alone sees it; `default` for all.")
    offered: str
    versions: list[AppVersionAnswer]
    tenants: int = Field(description="How many have it enabled.")
    trouble: str

    @classmethod
    def of(cls, one: ShelvedApp) -> Self:
        return cls(
            name=one.name, title=dict(one.title), owner=one.owner, offered=one.offered,
            versions=[AppVersionAnswer.of(version) for version in one.versions], tenants=one.tenants,
            trouble=one.trouble,
        )  # fmt: skip


class LocalApp(Request):
    """What the command left on the platform's own machine: `headrace app install FOLDER` does both."""

    ticket: str = Field(max_length=60)
    source: str = Field("", max_length=500, description="Where it came from, for the audit trail.")


class RollBackApp(Request):
    tables: Annotated[BackTables, Field(strict=False)] = Field(
        BackTables.KEEP,
        description="`restore`: as they were before the update; what was written since is set aside in each export.",
    )
    why: str = Field("", max_length=500, description="For the audit trail.")


class EnableApp(Request):
    """Accepts what this version asks for."""

    version: str = Field(max_length=40, description="The version whose permissions were read; 409 if it is another.")
    settings: Values | None = Field(None, description="Null leaves what was filled in before.")


class DisableApp(Request):
    data: Data = KeptData.KEEP


class SettingAnswer(Answer):
    """One field of a form."""

    name: str
    kind: Literal[
        "text", "number", "integer", "boolean", "choice", "duration", "zone", "asset", "point", "table", "secret"
    ]
    title: Title
    help: Title
    default: Any
    optional: bool
    many: bool
    unit: str = Field(description="UCUM.")
    low: float | None
    high: float | None
    choices: Mapping[str, Title]
    columns: list[SettingAnswer]

    @classmethod
    def of(cls, one: Setting) -> Self:
        return cls(
            name=one.name, kind=one.kind.value, title=dict(one.title), help=dict(one.help), default=one.default,
            optional=one.optional, many=one.many, unit=one.unit, low=one.low, high=one.high,
            choices={name: dict(title) for name, title in one.choices.items()},
            columns=[cls.of(column) for column in one.columns],
        )  # fmt: skip


class SettingsAnswer(Answer):
    form: list[SettingAnswer]
    values: Values
    secrets: list[str] = Field(description="Secrets that are filled in.")

    @classmethod
    def of(cls, one: SettingsForm) -> Self:
        return cls(
            form=[SettingAnswer.of(each) for each in one.settings], values=dict(one.values), secrets=list(one.filled)
        )


class NewSettings(Request):
    """All of them: what is left out gets its default. A secret that is left out stays; null takes it away."""

    values: Values


class AppHealthAnswer(Answer):
    calls: int
    failures: int
    restarts: int
    call_ms_mean: float
    cpu_s: float | None = Field(description="Of its process; null where there is none.")
    memory_bytes: int | None
    tables_bytes: int
    documents_bytes: int
    started_at: Time | None
    failure: str = Field(description="What went wrong last.")
    failed_at: Time | None
    fences: bool = Field(description="Whether the kernel holds it.")
    jobs: Mapping[str, Time | None] = Field(description="When each is due next.")

    @classmethod
    def of(cls, one: AppUse) -> Self:
        return cls(
            calls=one.calls, failures=one.failures, restarts=one.restarts, call_ms_mean=one.call_ms_mean,
            cpu_s=one.cpu_s, memory_bytes=one.memory_bytes, tables_bytes=one.tables_bytes,
            documents_bytes=one.documents_bytes, started_at=time_text(one.started_ns), failure=one.failure,
            failed_at=time_text(one.failed_ns), fences=one.fences,
            jobs={name: time_text(due) for name, due in one.jobs.items()},
        )  # fmt: skip


class LogLineAnswer(Answer):
    time: Time
    text: str

    @classmethod
    def of(cls, one: AppLogLine) -> Self:
        return cls(time=format_time(one.time_ns), text=one.text)


class AppPageAnswer(PageAnswer):
    """A page that the caller may see. `frame` is an address for a sandboxed frame, of pages that are modules."""

    app: str
    app_title: Title
    version: str
    url: str = Field(examples=["/api/v1/apps/acme.press-view/pages/terminal.js"])
    frame: str | None = Field(examples=["/api/v1/apps/acme.press-view/frames/terminal"])

    @classmethod
    def seen(cls, one: AppPage, url: str, frame: str | None) -> Self:
        page = one.page
        return cls(
            name=page.name, kind=page.kind.value, file=page.file, title=dict(page.title), action=page.action,
            app=one.app, app_title=dict(one.app_title), version=one.version, url=url, frame=frame,
        )  # fmt: skip
