"""Every mistake is told with its place and a way out; one pass finds them all."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.registry.fakes import DRIVERS
from tests.registry.plants import PRESS, expanded, files

from headrace.model.errors import ConfigError
from headrace.registry import decode
from headrace.registry.declared import parse
from headrace.registry.expand import expand
from headrace.registry.problems import PROBLEMS_MAX, Problems
from headrace.sdk.services import SourceFile


def _cases() -> list[tuple[str, str, str]]:
    text = Path(__file__).with_name("bad_files.txt").read_text(encoding="utf-8")
    cases = []
    for block in text.split("\n=== ")[1:]:
        name, _, rest = block.partition("\n")
        given_text, _, said = rest.partition(">>>\n")
        cases.append((name, given_text.replace("␀", "\0").replace("⇥", "\t"), said.strip()))
    return cases


@pytest.mark.parametrize(("name", "text", "said"), _cases(), ids=[case[0] for case in _cases()])
def test_what_is_said_of_a_bad_file(name: str, text: str, said: str) -> None:
    assert said, "a case that says nothing proves nothing"
    assert "\n".join(expanded(text)[1]) == said


def _problems(*sources: SourceFile) -> list[str]:
    problems = Problems()
    expand(parse(sources, problems), DRIVERS, problems)
    return [str(error) for error in problems.errors()]


def test_the_same_object_in_two_files_names_both_places() -> None:
    one, two = SourceFile("a.yaml", "assets:\n  acme: {}\n"), SourceFile("b/c.yaml", "\nassets: {acme: {}}\n")
    assert _problems(one, two) == ["b/c.yaml:2:10: asset 'acme' is declared twice, first in a.yaml:2"]


def test_a_byte_order_mark_and_windows_line_ends_are_welcome() -> None:
    assert _problems(SourceFile("a.yaml", "\ufeffassets:\r\n  a: {}\r\n  b: {lvl: site}\r\n")) == [
        "a.yaml:3:7: an asset has no key 'lvl'; did you mean 'level'?"
    ]


def test_text_in_another_encoding_says_where() -> None:
    with pytest.raises(ConfigError) as caught:
        decode("plant.yaml", "assets:\n  a: {title: 温度}\n".encode("gb18030"))
    assert str(caught.value) == "plant.yaml:2:14: this is not UTF-8 text (byte 0xCE); save the file as UTF-8"
    assert decode("plant.yaml", "\ufeffassets: {}".encode()).text == "assets: {}"


@pytest.mark.parametrize(
    "name", ["../a.yaml", "/etc/a.yaml", "a\\b.yaml", "C:a.yaml", "a//b.yaml", "", "a.txt", "a\n.yaml"]
)
@pytest.mark.clause("62443-3-3 SR 3.5")
def test_file_names_stay_inside_their_folder(name: str) -> None:
    assert len(_problems(SourceFile(name, "assets: {}"))) == 1


def test_a_file_given_twice_is_told() -> None:
    assert len(_problems(*files("assets: {}"), *files("assets: {}"))) == 1


@pytest.mark.clause("62443-3-3 SR 3.5", "62443-3-3 SR 7.1")
def test_aliases_that_unfold_without_end_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    said = _problems(*files("\n".join(lines)))
    assert len(said) == 1
    assert "aliases unfold to more than 100,000 values" in said[0]


@pytest.mark.parametrize("escape", ["\\0", "\\ud800"])
def test_escapes_for_what_no_database_keeps_are_refused(escape: str) -> None:
    assert _problems(*files(f'assets: {{a: {{title: "x{escape}"}}}}')) == [
        "plant.yaml:1:21: this text has an escape for a character that no database keeps; remove it"
    ]


@pytest.mark.clause("62443-3-3 SR 3.5", "62443-3-3 SR 7.1")
def test_deep_nesting_is_refused() -> None:
    assert "nested more than" in _problems(*files("assets: " + "[" * 5_000))[0]


def test_many_mistakes_are_counted_not_listed() -> None:
    text = "assets:\n" + "".join(f"  a{n}: {{lvl: site}}\n" for n in range(PROBLEMS_MAX + 50))
    said = _problems(*files(text))
    assert len(said) == PROBLEMS_MAX + 1
    assert said[-1] == "and 50 more problems; mend these first"


@pytest.mark.clause("62443-3-3 SR 3.7", "62443-3-3 SR 4.1")
def test_a_secret_is_not_quoted() -> None:
    from pydantic import BaseModel

    from headrace.registry.drivers import complaints

    class Settings(BaseModel):
        password: int

    said = complaints(Settings, {"password": "hunter2"}, "the settings")
    assert [one.message for one in said] == ["'password' must be a whole number, not what stands here"]


@settings(deadline=None)
@given(st.binary(max_size=400))
@pytest.mark.clause("62443-3-3 SR 3.5")
def test_any_bytes_give_only_config_errors(data: bytes) -> None:
    try:
        file = decode("a.yaml", data)
    except ConfigError as error:
        assert error.line is not None
        return
    _problems(file)


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_text_gives_only_config_errors(text: str) -> None:
    _problems(*files(text))


@settings(deadline=None)
@given(st.data())
def test_any_edit_of_a_good_file_gives_only_config_errors(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(PRESS)))
    end = data.draw(st.integers(start, min(start + 20, len(PRESS))))
    inserted = data.draw(st.text("{}[]:,&*!|>'\"%#@-?\t\n ~0a\u00fc", max_size=8))
    _problems(*files(PRESS[:start] + inserted + PRESS[end:]))
