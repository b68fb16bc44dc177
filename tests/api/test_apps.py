"""Apps over the API: installed, taken in, called; and what comes from an app does nothing to who opens it."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.api.fakes import World
from tests.hosting.house import write_app

from headrace.api import ApiSettings, create_app
from headrace.api.app_files import disposition, frame_response, page_response, reply_response
from headrace.api.routes.app_use import language_of
from headrace.hosting.releases import read_folder
from headrace.sdk.apps import Reply

PAGES = """
[permissions]
read = ["acme/**"]
[settings.limit]
kind = "number"
title = { en = "Limit", zh = "上限" }
[settings.key]
kind = "secret"
optional = true
[[pages]]
name = "line"
file = "pages/line.js"
title = { en = "Line", zh = "产线" }
[[pages]]
name = "figures"
kind = "widgets"
file = "pages/figures.toml"
title = "Figures"
[[pages]]
name = "nothing"
kind = "widgets"
file = "pages/nothing.toml"
title = "Nothing"
action = "audit"
"""
FIGURES = """
refresh = "30s"
[[inputs]]
name = "day"
kind = "date"
title = "Day"
[[rows]]
[[rows.widgets]]
kind = "number"
title = { en = "Running", zh = "运行" }
source = "/hours"
value = "total.hours"
unit = "h"
decimals = 1
[[rows.widgets]]
kind = "form"
call = "POST /targets"
button = "Keep"
[rows.widgets.fields.hours]
kind = "number"
high = 24
"""
FILES = {
    "pages/line.js": "document.body.append('</script><script>alert(1)</script>')",
    "pages/figures.toml": FIGURES,
    "pages/nothing.toml": "rows = []",
    "pages/style.css": "p {}",
    "pages/picture.svg": "<svg onload='alert(1)'/>",
    "pages/tool.exe": "MZ",
    "LICENSE": "Apache License",
}
HEADERS = {"X-Headrace": "1"}
APP = "/api/v1/apps/press-view"


@pytest.fixture
async def operator(client: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    client.headers.update({"Authorization": "Bearer token-owner", **HEADERS})
    yield client


async def installed(world: World, client: httpx.AsyncClient, tmp_path: Path, version: str = "1.0.0") -> Any:
    package = world.apps.package(write_app(tmp_path, version, PAGES, files=FILES))
    answer = await client.post("/api/v1/apps", content=package)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def enabled(world: World, client: httpx.AsyncClient, tmp_path: Path) -> Any:
    await installed(world, client, tmp_path)
    body = {"version": "1.0.0", "settings": {"limit": 80, "key": "hush"}}
    answer = await client.post(f"{APP}/enable", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_life_of_an_app(operator: httpx.AsyncClient, world: World, tmp_path: Path) -> None:
    made = await installed(world, operator, tmp_path)
    assert (made["offered"], made["versions"][0]["signers"], made["tenants"]) == ("1.0.0", ["Acme"], 0)
    one = (await operator.get(APP)).json()
    assert (one["state"], one["licence"], one["licence_text"]) == ("available", "Apache-2.0", "Apache License")
    assert one["permissions"]["read"] == ["acme/**"]
    assert (await operator.get("/api/v1/apps")).json()[0]["licence_text"] == ""

    refused = await operator.post(f"{APP}/enable", json={"version": "1.0.0", "settings": {"limit": "high"}})
    assert refused.status_code == 422 and "setting 'limit'" in refused.text
    one = await enabled_body(operator)
    assert (one["state"], one["changed_by"], one["asks"]) == ("running", "owner", [])

    form = (await operator.get(f"{APP}/settings")).json()
    assert form["values"] == {"limit": 80} and form["secrets"] == ["key"]
    assert [(one["name"], one["kind"]) for one in form["form"]] == [("limit", "number"), ("key", "secret")]
    form = (await operator.put(f"{APP}/settings", json={"values": {"limit": 90}})).json()
    assert form["values"] == {"limit": 90} and form["secrets"] == ["key"]
    assert world.apps.played[-1].wanted.settings == {"limit": 90.0, "key": "hush"}

    assert (await operator.get(f"{APP}/health")).json()["memory_bytes"] == 20_000_000
    assert (await operator.get(f"{APP}/log")).json()[0]["text"] == "started"
    archive = await operator.get(f"{APP}/export")
    assert archive.content.startswith(b"PK") and archive.headers["content-type"] == "application/zip"
    assert 'filename="press-view.zip"' in archive.headers["content-disposition"]

    newer = world.apps.package(write_app(tmp_path, "1.1.0", PAGES, files=FILES))
    assert (await operator.post(f"{APP}/update", content=newer)).json()["offered"] == "1.1.0"
    assert (await operator.get(APP)).json()["version"] == "1.1.0"
    assert (await operator.post(f"{APP}/rollback", json={"why": "slow"})).json()["offered"] == "1.0.0"
    assert (await operator.post(f"{APP}/disable", json={})).json()["state"] == "disabled"
    assert (await operator.delete(f"{APP}?data=delete")).status_code == 204
    assert (await operator.get(APP)).status_code == 404 and (await operator.get("/api/v1/apps/shelf")).json() == []


async def enabled_body(client: httpx.AsyncClient) -> Any:
    body = {"version": "1.0.0", "settings": {"limit": 80, "key": "hush"}}
    return (await client.post(f"{APP}/enable", json=body)).json()


async def test_a_package_may_be_large_and_nothing_else(world: World, tmp_path: Path) -> None:
    settings = ApiSettings(console_dir=tmp_path, body_bytes_max=1000)
    transport = httpx.ASGITransport(create_app(world.services, settings), raise_app_exceptions=False)
    headers = {"Authorization": "Bearer token-owner", **HEADERS}
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
        for route, status in (
            ("/api/v1/apps", 422), (f"{APP}/update", 404), (f"{APP}/call/count", 404), (f"{APP}/enable", 413),
            ("/api/v1/apps/local", 413),
        ):  # fmt: skip
            answer = await client.post(route, content=b"x" * 5000)
            assert answer.status_code == status, (route, answer.text)


async def test_calls_reach_the_app_as_who_asks(operator: httpx.AsyncClient, world: World, tmp_path: Path) -> None:
    await enabled(world, operator, tmp_path)
    answer = await operator.get(f"{APP}/call/count", params={"day": "2026-11-27"}, headers={"Accept-Language": "zh-CN"})
    assert answer.json() == {"user": "owner", "version": "1.0.0"}
    request = world.apps.played[-1].requests[-1]
    assert (request.query, request.language) == ({"day": "2026-11-27"}, "zh")
    await operator.post(f"{APP}/call/count", json={"n": 1})
    request = world.apps.played[-1].requests[-1]
    assert (request.method, request.body, request.media_type) == ("POST", b'{"n":1}', "application/json")
    assert (await operator.get(f"{APP}/call/none")).status_code == 404
    assert (await operator.get(f"{APP}/call/../settings")).status_code in (200, 404)

    operator.headers["Authorization"] = "Bearer token-viewer"
    assert (await operator.get(f"{APP}/call/count")).status_code == 200
    refused = await operator.post(f"{APP}/call/count", json={"n": 1})
    assert refused.status_code == 403 and "takes the right to write" in refused.text


async def test_what_changes_something_is_asked_by_our_pages_alone(
    client: httpx.AsyncClient, world: World, tmp_path: Path
) -> None:
    client.headers["Authorization"] = "Bearer token-owner"
    await enabled(world, client, tmp_path)
    before = len(world.apps.played[-1].requests)
    answer = await client.post(f"{APP}/call/count", json={}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    del client.headers["Authorization"]
    assert (await client.post(f"{APP}/call/count", json={})).status_code == 401
    assert len(world.apps.played[-1].requests) == before


async def test_nothing_is_changed_while_nothing_can_be_recorded(
    operator: httpx.AsyncClient, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headrace.model.errors import Unavailable

    await enabled(world, operator, tmp_path)

    async def broken() -> None:
        raise Unavailable("the audit trail cannot be written")

    monkeypatch.setattr(world.trail, "ready", broken)
    assert (await operator.post(f"{APP}/call/count", json={})).status_code == 503
    assert not world.apps.played[-1].requests
    assert (await operator.get(f"{APP}/call/count")).status_code == 200


async def test_pages_are_shown_in_a_sandbox(operator: httpx.AsyncClient, world: World, tmp_path: Path) -> None:
    await enabled(world, operator, tmp_path)
    line, figures, nothing = (await operator.get("/api/v1/apps/pages")).json()
    assert (line["url"], line["frame"]) == (f"{APP}/pages/line.js", f"{APP}/frames/line")
    assert (figures["kind"], figures["frame"]) == ("widgets", None)
    assert (await operator.get(f"{APP}/pages")).json() == [line, figures, nothing]

    script = await operator.get(line["url"])
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    policy = script.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts; default-src 'none'; script-src 'self'")
    assert "connect-src" not in policy and "allow-same-origin" not in policy
    tool = await operator.get(f"{APP}/pages/tool.exe")
    assert tool.headers["content-type"] == "application/octet-stream" and "attachment" in str(tool.headers)

    frame = await operator.get(line["frame"], params={"language": "zh"})
    policy = frame.headers["content-security-policy"]
    nonce = re.search(r"script-src 'nonce-([\w-]+)'", policy)
    assert nonce and f'nonce="{nonce[1]}"' in frame.text
    assert "allow-same-origin" not in policy and "connect-src" not in policy
    assert frame.headers["x-frame-options"] == "SAMEORIGIN" and "frame-ancestors 'self'" in policy
    assert "alert" not in frame.text, "no text of the module can end the element that holds it"
    held = re.search(r"base64,([\w+/=]+)", frame.text)
    assert held and base64.b64decode(held[1]).decode() == FILES["pages/line.js"]
    assert "<title>产线</title>" in frame.text
    assert (await operator.get(f"{APP}/frames/figures")).status_code == 404
    client_at, module_at = frame.text.index('"headrace", { value'), frame.text.index("base64,")
    assert client_at < module_at, "the module finds its client there"
    assert (await operator.get(f"{APP}/frames/line", params={"language": "<b>"})).status_code == 422


async def test_a_page_of_widgets_comes_as_what_is_to_be_drawn(
    operator: httpx.AsyncClient, world: World, tmp_path: Path
) -> None:
    await enabled(world, operator, tmp_path)
    page = (await operator.get(f"{APP}/widgets/figures")).json()
    assert (page["app"], page["page"], page["version"], page["refresh_s"]) == ("press-view", "figures", "1.0.0", 30)
    assert [(one["name"], one["kind"]) for one in page["inputs"]] == [("day", "date")]
    number, form = page["rows"][0]
    assert (number["source"], number["value"], number["unit"], number["decimals"]) == ("/hours", "total.hours", "h", 1)
    assert number["title"] == {"en": "Running", "zh": "运行"} and number["method"] is None
    assert (form["method"], form["path"], form["source"]) == ("POST", "/targets", "")
    assert [(one["name"], one["kind"], one["high"]) for one in form["fields"]] == [("hours", "number", 24.0)]
    refused = await operator.get(f"{APP}/widgets/nothing")
    assert refused.status_code == 422 and "at least one [[rows]]" in refused.text
    for missing in ("line", "none", "figures.toml"):
        assert (await operator.get(f"{APP}/widgets/{missing}")).status_code == 404, missing


@pytest.mark.parametrize(
    "file", ["..%2fapp.py", "%2e%2e/app.py", "../app.py", "..%5capp.py", "%00", "line.js%00.png", "/etc/passwd"]
)
async def test_no_name_leads_out_of_the_pages(
    operator: httpx.AsyncClient, world: World, tmp_path: Path, file: str
) -> None:
    await enabled(world, operator, tmp_path)
    answer = await operator.get(f"{APP}/pages/{file}")
    assert answer.status_code in (404, 405) and "app = App()" not in answer.text


@pytest.mark.parametrize("name", ["..", "%2e%2e%2fkeys", "x" * 300, "Press-View", "press-view%00", "a/b"])
async def test_no_name_of_an_app_is_a_path(operator: httpx.AsyncClient, name: str) -> None:
    for method, route in (("GET", ""), ("GET", "/settings"), ("POST", "/rollback"), ("DELETE", "")):
        answer = await operator.request(method, f"/api/v1/apps/{name}{route}", json={} if method == "POST" else None)
        assert answer.status_code in (404, 405, 422), (method, route, answer.text)


@pytest.mark.parametrize(
    "media_type",
    ["text/html", "text/javascript", "application/javascript", "image/svg+xml", "text/xml", "application/xhtml+xml",
     "text/css", "multipart/form-data", "", "x", "text/html;charset=utf-8", "application/vnd.mozilla.xul+xml"],
)  # fmt: skip
def test_what_a_browser_would_run_is_bytes_to_be_saved(media_type: str) -> None:
    made = reply_response(Reply(b"<script>", media_type))
    assert made.headers["content-type"] == "application/octet-stream"
    assert made.headers["content-disposition"].startswith("attachment")
    assert made.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


def test_what_is_inert_is_sent_as_it_is() -> None:
    made = reply_response(Reply(b"{}", "application/json", 201))
    assert (made.status_code, made.headers["content-type"]) == (201, "application/json")
    assert "content-disposition" not in made.headers
    report = reply_response(Reply(b"%PDF", "application/pdf", file="日报 5月.pdf"))
    assert "filename*=UTF-8''%E6%97%A5" in report.headers["content-disposition"]
    assert reply_response(Reply(status=204)).body == b""


@given(st.text(max_size=400))
def test_a_name_of_a_download_is_one_header_and_no_path(name: str) -> None:
    made = disposition(name)
    assert re.fullmatch(r"attachment; filename=\"[A-Za-z0-9._ -]+\"; filename\*=UTF-8''[A-Za-z0-9._~%-]+", made), made
    made.encode("ascii")


@example(title="</title><script>", module=b"</script>", app='"><main>')
@given(title=st.text(max_size=60), module=st.binary(max_size=200), app=st.text(max_size=20))
def test_a_frame_holds_our_client_and_one_module_whatever_an_app_says(title: str, module: bytes, app: str) -> None:
    made = frame_response(app=app, page="p", version="1", title=title, language="en", module=module)
    text = bytes(made.body).decode("utf-8", "surrogatepass")
    assert text.count("<script") == 2 and text.count("</script>") == 2 and text.count("<main") == 1


def test_a_file_of_a_page_has_the_type_of_its_name() -> None:
    assert page_response("a/b.SVG", b"").headers["content-type"] == "image/svg+xml"
    assert page_response("noname", b"").headers["content-type"] == "application/octet-stream"


@given(st.text(max_size=300))
def test_a_language_is_one_that_apps_speak(header: str) -> None:
    assert language_of(header) in ("en", "zh")


def test_the_first_language_that_apps_speak_is_taken() -> None:
    assert [language_of(one) for one in ("zh-CN,en;q=0.5", "de, zh;q=0.8", "en-GB", "fr")] == ["zh", "zh", "en", "en"]


async def test_a_ticket_is_for_who_has_the_machine(operator: httpx.AsyncClient, world: World, tmp_path: Path) -> None:
    files = read_folder(write_app(tmp_path, more=PAGES, files=FILES))
    for ticket in ("../../keys/seal.key", "x", "1" * 32 + ".folder"):
        answer = await operator.post("/api/v1/apps/local", json={"ticket": ticket})
        assert answer.status_code in (404, 422), answer.text
    answer = await operator.post("/api/v1/apps/local", json={"ticket": world.apps.leave(files), "source": "/x"})
    assert answer.status_code == 201 and answer.json()["versions"][0]["origin"] == "folder"
