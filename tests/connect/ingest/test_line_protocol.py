"""Line protocol as its reference writes it, and as nobody should."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.connect.ingest.plant import Kept, messages, send
from tests.properties import examples

from headrace.connect.ingest.line_protocol import LINE_BYTES_MAX, Line, read_head, read_line, read_text
from headrace.model import quality as q
from headrace.sdk.testing.clock import START_NS

T = START_NS - 3_600_000_000_000  # an hour ago: 1779996400 s


def test_every_kind_of_value_comes_back_exactly() -> None:
    kept, receipt = send(
        f'acme/p3 oil=62.4,strokes=9007199254740993i,running=t,order="A \\"7\\" \\\\ 油\nsecond line" {T}\n'
    )
    assert receipt.refused == 0
    assert kept.values() == {
        "acme/p3/oil": 62.4,
        "acme/p3/strokes": 9007199254740993,
        "acme/p3/running": True,
        "acme/p3/order": 'A "7" \\ 油\nsecond line',
    }
    assert {time_ns for _, time_ns, _, _ in kept.samples} == {T}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("oil=1", 1.0),
        ("oil=-1.5e3", -1500.0),
        ("oil=+.5", 0.5),
        ("oil=5i", 5.0),
        ("strokes=-9223372036854775808i", -(2**63)),
        ("strokes=9223372036854775807u", 2**63 - 1),
        ("strokes=12.0", 12),
        *((f"running={word}", True) for word in ("t", "T", "true", "True", "TRUE")),
        *((f"running={word}", False) for word in ("f", "F", "false", "False", "FALSE")),
        ('order=""', ""),
        (r'order="a\nb\,c"', r"a\nb\,c"),
        ('order="x=1,y 2"', "x=1,y 2"),
    ],
)
def test_values(text: str, value: object) -> None:
    kept, receipt = send(f"acme/p3 {text} {T}")
    assert (receipt.details, [value_ for _, _, value_, _ in kept.samples]) == ([], [value])
    assert type(kept.samples[0][2]) is type(value)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("acme/p3 oil=abc 1", "'abc' is no value"),
        ("acme/p3 oil=1_0 1", "'1_0' is no number"),
        ("acme/p3 oil=1e400 1", "is no number"),
        ("acme/p3 oil=nan 1", "is no value"),
        ("acme/p3 strokes=9223372036854775808i 1", "64 bits"),
        ("acme/p3 strokes=1.5 1", "is declared int64; 1.5 does not fit"),
        ("acme/p3 oil=9007199254740993i 1", "is declared float64; 9007199254740993 does not fit"),
        ("acme/p3 running=1 1", "is declared bool"),
        ('acme/p3 oil="1" 1', "is declared float64; 1 does not fit"),
        ("acme/p3 oil= 1", "has no value"),
        ("acme/p3 oil 1", "has no value"),
        ("acme/p3 =1 1", "a field is name=value"),
        ("acme/p3", "a line is"),
        ("acme/p3 oil=1 yesterday", "is no time"),
        ("acme/p3 oil=1 99999999999999999999", "is no time"),
        ("acme/p3 oil=1 1 2", "is no time"),
        ('acme/p3 order="a"b 1', "is no time"),
        ('acme/p3 order="open 1', "no closing quote"),
        (",m=3 oil=1 1", "the measurement has no name"),
        ("acme/p3,host oil=1 1", "is no tag"),
        ("acme/p4 oil=1 1", "there is no point 'acme/p4/oil'"),
        ("acme/p3 oli=1 1", "did you mean 'acme/p3/oil'?"),
        ('acme/p3 order="\\"' + "x" * 70_000 + '" 1', "at most 65536 are kept"),
    ],
)
def test_a_wrong_line_is_named_and_its_neighbours_stay(line: str, why: str) -> None:
    kept, receipt = send(f"acme/p3 oil=1 {T}\n{line}\nacme/p3 oil=2 {T + 1}\n")
    assert why in messages(receipt)[2]
    assert [value for _, _, value, _ in kept.samples] == [1.0, 2.0]
    assert receipt.samples == 2


def test_a_wrong_field_leaves_its_line_alone() -> None:
    kept, receipt = send(f"acme/p3 oil=1,strokes=x,running=t {T}")
    assert kept.values() == {"acme/p3/oil": 1.0, "acme/p3/running": True}
    assert receipt.refused == 1


def test_comments_blank_lines_and_odd_spaces() -> None:
    kept, receipt = send(
        f"# a comment\n\n   \r\n  acme/p3   oil=1   {T}  \r\nacme/p3 oil=2\r\nacme/p3 oil=3 {T + 3}\r\n"
    )
    assert receipt.details == []
    assert [(time_ns, value) for _, time_ns, value, _ in kept.samples] == [(T, 1.0), (START_NS, 2.0), (T + 3, 3.0)]
    assert receipt.lines == 6


def test_precision_and_missing_time() -> None:
    kept, _ = send(f"acme/p3 oil=1 {T // 1_000_000 + 123}\nacme/p3 oil=2", unit_ns=1_000_000)
    assert [time_ns for _, time_ns, _, _ in kept.samples] == [T + 123_000_000, START_NS]


def test_tags_and_escapes_choose_the_point() -> None:
    kept, receipt = send(f"system,zone=a\\,b,host=h\\ 7 load=0.5 {T}\nsystem,host=h\\ 7,zone=x load=0.6 {T + 1}")
    assert receipt.details == []
    assert [(path, value) for path, _, value, _ in kept.samples] == [
        ("acme/it/h 7/load", 0.5),
        ("acme/it/h 7/load", 0.6),
    ]


def test_a_bucket_has_rules_of_its_own_and_may_ignore_the_rest() -> None:
    body = f"oil,m=3,x=y t=1,u=2 {T}\nelse v=1 {T}"
    kept, receipt = send(body, bucket="quiet")
    assert (kept.values(), receipt.refused, receipt.ignored) == ({"acme/p3/oil": 1.0}, 0, 2)
    kept, receipt = send(body, bucket="other")
    assert (kept.values(), receipt.refused) == ({}, 3)


def test_what_is_sent_is_screened() -> None:
    kept, _ = send(f"acme/p3 oil=121 {T}\nacme/p3 oil=1 1")
    assert [code for *_, code in kept.samples] == [q.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED, q.BAD_INVALID_TIMESTAMP]


def test_a_line_too_long_costs_itself_alone() -> None:
    long = b'acme/p3 order="' + b"x" * LINE_BYTES_MAX + b'" 1'
    kept, receipt = send(b"acme/p3 oil=1 1\n" + long + b"\nacme/p3 oil=2 2", size=10_000)
    assert [value for _, _, value, _ in kept.samples] == [1.0, 2.0]
    assert "at most 1048576 bytes" in messages(receipt)[2]


def test_an_open_text_swallows_only_its_line() -> None:
    lines = [f'acme/p3 order="{at} {T + at}' if at == 3 else f"acme/p3 oil={at} {T + at}" for at in range(2000)]
    for size in (100, 1 << 16):
        kept, receipt = send("\n".join(lines), size=size)
        assert len(kept.samples) == 1999
        assert list(messages(receipt)) == [4]


def test_a_million_open_texts_cost_no_more_than_their_bytes() -> None:
    _, receipt = send(b'acme/p3 order="\\"\n' * 20_000 + b"x\\\n" * 20_000, size=1 << 16)
    assert receipt.refused > 0


BODY = (
    f'acme/p3 oil=1.5,strokes=2i {T}\nacme/p3 order="a\nb" {T}\r\n# no\n\nacme/p3 order="tail\\" \\\\"\n'
    f"acme/p3 oil=x {T}\nacme/p3 running=f,oil=3 {T + 1}\n"
)


@given(st.integers(1, len(BODY) + 1))
@settings(max_examples=examples(30), deadline=None)
def test_where_a_body_is_cut_does_not_matter(size: int) -> None:
    whole, cut = send(BODY), send(BODY, size=size)
    assert sorted(map(repr, cut[0].samples)) == sorted(map(repr, whole[0].samples))
    assert messages(cut[1]) == messages(whole[1])


names = st.text(st.characters(exclude_characters="\n\r\\\t", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda text: text == text.strip(" ") and not text.startswith("#")
)


def escaped(text: str, letters: str) -> str:
    return "".join("\\" + letter if letter in letters else letter for letter in text)


@given(names, st.dictionaries(names, names, max_size=4), names)
@settings(max_examples=examples(80), deadline=None)
def test_names_survive_escaping(measurement: str, tags: dict[str, str], field: str) -> None:
    head = escaped(measurement, ", ") + "".join(
        f",{escaped(name, ', =')}={escaped(value, ', =')}" for name, value in tags.items()
    )
    line = read_line(f"{head} {escaped(field, ', =')}=1i 5".encode())
    assert isinstance(line, Line)
    assert read_head(line.head) == (measurement, tags)
    assert [(name.decode(), value) for name, value, _ in line.fields] == [(escaped(field, ", ="), b"1i")]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
@settings(max_examples=examples(80), deadline=None)
def test_texts_survive_quoting(text: str) -> None:
    line = read_line(b'm f="' + text.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"')
    assert isinstance(line, Line)
    assert read_text(line.fields[0][1]) == text


@given(st.binary(max_size=300), st.integers(1, 50))
@settings(max_examples=examples(150), deadline=None)
def test_any_bytes_are_refused_or_taken(body: bytes, size: int) -> None:
    kept, receipt = send(body, size=size)
    assert isinstance(kept, Kept)
    assert receipt.samples == len(kept.samples)


@given(
    st.lists(
        st.sampled_from([b"acme/p3", b" ", b"oil=", b"1", b'"', b"\\", b",", b"\n", b"order=", b"=", b"i", b"t"]),
        max_size=40,
    )
)
@settings(max_examples=examples(150), deadline=None)
def test_nearly_right_bytes_are_refused_or_taken(parts: list[bytes]) -> None:
    kept, receipt = send(b"".join(parts) + b"\nacme/p3 oil=7 9")
    assert receipt.samples == len(kept.samples)
    if b'"' not in b"".join(parts):
        assert kept.samples[-1][1:3] == (9, 7.0)
