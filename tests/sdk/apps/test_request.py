"""What a route is asked and answers."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.model.errors import ConfigError, DataError
from headrace.sdk.apps import Action, App, Reply, Request
from headrace.sdk.apps.translations import Translations


def asked(body: Any) -> Request:
    return Request("POST", "/x", body=json.dumps(body).encode())


def test_fields_are_those_that_are_wanted_and_of_their_types() -> None:
    found = asked({"path": "a", "value": 3, "on": True}).fields(path=str, value=float, on=bool, note=(str, type(None)))
    assert found == {"path": "a", "value": 3.0, "on": True, "note": None}
    for body, said in (
        ({"path": 1}, "'path' is a text"), ({}, "'path' is missing"), ({"path": "a", "paht": 1}, "'paht' is no field"),
        ([], "a JSON object"), ({"path": True}, "'path' is a text"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=said):
            asked(body).fields(path=str)
    with pytest.raises(DataError, match="a whole number"):
        asked({"n": True}).fields(n=int)


@given(st.binary(max_size=60))
def test_any_body_is_json_or_an_error_of_ours(body: bytes) -> None:
    try:
        Request("POST", "/x", body=body).json()
    except DataError:
        pass


def test_a_body_as_deep_as_somebody_likes() -> None:
    with pytest.raises(DataError):
        Request("POST", "/x", body=b"[" * 200_000).json()


@pytest.mark.parametrize("text", ["x", "1.5", "99", "-1", "٣", "1" * 30])
def test_numbers_of_a_query(text: str) -> None:
    assert Request("GET", "/x", query={"days": "7"}).number("days", 1, 0, 30) == 7
    assert Request("GET", "/x").number("days", 1, 0, 30) == 1
    with pytest.raises(DataError, match="from 0 to 30"):
        Request("GET", "/x", query={"days": text}).number("days", 1, 0, 30)


def test_what_a_route_may_answer() -> None:
    assert Reply.of(None).status == 204
    assert Reply.of({"a": "压机"}).body.decode() == '{"a": "压机"}'
    assert Reply.of(Reply(b"x", "text/plain", file="x.txt")).file == "x.txt"
    for wrong in (math.nan, {1: object()}, Reply(status=404), Reply(b"x" * (33 * 1024 * 1024))):
        with pytest.raises(DataError):
            Reply.of(wrong)


def test_routes_are_found_by_their_words_first() -> None:
    app = App()

    @app.route("GET", "/orders/{order}")
    async def one(ctx: object, request: object) -> None: ...

    @app.route("GET", "/orders/open")
    async def open_ones(ctx: object, request: object) -> None: ...

    found = app.find("GET", "/orders/open")
    assert found is not None and found[0].body is open_ones
    assert app.find("GET", "/orders/A-7") == (app.routes[0], {"order": "A-7"})
    assert app.find("POST", "/orders/open") is None and app.find("GET", "/orders") is None
    assert app.find("GET", "/orders//") is None
    for wrong in (
        lambda: app.route("GET", "/orders/{other}"), lambda: app.route("POST", "/orders"),
        lambda: app.route("SEND", "/orders", action=Action.WRITE), lambda: app.route("GET", "/../orders"),
        lambda: app.samples(), lambda: app.events("Alarm"), lambda: app.job("Daily", every="1h"),
    ):  # fmt: skip
        with pytest.raises(ConfigError):
            wrong()


def test_texts_of_two_languages() -> None:
    texts = Translations.read({"en": 'a = "{n} h"\n[page]\ntitle = "Hours"\n', "zh": 'a = "{n} 小时"\n'})
    assert texts.say("a", "zh", n=3) == "3 小时" and texts.say("page.title", "zh") == "Hours"
    assert texts.say("none") == "none" and texts.say("a") == "{n} h"
    assert texts.missing() == ["zh: page.title"]
    with pytest.raises(ConfigError, match=r"locale/en\.toml"):
        Translations.read({"en": "a = 1"})
