"""Pages of widgets of our apps: where they are, and which fields they show that their sources do not answer."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headrace.sdk.apps.widgets import Widget, WidgetKind, WidgetPage, read_page
from headrace.sdk.testing.apps import AppUnderTest


def folder_of(app: str) -> Path:
    found = importlib.util.find_spec(f"headrace.apps.{app}")
    assert found is not None and found.submodule_search_locations
    return Path(found.submodule_search_locations[0])


def page_of(app: str, name: str) -> WidgetPage:
    file = folder_of(app) / "pages" / f"{name}.toml"
    return read_page(file.read_text("utf-8"), file.name)


def shown(page: WidgetPage) -> Iterator[Widget]:
    for row in page.rows:
        yield from row


def field(answer: Any, path: str) -> Any:
    for part in path.split("."):
        answer = answer[part]
    return answer


def lacks(page: WidgetPage, answers: dict[str, Any]) -> list[str]:
    """Fields that are shown and are not there. A list that is empty says nothing of its columns."""
    found = []
    for widget in shown(page):
        answer = answers[widget.source]
        wanted = [widget.value] if widget.kind in (WidgetKind.NUMBER, WidgetKind.TEXT) else []
        if widget.kind in (WidgetKind.TABLE, WidgetKind.BAR):
            rows = field(answer, widget.rows) if widget.rows else answer
            assert isinstance(rows, list)
            answer = rows[0] if rows else None
            wanted = [one.field for one in widget.columns] or [widget.label, widget.value]
        for path in wanted if answer is not None else []:
            try:
                field(answer, path)
            except (KeyError, TypeError):
                found.append(f"{widget.source} {path}: {json.dumps(answer)[:200]}")
    return found


async def lacks_of(app: AppUnderTest, package: str, name: str, language: str = "en") -> list[str]:
    """Of an app that runs."""
    page = page_of(package, name)
    answers = {one.source: await app.get(one.source, language=language) for one in shown(page) if one.source}
    return lacks(page, answers)
