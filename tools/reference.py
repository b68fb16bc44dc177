"""`make docs`: docs/reference.md and docs/openapi.json from the code itself. `--check` says whether they are stale.

commands from typer · drivers, outlets and channels from their manifests and pydantic models · routes from OpenAPI ·
errors from the tree
"""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import typer
from pydantic import BaseModel

from headrace.cli.main import app
from headrace.connect import drivers, outlets
from headrace.connect.messengers import all_messengers
from headrace.model import errors
from headrace.model.time import MILLISECOND_NS, format_duration

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference.md"
OPENAPI = ROOT / "docs" / "openapi.json"

HEAD = """# Reference

Generated from the code by `make docs`; do not edit. The HTTP interface in full is [openapi.json](openapi.json), and
a running platform serves it at `/api/v1/openapi.json`.
"""


def main() -> None:
    openapi = subprocess.run(
        [sys.executable, "-m", "headrace.api.openapi"], capture_output=True, text=True, check=True
    ).stdout
    wanted = {PAGE: page(json.loads(openapi)), OPENAPI: openapi}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv:
        sys.exit(f"stale: {', '.join(path.name for path in stale)}; run `make docs`" if stale else 0)
    for path in stale:
        path.write_text(wanted[path])
        print(f"wrote {path.relative_to(ROOT)}")


def page(openapi: dict[str, Any]) -> str:
    """The whole reference as Markdown."""
    parts = [HEAD, *commands(), *driver_pages(), *outlet_pages(), *channel_pages(), *routes(openapi), *error_tree()]
    return "\n".join(parts).rstrip() + "\n"


def commands() -> Iterator[str]:
    yield "## Commands\n"
    root = typer.main.get_command(app)
    for path, command in _walk(root, "headrace"):
        yield f"### `{path}`\n"
        yield f"{(command.help or '').strip()}\n"
        rows = [_parameter(parameter) for parameter in command.params if parameter.name != "help"]
        if rows:
            yield "| | | default |\n|---|---|---|"
            yield from rows
            yield ""


def _walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    children: dict[str, Any] | None = getattr(command, "commands", None)
    if children:
        for name, child in children.items():
            yield from _walk(child, f"{path} {name}")
    else:
        yield path, command


def _parameter(parameter: Any) -> str:
    argument = getattr(parameter, "param_type_name", "") == "argument"
    name = (parameter.name or "").upper() if argument else ", ".join([*parameter.opts, *parameter.secondary_opts])
    default = parameter.default
    shown = "" if default in (None, "", False, ()) or callable(default) or "UNSET" in repr(default) else f"`{default}`"
    text = getattr(parameter, "help", "") or ""
    variable = getattr(parameter, "envvar", None)
    if variable:
        text += f" Variable: `{variable}`."
    return f"| `{name}` | {text} | {'required' if parameter.required else shown} |"


def driver_pages() -> Iterator[str]:
    yield "## Drivers\n"
    for name, driver in sorted(drivers.load().items()):
        yield f"### `{name}`: {driver.title}\n"
        yield "Settings of a connection:\n"
        yield from _fields(driver.settings)
        yield "Address of a point:\n"
        yield from _fields(driver.address)


def outlet_pages() -> Iterator[str]:
    yield "## Outlets\n"
    for name, outlet in sorted(outlets.load().items()):
        yield f"### `{name}`: {outlet.title}\n"
        yield from _fields(outlet.settings)


def channel_pages() -> Iterator[str]:
    yield "## Channels to people\n"
    for name, messenger in sorted(all_messengers().items()):
        yield f"### `{name}`: {messenger.title}\n"
        reached = f"People are reached by their `{messenger.address}`." if messenger.address else ""
        if messenger.group:
            named = f", which mentions people by their `{messenger.address}`" if messenger.address else ""
            reached = f"One message for all{named}."
        yield f"{reached}\n"
        yield from _fields(messenger.settings)


def _fields(model: type[BaseModel]) -> Iterator[str]:
    yield "| name | type | default | meaning |\n|---|---|---|---|"
    yield from _field_rows(model, "")
    yield ""


def _field_rows(model: type[BaseModel], above: str) -> Iterator[str]:
    """One row a field; what is a model itself is opened, its fields named `payload.topic`."""
    schema = model.model_json_schema()
    for name, field in model.model_fields.items():
        shown = f"{above}{field.alias or name}"
        kind = _kind(schema["properties"][field.alias or name], schema.get("$defs", {}))
        kind = "duration" if name.endswith("_ns") else kind
        inner = next((one for one in _models(field.annotation)), None)
        default = "required" if field.is_required() else _default(field.get_default(call_default_factory=True), name)
        if inner is not None and not field.is_required():
            default = ""
        yield f"| `{shown}` | {kind} | {default} | {field.description or ''} |"
        if inner is not None and get_origin(field.annotation) is not dict:
            yield from _field_rows(inner, f"{shown}.")


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The pydantic models in a field's type."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _kind(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """`text`, `integer 1 … 125` or the words to choose from."""
    if "$ref" in schema:
        return _kind(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for several in ("anyOf", "allOf"):
        if several in schema:
            kinds = [_kind(one, definitions) for one in schema[several] if one.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
    if "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema["enum"])
    kind = {"string": "text"}.get(schema.get("type", ""), schema.get("type", "any"))
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    return f"{kind} {low} … {high}" if low is not None and high is not None else kind


def _default(value: Any, name: str) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, tuple):
        return f"`{', '.join(map(str, value))}`" if value else ""
    if isinstance(value, int) and not isinstance(value, bool) and value >= MILLISECOND_NS and "bytes" not in name:
        return f"`{format_duration(value)}`"  # durations are kept in ns and written as 5s
    return f"`{value}`"


def routes(openapi: dict[str, Any]) -> Iterator[str]:
    yield "## HTTP\n"
    yield "| | | |\n|---|---|---|"
    for path, operations in sorted(openapi["paths"].items()):
        for method, operation in operations.items():
            if method in ("get", "post", "put", "patch", "delete"):
                yield f"| {method.upper()} | `{path}` | {operation.get('summary', '')} |"
    yield ""


def error_tree() -> Iterator[str]:
    yield "## Errors\n"
    yield "Each message says what was being done, to what, and what to do next.\n"
    yield "| error | meaning |\n|---|---|"
    for name, kind in vars(errors).items():
        if inspect.isclass(kind) and issubclass(kind, errors.HeadraceError):
            yield f"| `{name}` | {(kind.__doc__ or '').strip().splitlines()[0]} |"


if __name__ == "__main__":
    main()
