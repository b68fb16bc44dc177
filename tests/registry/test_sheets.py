"""Points as CSV and XLSX, in the shapes and encodings that plants really send."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.registry.plants import PRESS, expanded

from headrace.model.errors import ConfigError
from headrace.registry.sheets import missing_assets, read_points, write_points

CSV = """\
path,type,unit,low,high,interval,connection,address.table,address.address,title.zh,decimals
a/oil,float64,Cel,0,120,500ms,plc,holding,4,油温,1
a/on,bool,,,,,plc,coil,7,运行,
"""
PLANT = "assets: {a: {}}\nconnections: {plc: {driver: modbus, settings: {host: h}}}\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "gbk", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_encodings_and_delimiters_are_told_apart(encoding: str, delimiter: str) -> None:
    found = read_points(CSV.replace(",", delimiter).encode(encoding), "points.csv")
    assert found.errors == ()
    assert found.encoding in (encoding, "gb18030")
    assert found.paths == ("a/oil", "a/on")
    model, problems = expanded(PLANT + found.file.text)
    assert problems == []
    oil = model.points["a/oil"]
    assert oil.title == {"zh": "油温"}
    assert oil.source is not None
    assert oil.source.address == {"table": "holding", "address": 4}
    assert oil.source.interval_ns == 500_000_000


def test_wrong_rows_are_told_with_row_and_column_and_the_good_ones_go_on() -> None:
    text = """\
path,unit,low,high,type,address.table,connection
a/ok,bar,0,10,,,
a/b c,bar,,,,,
a/unit,kPA,,,,,
a/half,bar,0,,,,
a/down,bar,10,0,,,
a/kind,bar,,,real,,

,bar,,,,,
a/ok,bar,,,,,
a/text,bar,zero,1,,,
a/wide,bar,,,,,,,x
"a/quoted",bar,,,,,
"""
    found = read_points(text.encode(), "points.csv")
    assert found.paths == ("a/ok", "a/quoted")
    assert [str(error) for error in found.errors] == [
        "points.csv:3:1: 'b c' in path 'a/b c' is not a name: start with a letter or digit, then letters, digits, "
        "'.', '-' or '_'",
        "points.csv:4:2: 'kPA' is no UCUM unit; did you mean 'kPa'?",
        "points.csv:5:1: 'low' and 'high' belong together; one is empty",
        "points.csv:6:3: 'range' must have its lower end first and two different ends, not [10, 0]",
        "points.csv:7:5: 'type' must be float64, int64, bool or text, not text 'real'",
        "points.csv:9:1: the path is missing",
        "points.csv:10:1: 'a/ok' stands in row 2 already",
        "points.csv:11:3: 'low' must be a number, not 'zero'",
        "points.csv:12:8: this row has 9 cells, the header 7",
    ]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "the first row must name the columns, 'path' among them; it has nothing"),
        (b"name,unit\nx,bar\n", "the first row must name the columns, 'path' among them; it has name, unit"),
        (b"path,untit\na/x,bar\n", "there is no column 'untit'; did you mean 'unit'?"),
        (b"path,path\n", "column 'path' stands here twice"),
        (b"PK\x03\x04 nothing", "this is no whole workbook"),
        (b"\xd0\xcf\x11\xe0", "this is an old .xls workbook"),
        (b'path,unit\n"a/x,bar\n', "the sheet cannot be read from here on"),
        (b"path\n\xff\xff\xff\n", "this text is neither UTF-8, UTF-16 nor GB18030"),
    ],
)
def test_sheets_that_cannot_be_read(data: bytes, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_points(data, "points.csv")
    assert caught.value.file == "points.csv"
    assert said in caught.value.message


@pytest.mark.parametrize("format", ["csv", "xlsx"])
def test_what_is_written_reads_back_the_same(format: str) -> None:
    model, _ = expanded(PRESS)
    data = write_points(model, format)
    found = read_points(data, f"points.{format}")
    assert found.errors == ()
    connections = PRESS[PRESS.index("connections:") : PRESS.index("assets:")]
    assets = "assets: {acme: {}, acme/suzhou: {}, acme/suzhou/press-3: {}, acme/suzhou/press-4: {}}\n"
    again, problems = expanded(connections + assets + found.file.text)
    assert problems == []
    assert again.points == model.points


def test_excel_finds_the_byte_order_mark() -> None:
    model, _ = expanded(PRESS)
    assert write_points(model, "csv").startswith(b"\xef\xbb\xbfpath,")
    assert write_points(model, "csv", bom=False).startswith(b"path,")


@pytest.mark.parametrize("title", ["=1+1", "+1", "-1", "@x", "'=1", "''", "=cmd|' /C calc'!A0"])
def test_no_cell_is_a_formula(title: str) -> None:
    from openpyxl import load_workbook

    quoted = title.replace("'", "''")
    model, _ = expanded(f"assets: {{a: {{}}}}\npoints:\n  a/x: {{title: {{en: '{quoted}'}}}}\n")
    csv_text = write_points(model, "csv").decode("utf-8-sig")
    cell = csv_text.split("\r\n")[1].split(",")[-1].strip('"')
    assert not cell.startswith(("=", "+", "-", "@"))
    book = load_workbook(io.BytesIO(write_points(model, "xlsx")))
    assert book.worksheets[0]["E2"].data_type != "f"
    for format in ("csv", "xlsx"):
        back, _ = expanded("assets: {a: {}}\n" + read_points(write_points(model, format), "p").file.text)
        assert back.points["a/x"].title == {"en": title}


def test_the_assets_that_an_import_needs() -> None:
    assert missing_assets(["a/b/c/x", "a/b/y", "d/z"], ["a"]) == ["a/b", "a/b/c", "d"]


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_give_only_config_errors(data: bytes) -> None:
    try:
        read_points(data, "x.csv")
    except ConfigError as error:
        assert error.file == "x.csv"


@settings(deadline=None)
@given(st.text(max_size=200), st.sampled_from(["utf-8", "utf-16", "gb18030"]))
def test_any_cells_give_only_errors_with_a_row(text: str, encoding: str) -> None:
    data = f"path,unit,address,title.en,low,high\n{text}\n".encode(encoding, "replace")
    try:
        found = read_points(data, "x.csv")
    except ConfigError:
        return
    assert all(error.line is not None and error.line > 1 for error in found.errors)
    assert expanded("assets: {}\n" + found.file.text)[1] == [] or found.paths
