"""Whatever can be declared is written back so that planning it finds no change."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.registry import text
from headrace.registry.declared import parse, same
from headrace.registry.emit import emit, flow
from headrace.registry.problems import Problems
from headrace.registry.readers import BAD, Context, anything
from headrace.sdk.services import SourceFile

_numbers = st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_texts = st.text(max_size=20) | st.sampled_from(
    ["", "null", "true", "1", "0x1F", "1e3", ".inf", "~", "a: b", "- a", "#", "a #b", "{x}", "'", '"', "\\", "&a", "*a"]
    + ["!", "|", ">", "%", "@", "`", "? a", "a\nb", "\t", "\u2028", "\u0085", "\ufeff", "\x7f", "<<", "=", "---", "..."]
)
_plain: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | _numbers | _texts,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(_texts.filter(lambda key: key != "<<"), inner, max_size=3)
    ),
    max_leaves=8,
)


def _printable(value: Any) -> bool:
    """Control characters and lone surrogates are refused on the way in, so they never have to go out."""
    if isinstance(value, dict):
        return all(_printable(key) and _printable(part) for key, part in value.items())
    if isinstance(value, list):
        return all(_printable(part) for part in value)
    return not isinstance(value, str) or "\x00" not in value


@settings(deadline=None)
@given(_plain.filter(_printable))
def test_any_plain_value_reads_back(value: Any) -> None:
    problems = Problems()
    tree = text.read(SourceFile("a.yaml", f"x: {flow(value)}\n"), problems)
    assert not problems, [str(error) for error in problems.errors()]
    assert tree is not None
    back = anything(tree.entries["x"], "x", Context("a.yaml", problems))
    assert back is not BAD
    assert same(back, value)


_name = st.from_regex(r"[a-z][a-z0-9.\-]{0,5}", fullmatch=True) | st.sampled_from(
    ["null", "true", "1", "温度", "1e3", "ü"]
)
_title = st.dictionaries(st.sampled_from(["en", "zh", "pt-BR"]), _texts, max_size=2)
_address = st.dictionaries(_name, _plain.filter(_printable), max_size=3)
_point = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["float64", "int64", "bool", "text"]),
        "unit": _texts,
        "range": st.tuples(st.integers(-100, 0), st.floats(1, 1e6)).map(list),
        "title": _title,
        "interval": st.sampled_from(["10ms", "1s", "1500ms", "2h"]),
        "decimals": st.integers(0, 12),
        "address": _address,
    },
)
_alarm = st.fixed_dictionaries(
    {"condition": st.sampled_from(["high", "stale"]), "limit": st.sampled_from([1, 2.5, "30s", True])},
    optional={"message": _title, "on_delay": st.sampled_from(["0s", "90s"])},
)
_type = st.fixed_dictionaries(
    {},
    optional={
        "version": st.integers(1, 9),
        "parameters": st.dictionaries(st.sampled_from(["base", "node"]), _numbers | _texts | st.booleans(), max_size=2),
        "points": st.dictionaries(_name, _point, max_size=3),
        "alarms": st.dictionaries(st.tuples(_name, _name).map(":".join), _alarm, max_size=2),
    },
)
_file = st.fixed_dictionaries(
    {},
    optional={
        "types": st.dictionaries(_name, _type, max_size=2),
        "connections": st.dictionaries(
            _name,
            st.fixed_dictionaries(
                {"driver": _texts.filter(bool)}, optional={"settings": _address, "enabled": st.booleans()}
            ),
            max_size=2,
        ),
        "assets": st.dictionaries(
            _name,
            st.fixed_dictionaries(
                {}, optional={"title": _title, "attributes": st.dictionaries(_texts.filter(bool), _texts)}
            ),
            max_size=2,
        ),
        "points": st.dictionaries(st.tuples(_name, _name).map("/".join), _point, max_size=3),
        "alarms": st.dictionaries(
            st.tuples(_name, _name, _name).map(lambda n: f"{n[0]}/{n[1]}:{n[2]}"), _alarm, max_size=2
        ),
    },
)


@settings(deadline=None)
@given(_file.filter(_printable))
def test_what_is_declared_is_written_back_the_same(content: dict[str, Any]) -> None:
    first = _parsed([SourceFile("sub/a.yaml", flow(content))])
    files = emit(first.values())
    again = _parsed(files)
    assert {key: (one.spec, one.where.file) for key, one in again.items()} == {
        key: (one.spec, one.where.file) for key, one in first.items()
    }
    assert all(same(one.spec, first[key].spec) for key, one in again.items())
    assert emit(again.values()) == files


def _parsed(files: list[SourceFile]) -> dict[Any, Any]:
    problems = Problems()
    found = parse(files, problems)
    unexpected = [str(error) for error in problems.errors()]
    assert unexpected == []
    return found
