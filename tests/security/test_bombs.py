"""Small things that become large: workbooks, gzip, nested documents, aliases, lengths that lie. Under a memory cap."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.security.capped import Capped, capped

pytestmark = pytest.mark.clause("62443-3-3 SR 7.1", "62443-3-3 SR 7.2", "62443-3-3 SR 3.5", "GB/T 22239-2019 8.1.4.5")

WORKBOOKS = {
    # 300 MB of one shared string, a few hundred kB on the way
    "shared strings": """
        write("xl/sharedStrings.xml", head + b'<sst xmlns="%s"><si><t>' % main + b"a" * 300_000_000
              + b"</t></si></sst>")
        sheet(b'<row r="1"><c r="A1" t="s"><v>0</v></c></row>')
    """,
    "a cell in the last column of each of very many rows": """
        rows = b"".join(b'<row r="%d"><c r="XFD%d"><v>1</v></c></row>' % (n, n) for n in range(1, 200_001))
        sheet(rows)
    """,
    "one cell in the last row of all": """
        sheet(b'<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')
    """,
    "a cell far beyond every column": """
        sheet(b'<row r="1"><c r="ZZZZZZ1"><v>1</v></c></row>')
    """,
    "a row number without end": """
        sheet(b'<row r="99999999999999999999"><c r="A1"><v>1</v></c></row>')
    """,
    "entities of entities": """
        entities = b'<!DOCTYPE x [<!ENTITY a0 "aaaaaaaaaa">' + b"".join(
            b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 12)) + b"]>"
        sheet(b'<row r="1"><c r="A1" t="inlineStr"><is><t>&a11;</t></is></c></row>', entities)
    """,
    "an entity that is a file": """
        outside = b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'
        sheet(b'<row r="1"><c r="A1" t="inlineStr"><is><t>&f;</t></is></c></row>', outside)
    """,
    "elements within elements": """
        sheet(b"<row>" * 1_000_000)
    """,
}


SHEETS = """
    import io, zipfile
    from headrace.model.errors import ConfigError
    from headrace.registry.sheet_bytes import read_rows
    import openpyxl
