"""Pages of widgets of our apps hold together as files; what they show is tested beside each app."""

from __future__ import annotations

import pytest
from tests.apps.pages import folder_of, shown

from headrace.hosting.releases import read_folder
from headrace.sdk.apps.checking import problems_of
from headrace.sdk.apps.reading import LANGUAGES
from headrace.sdk.apps.widgets import read_page

APPS = ("energy", "operations", "outcomes")


@pytest.mark.parametrize("app", APPS)
def test_files_of_our_apps_fit_together(app: str) -> None:
    assert problems_of(read_folder(folder_of(app))) == []


@pytest.mark.parametrize("app", APPS)
def test_every_word_of_a_page_is_in_both_languages(app: str) -> None:
    for file in sorted((folder_of(app) / "pages").glob("*.toml")):
        page = read_page(file.read_text("utf-8"), file.name)
        titles = [one.title for one in page.inputs]
        for widget in shown(page):
            titles += [widget.title, *(one.title for one in widget.columns)]
        assert all(set(title) == set(LANGUAGES) for title in titles if title), file
