"""`headrace plan|apply|export`: a folder of YAML against what the platform has.

With a platform running the command is its client; without one it works on the database in `--home` itself.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from headrace.cli.client import DEFAULT_HOME, HomeOption, JsonOption, ServerOption, connect, running
from headrace.cli.output import note, print_json, say
from headrace.model.errors import ConfigError, ConfigErrors
from headrace.sdk.services import Plan, SourceFile

FolderOption = Annotated[Path, typer.Option("--file", "-f", help="Folder (or one file) of declarations, *.yaml.")]
KeepOption = Annotated[bool, typer.Option("--keep", help="Leave alone what the folder does not mention.")]

_SIGNS = {"create": ("+", "green"), "change": ("~", "yellow"), "remove": ("-", "red")}


def plan(
    folder: FolderOption,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    keep: KeepOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what `apply` would create, change and remove; changes nothing."""
    document = _planned(read_folder(folder), home, server, prune=not keep)
    _show(document, as_json)


def apply(
    folder: FolderOption,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    keep: KeepOption = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the plan, ask, and make the platform what the folder says."""
    files = read_folder(folder)
    document = _planned(files, home, server, prune=not keep)
    if not document["changes"]:
        _show(document, as_json)
        return
    if not yes:
        _show(document, False)
        typer.confirm("Apply this?", abort=True, err=True)
    if server or _alive(home):
        body = {"files": _as_json(files), "prune": not keep, "revision": document["revision"]}
        document = connect(home, server).post("/declarations/apply", body)
    else:
        document = asyncio.run(_offline(home, files, prune=not keep, apply_it=True))
    _show(document, as_json, done=True)


def export(
    folder: FolderOption,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write what is declared as YAML files; applying them changes nothing."""
    if server or _alive(home):
        files = [SourceFile(f["name"], f["text"]) for f in connect(home, server).get("/declarations")["files"]]
    else:
        files = asyncio.run(_offline_export(home))
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        target = folder / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(file.text, encoding="utf-8")
    if as_json:
        print_json({"folder": str(folder), "files": [file.name for file in files]})
    else:
        note(f"{len(files)} files written to {folder}")


def read_folder(folder: Path) -> list[SourceFile]:
    """Every `*.yaml`/`*.yml` below a folder, sorted, or one file. Raises: ConfigError."""
    if folder.is_file():
        paths, base = [folder], folder.parent
    elif folder.is_dir():
        base = folder
        paths = sorted(path for path in folder.rglob("*") if path.suffix in (".yaml", ".yml") and path.is_file())
    else:
        raise ConfigError(f"'{folder}' is no folder and no file; name the place of your *.yaml with -f")
    if not paths:
        raise ConfigError(f"'{folder}' holds no *.yaml; to see what one looks like: headrace export -f {folder}")
    files = []
    for path in paths:
        try:
            files.append(SourceFile(path.relative_to(base).as_posix(), path.read_text(encoding="utf-8-sig")))
        except UnicodeDecodeError as error:
            raise ConfigError(f"not UTF-8 at byte {error.start}; save the file as UTF-8", file=str(path)) from None
    return files


def _alive(home: Path) -> bool:
    return running(home) is not None or running(home / "demo") is not None


def _as_json(files: list[SourceFile]) -> list[dict[str, str]]:
    return [{"name": file.name, "text": file.text} for file in files]


def _planned(files: list[SourceFile], home: Path, server: str | None, *, prune: bool) -> dict[str, Any]:
    if server or _alive(home):
        document: dict[str, Any] = connect(home, server).post(
            "/declarations/plan", {"files": _as_json(files), "prune": prune}
        )
    else:
        document = asyncio.run(_offline(home, files, prune=prune, apply_it=False))
    if document["errors"]:
        raise ConfigErrors(
            [
                ConfigError(error["message"], file=error["file"], line=error["line"], column=error["column"])
                for error in document["errors"]
            ]
        )
    return document


async def _offline(home: Path, files: list[SourceFile], *, prune: bool, apply_it: bool) -> dict[str, Any]:
    from headrace.platform.offline import open_registry

    async with open_registry(home) as registry:
        if not apply_it:
            return _document(await registry.plan(files, prune=prune))
        done, model = await registry.apply(files, actor="local", prune=prune)
        return {**_document(done), "revision": model.revision}


async def _offline_export(home: Path) -> list[SourceFile]:
    from headrace.platform.offline import open_registry

    async with open_registry(home) as registry:
        return list(await registry.export())


def _document(plan: Plan) -> dict[str, Any]:
    return {
        "revision": plan.revision,
        "changes": [
            {
                "action": change.action.value,
                "kind": change.kind,
                "key": change.key,
                "details": [{"field": d.field, "old": d.old, "new": d.new} for d in change.details],
            }
            for change in plan.changes
        ],
        "errors": [
            {"file": error.file, "line": error.line, "column": error.column, "message": error.message}
            for error in plan.errors
        ],
    }


def _show(document: dict[str, Any], as_json: bool, *, done: bool = False) -> None:
    if as_json:
        print_json(document)
        return
    changes = document["changes"]
    if not done:
        for change in changes:
            sign, colour = _SIGNS[change["action"]]
            say(f"{sign} {change['kind']} {change['key']}", fg=colour)
            for detail in change["details"] if change["action"] == "change" else ():
                say(f"    {detail['field']}: {_brief(detail['old'])} → {_brief(detail['new'])}")
    count = {action: sum(change["action"] == action for change in changes) for action in _SIGNS}
    summary = f"{count['create']} to create, {count['change']} to change, {count['remove']} to remove"
    if done:
        summary = f"applied as revision {document['revision']}: " + summary.replace(" to ", " ")
        summary = summary.replace("create", "created").replace("change", "changed").replace("remove", "removed")
    elif not changes:
        summary = "nothing to do: the platform is as the folder says"
    say(summary)


def _brief(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 80 else text[:77] + "…"
