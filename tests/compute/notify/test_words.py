"""The words are complete in each language, and nothing that others wrote becomes more than text."""

from __future__ import annotations

import re
import string
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compute.notify.works import HOT, START, notification, plant
from tests.properties import examples

from headrace.compute.notify.cases import Case, Ending
from headrace.compute.notify.deciding import Kind, Telling
from headrace.compute.notify.messages import Writer
from headrace.compute.notify.words import EN, WORDS
from headrace.model.alarms import AlarmAction, AlarmCondition, AlarmState, AlarmTransition, Priority
from headrace.model.notifications import LANGUAGES


def test_every_language_has_every_word_with_the_same_places() -> None:
    assert set(WORDS) == set(LANGUAGES)
    for words in WORDS.values():
        assert words.keys() == EN.keys()
        for key, text in words.items():
            assert text and places(text) == places(EN[key]), key


_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def case(value: float | None = 80.0, **more: Any) -> Case:
    return Case("all|1", "all", HOT.name, HOT.point, START, value, START, START, **more)


def telling(kind: Kind, *cases: Case) -> Telling:
    return Telling("k", notification(), kind, 0, cases)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("condition", AlarmCondition)
@pytest.mark.parametrize("priority", Priority)
def test_there_is_a_word_for_everything(language: str, condition: AlarmCondition, priority: Priority) -> None:
    rule = replace(HOT, condition=condition, priority=priority, limit=90.0, expression="a > 1", message={})
    model = plant(notification(), rules=[rule])
    writer = Writer(model, language)
    for kind in (Kind.RAISED, Kind.ESCALATED, Kind.REPEATED):
        assert writer.of(telling(kind, case()), START).title
        assert writer.of(telling(kind, case(), case()), START).title
    assert writer.of(telling(Kind.FLOOD, case()), START).lines
    for kind, action in ((Kind.ACKNOWLEDGED, AlarmAction.ACKNOWLEDGED), (Kind.CLEARED, AlarmAction.CLEARED)):
        step = AlarmTransition(rule.name, action, AlarmState.ACK_ACTIVE, START, 1.0, "wang", "ok")
        assert writer.ending(kind, notification(), Ending(case(), step)).facts
    assert writer.test("mail", "Li", "anna").title


@settings(max_examples=examples(200), deadline=None)
@given(st.text(max_size=80), st.text(max_size=80), st.one_of(st.none(), st.floats()))
def test_a_title_is_one_line_whatever_others_wrote(message: str, title: str, value: float | None) -> None:
    rule = replace(HOT, message={"en": message, "zh": message})
    model = plant(notification(), rules=[rule])
    assets = {path: replace(one, title={"en": title}) for path, one in model.assets.items()}
    for language in LANGUAGES:
        said = Writer(replace(model, assets=assets), language).of(telling(Kind.RAISED, case(value)), START)
        assert len(said.title.splitlines()) == 1 and not _CONTROL.search(said.title)


def test_an_alarm_whose_rule_is_gone_has_words_all_the_same() -> None:
    said = Writer(plant(rules=[]), "en").of(telling(Kind.RAISED, case()), START)
    assert said.title == "[Medium] oil: hot · Line 1 › Press"


def test_many_are_counted_and_the_worst_comes_first() -> None:
    rules = [replace(HOT, name=f"{HOT.point}:r{at}", priority=Priority.LOW) for at in range(30)]
    rules[17] = replace(rules[17], priority=Priority.CRITICAL)
    model = plant(notification(), rules=rules)
    cases = tuple(replace(case(), key=f"all|{at}", rule=one.name) for at, one in enumerate(rules))
    said = Writer(model, "en").of(telling(Kind.RAISED, *cases), START)
    assert said.title == "[Critical] 30 alarms · Press"
    assert said.lines[0].startswith("Critical · ") and said.lines[-1] == "and 20 more" and len(said.lines) == 11
