"""`headrace sbom`: what this Headrace is made of, as CycloneDX, for whoever must answer for it."""

from __future__ import annotations

import json
from importlib import resources
from typing import Annotated

import typer

from headrace.cli.output import print_table
from headrace.model.errors import NotFound

NAME = "headrace.cdx.json"


def sbom(
    table: Annotated[bool, typer.Option("--table", help="A table for people: name, version, licence.")] = False,
) -> None:
    """Print the software bill of materials (CycloneDX 1.6, JSON)."""
    file = resources.files("headrace") / NAME
    try:
        text = file.read_text("utf-8")
    except OSError:
        raise NotFound(
            "this installation came without its bill of materials; `make sbom` in the source makes it"
        ) from None
    if not table:
        typer.echo(text, nl=False)
        return
    rows = [(part["purl"], _licence(part["licenses"][0])) for part in json.loads(text)["components"]]
    print_table(["package", "licence"], rows)


def _licence(choice: dict[str, dict[str, str] | str]) -> str:
    told = choice.get("license")
    return str(told["id"] if isinstance(told, dict) else choice["expression"])