"""


@pytest.fixture(scope="module")
def sheets() -> Iterator[Capped]:
    one = Capped(SHEETS)
    yield one
    one.close()


@pytest.mark.parametrize("kind", sorted(WORKBOOKS))
def test_a_workbook_is_refused_before_it_grows(sheets: Capped, kind: str) -> None:
    made = f"""
        out, head = io.BytesIO(), b'<?xml version="1.0"?>'
        main = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"
        book = openpyxl.Workbook(); book.active.append(["path", "text"]); book.save(out)
        parts = {{n: zipfile.ZipFile(out).read(n) for n in zipfile.ZipFile(out).namelist()}}
        def write(name, data): parts[name] = data
        def sheet(rows, doctype=b""):
            write("xl/worksheets/sheet1.xml",
                  head + doctype + b'<worksheet xmlns="%s"><sheetData>' % main + rows + b"</sheetData></worksheet>")
        {WORKBOOKS[kind].strip()}
        bomb = io.BytesIO()
        with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, data in parts.items(): archive.writestr(name, data)
        data = bomb.getvalue(); parts.clear(); rows = None
        cap(600_000_000)
        try:
            text = str(list(read_rows(data, "x.xlsx")[1])[:3])[:2000]
            assert "root:" not in text, text
            print("read", len(text))
        except ConfigError as error:
            print("refused", error)
    """
    said = sheets.run(made)
    assert said.startswith("refused") or (said.startswith("read") and kind == "a cell far beyond every column"), said


def test_a_workbook_that_lies_about_its_size_is_no_larger_than_it_says(sheets: Capped) -> None:
    said = sheets.run("""
        out = io.BytesIO(); openpyxl.Workbook().save(out)
        bomb = io.BytesIO()
        with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name in zipfile.ZipFile(out).namelist():
                if name != "xl/worksheets/sheet1.xml": archive.writestr(name, zipfile.ZipFile(out).read(name))
            archive.writestr("xl/worksheets/sheet1.xml", b" " * 700_000_000)
        data = bomb.getvalue().replace((700_000_000).to_bytes(4, "little"), (1_000).to_bytes(4, "little"))
        cap(300_000_000)
        try: print("read", len(list(read_rows(data, "x.xlsx")[1])))
        except ConfigError as error: print("refused", error)
    """)
    assert said.startswith("refused")


API = """
    import asyncio, gzip, io, json, struct, zlib, httpx
    from tests.api.fakes import World, TEMPERATURE
    from headrace.api import ApiSettings, create_app
    import pyarrow as pa, pyarrow.ipc
    HEADERS = {"Authorization": "Bearer token-owner"}
    async def post(path, content, **headers):
        world = await World.make()
        transport = httpx.ASGITransport(create_app(world.services, ApiSettings()), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=HEADERS) as client:
            answer = await client.post("/api/v1" + path, content=content, headers=headers)
            return answer.status_code, answer.text[:300]
    def blanks():
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        return b"".join([packer.compress(b" " * 1_000_000) for _ in range(1_000)] + [packer.flush()])
"""


@pytest.fixture(scope="module")
def api() -> Iterator[Capped]:
    one = Capped(API)
    yield one
    one.close()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ('"/ingest/json", blanks(), **{"content-encoding": "gzip"}', 413),
        ('"/ingest/json", gzip.compress(blanks(), 1), **{"content-encoding": "gzip, gzip"}', 422),
        ('"/ingest/json", b"[" * 1_000_000', 400),
        ('"/ingest/json", b\'{"a":\' * 200_000', 400),
        ('"/declarations/plan", b"[" * 1_000_000, **{"content-type": "application/json"}', (400, 422)),
        ('"/declarations/plan", b\'{"files":\' * 100_000, **{"content-type": "application/json"}', (400, 422)),
        ('"/users", b"1" * 1_000_000, **{"content-type": "application/json"}', (400, 422)),
        (
            '"/history/sql", json.dumps({"sql": "SELECT " + "(" * 100_000}), **{"content-type": "application/json"}',
            422,
        ),
        ('"/history/import", b"\\xff\\xff\\xff\\xff" + struct.pack("<i", 2**31 - 1) + b"x" * 1_000', 422),
        ('"/history/import", b"\\xff\\xff\\xff\\xff" + struct.pack("<i", -1) + b"x" * 1_000', 422),
        ('"/history/import", b"\\xff" * 100_000', 422),
    ],
)
def test_a_body_is_bounded_whatever_it_unfolds_to(api: Capped, request_: str, status: int | tuple[int, ...]) -> None:
    said = api.run(f"cap(700_000_000)\nprint(*asyncio.run(post({request_})))\n")
    code = int(said.split()[0])
    assert code in (status if isinstance(status, tuple) else (status,)), said


def test_a_compressed_column_that_claims_a_terabyte_is_refused(api: Capped) -> None:
    said = api.run("""
    sink = io.BytesIO()
    table = pa.table({"path": [TEMPERATURE] * 1000, "source_time": pa.array([1] * 1000, pa.timestamp("ns", "UTC")),
                      "float64": [0.0] * 1000})
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    data = sink.getvalue()
    lied = 0
    for size in (8_000, 4_004):  # each buffer begins with its length unpacked: make it a terabyte
        while (size).to_bytes(8, "little") + b"\\x28\\xb5" in data:
            lie = (10**12).to_bytes(8, "little") + b"\\x28\\xb5"
            data = data.replace((size).to_bytes(8, "little") + b"\\x28\\xb5", lie)
            lied += 1
    assert lied
    cap(700_000_000)
    print(*asyncio.run(post("/history/import", data)))
    """)
    assert said.startswith("422"), said


def test_aliases_of_aliases_and_depth_are_refused_in_declarations() -> None:
    said = capped(
        """
        from headrace.registry.problems import Problems
        from headrace.registry import text
        from headrace.sdk.services import SourceFile
        laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\\n" + "".join(
            f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\\n" for n in range(1, 12))
        merged = "a0: &a0 {x: 1}\\n" + "".join(
            f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}], y{n}: *a{n - 1}}}\\n"
            for n in range(1, 12))
        cap(400_000_000)
        for bomb in (laughs, merged, "[" * 200_000, "{a: " * 200_000, "- " * 200_000, "a: &a [*a]", "? " * 100_000,
                     "!!python/object/apply:os.system [id]", "a: " + "1" * 1_000_000):
            problems = Problems()
            text.read(SourceFile("x.yaml", bomb), problems)
            print("refused" if problems else "read")
    """.replace("PARSE(bomb, problems)", "text.parse(bomb, 'x.yaml', problems)")
    )
    assert len(said.splitlines()) == 9 and "said 0" not in said.splitlines()[:8]


@pytest.mark.parametrize("form", ["DEFLATE", "GZIP"])
def test_a_compressed_sparkplug_payload_opens_to_its_bound(form: str) -> None:
    said = capped(f"""
        import gzip, zlib
        from headrace.connect.sparkplug.compressed import opened
        from headrace.connect.sparkplug.schema import Payload
        from headrace.model.errors import DataError
        packer = zlib.compressobj(9, zlib.DEFLATED, {31 if form == "GZIP" else 15})
        body = b"".join([packer.compress(b"\\0" * 1_000_000) for _ in range(900)] + [packer.flush()])
        data = Payload(uuid="SPBV1.0_COMPRESSED", body=body).SerializeToString()
        cap(200_000_000)
        try: print("opened", len(opened(data, 1_048_576)))
        except DataError as error: print("refused", error)
    """)
    assert said.startswith("refused")


def test_protobuf_that_nests_or_lies_is_an_error_and_not_a_crash() -> None:
    said = capped("""
        from google.protobuf.message import DecodeError
        from headrace.connect.sparkplug.schema import Payload
        def field(number, data):
            head = bytes([number << 3 | 2])
            size, length = len(data), b""
            while True:
                length += bytes([size & 127 | (128 if size > 127 else 0)]); size >>= 7
                if not size: return head + length + data
        nested = b""
        for _ in range(5_000): nested = field(2, field(18, nested))
        cap(300_000_000)
        for bomb in (nested, b"\\x12\\xff\\xff\\xff\\xff\\x07",
                     b"\\x12" + b"\\xff" * 9 + b"\\x01", b"\\xff" * 1_000_000):
            try: Payload.FromString(bomb); print("read")
            except DecodeError: print("refused")
    """)
    assert said.split() == ["refused"] * 4


def test_an_mqtt_packet_that_claims_more_than_it_may_is_refused_before_it_is_held() -> None:
    said = capped("""
        from headrace.connect.mqtt.parser import Parser, Side
        from headrace.connect.mqtt.packets import Version
        from headrace.model.errors import HeadraceError
        cap(100_000_000)
        publish = lambda properties: b"\\x30" + bytes([2 + 1 + len(properties)]) + b"\\0\\1a" + properties
        for bomb in (
            b"\\x30\\xff\\xff\\xff\\x7f" + b"a" * 1_000_000,
            b"\\x30\\xff\\xff\\xff\\xff\\xff",
            publish(b"\\xff\\xff\\xff\\x7f"),
            publish(b"\\x05\\x26\\xff\\xff\\0\\0"),
            publish(b"\\x03\\x26\\0\\0"),
            publish(b"\\x05\\x01\\0\\x01\\0\\x01"),
        ):
            parser = Parser(Side.CLIENT, Version.V5, packet_bytes_max=65_536)
            try:
                list(parser.feed(bomb)); print("waits")
            except HeadraceError: print("refused")
    """)
    assert said.split() == ["refused"] * 6, said
