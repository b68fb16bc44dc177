"""What an app says of itself: read strictly, with all that is wrong in one go."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.model.errors import ConfigErrors
from headrace.sdk.apps import Action, PageKind, Permissions, SettingKind, read_manifest
from headrace.sdk.apps.settings import Setting, check_settings

WHOLE = """
name = "acme.press-view"
version = "1.2.0"
sdk = "1.0"
licence = "Apache-2.0"
module = "app"
imports = ["openpyxl", "concurrent.futures"]
title = { en = "Press view", zh = "压机视图" }

[permissions]
assets = ["acme/*/press-shop"]
read = ["**/state", "acme/line-1"]
write = ["acme/*/lamp"]
events = ["alarm.*"]
publish = ["press-view.*"]
alarms = true
hosts = ["api.example.com:443", "*.example.org:8443"]
tables_mb = 200

[limits]
memory_mb = 512
call_s = 5.5

[settings.zone]
kind = "zone"
default = "Asia/Shanghai"

[settings.micro-stop]
kind = "duration"
default = "2min"
high = 600

[settings.mapping]
kind = "table"
default = [{ from = "RUN", to = "run" }]
[settings.mapping.columns.from]
kind = "text"
[settings.mapping.columns.to]
kind = "choice"
choices = ["run", "stop"]

[[pages]]
name = "terminal"
kind = "module"
file = "pages/terminal.js"
title = { en = "Terminal", zh = "终端" }
action = "acknowledge"
"""


def test_everything_that_a_manifest_says() -> None:
    made = read_manifest(WHOLE)
    assert (made.name, made.version, made.sdk, made.imports) == (
        "acme.press-view", "1.2.0", "1.0", ("openpyxl", "concurrent.futures"),
    )  # fmt: skip
    assert made.permissions.reads("acme/line-2/press-1/state") and made.permissions.reads("acme/line-1/any/thing")
    assert not made.permissions.reads("acme/line-2/press-1/count")
    assert made.permissions.sees("acme/suzhou/press-shop/press-1") and not made.permissions.sees("acme/suzhou")
    assert made.permissions.writes("acme/line-2/lamp") and made.permissions.reads("acme/line-2/lamp")
    assert not made.permissions.writes("acme/line-2/state")
    assert made.permissions.hears("alarm.raised") and not made.permissions.hears("alarms.raised")
    assert made.permissions.tells("press-view.counted") and not made.permissions.tells("press-view")
    assert (made.limits.memory_mb, made.limits.call_s) == (512, 5.5)
    [page] = made.pages
    assert (page.kind, page.action, page.title["zh"]) == (PageKind.MODULE, Action.ACKNOWLEDGE, "终端")
    assert check_settings(made.settings, {"micro-stop": "90s"}) == {
        "zone": "Asia/Shanghai", "micro-stop": 90 * 10**9, "mapping": [{"from": "RUN", "to": "run"}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('name = "acme.press-view"', 'name = "Acme"'), "name is lower case"),
        (('version = "1.2.0"', ""), "version is missing"),
        (('sdk = "1.0"', 'sdk = "one"'), "sdk is two numbers"),
        (("title = { en", "titel = { en"), "did you mean title"),
        (("alarms = true", 'alarms = "yes"'), "alarms is true or false"),
        (('"**/state"', '"bad[place"'), "names no part of the plant"),
        (('"api.example.com:443"', '"https://api.example.com"'), "a host and port"),
        (("memory_mb = 512", "memory_mb = 1"), "limits.memory_mb is a number from 64"),
        (('kind = "zone"', 'kind = "zones"'), "settings.zone.kind is one of"),
        (('default = "2min"', 'default = "20min"'), "settings.micro-stop.default"),
        (('choices = ["run", "stop"]', ""), "choices"),
        (('file = "pages/terminal.js"', 'file = "../terminal.js"'), "a file of the app"),
        (('action = "acknowledge"', 'action = "all"'), "action is one of"),
        (('"openpyxl"', '"open pyxl"'), "is not a module"),
        (("[limits]", "[limits"), "no TOML"),
    ],
)
def test_what_is_wrong_is_said_where_it_is(change: tuple[str, str], said: str) -> None:
    assert change[0] in WHOLE
    with pytest.raises(ConfigErrors, match=said) as found:
        read_manifest(WHOLE.replace(*change), "press-view/manifest.toml")
    assert all(error.file == "press-view/manifest.toml" for error in found.value.errors)


def test_all_that_is_wrong_in_one_go() -> None:
    with pytest.raises(ConfigErrors) as found:
        read_manifest('name = "X"\nversion = "1"\ncolour = "grey"\n[permissions]\nread = [1]\n')
    assert len(found.value.errors) == 6  # sdk and title are missing, too


@given(st.text(max_size=400))
def test_any_text_is_a_manifest_or_an_error_of_ours(text: str) -> None:
    try:
        read_manifest(text)
    except ConfigErrors:
        pass


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.just(10**400) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_TABLE = tomllib.loads(WHOLE)
_PLACES = [[key] for key in _TABLE] + [
    [key, inner] for key, value in _TABLE.items() if isinstance(value, dict) for inner in value
]


@given(st.sampled_from(_PLACES), _JSON)
def test_any_value_in_any_place_is_taken_or_an_error_of_ours(place: list[str], value: Any) -> None:
    from headrace.sdk.apps import manifest

    table: dict[str, Any] = tomllib.loads(WHOLE)
    inside = table
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    reader = manifest._Reader("manifest.toml")
    reader.manifest(table)  # raises nothing


@pytest.mark.parametrize(
    ("sdk", "there", "runs"), [("1.0", "1.0", True), ("1.0", "1.4", True), ("1.5", "1.4", False), ("1.0", "2.0", False)]
)
def test_which_sdk_it_runs_on(sdk: str, there: str, runs: bool) -> None:
    assert read_manifest(WHOLE.replace('sdk = "1.0"', f'sdk = "{sdk}"')).runs_on(there) is runs


def test_what_a_new_version_asks_more() -> None:
    old = Permissions(read=("a", "b"), alarms=True, tables_mb=10)
    new = Permissions(read=("b", "c"), hosts=("x:1",), alarms=True, sign=True, tables_mb=20)
    assert new.more_than(old) == ["read: c", "hosts: x:1", "sign", "tables_mb: 20"]
    assert old.more_than(new) == ["read: a"] and new.more_than(new) == []


@given(st.sampled_from([kind for kind in SettingKind if kind is not SettingKind.TABLE]), st.booleans(), _JSON)
def test_any_setting_is_taken_or_an_error_that_names_it(kind: SettingKind, many: bool, value: Any) -> None:
    setting = Setting("oil", kind, many=many, choices={"a": {}} if kind is SettingKind.CHOICE else {})
    try:
        check_settings([setting], {"oil": value})
    except ConfigErrors as error:
        assert "oil" in str(error)
