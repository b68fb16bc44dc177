"""What holds for every request: one shape of error, headers, limits, host names; and the console's files."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.api.fakes import TEMPERATURE, World

from headrace.api import ApiSettings, create_app
from headrace.api.errors import TABLE, describe
from headrace.model import errors


async def test_errors_have_one_shape(viewer: httpx.AsyncClient) -> None:
    for method, path, status, code in (
        ("GET", "/api/v1/nothing", 404, "not-found"),
        ("GET", "/api", 404, "not-found"),
        ("DELETE", "/api/v1/assets", 405, "method-not-allowed"),
        ("GET", "/api/v1/points?limit=none", 422, "invalid-request"),
        ("GET", "/api/v1/points?limt=1", 422, "invalid-data"),
        ("GET", "/api/v1/points/no/such", 404, "not-found"),
    ):
        answer = await viewer.request(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), (path, answer.text)
    answer = await viewer.get("/api/v1/points?limt=1")
    assert answer.json()["error"]["message"].endswith("did you mean 'limit'?")
    answer = await viewer.get("/api/v1/points?limit=0&cursor=a")
    assert answer.json()["error"]["message"] == "limit: must be greater than or equal to 1"


@pytest.mark.clause("62443-3-3 SR 3.5")
async def test_unknown_fields_are_refused(owner: httpx.AsyncClient) -> None:
    answer = await owner.post("/api/v1/users", json={"name": "a", "role": "viewer", "admin": True})
    assert answer.status_code == 422 and answer.json()["error"]["message"] == "admin: is not a field of this request"
    headers = {"Content-Type": "application/json"}
    answer = await owner.post("/api/v1/users", content=b"{", headers=headers)
    assert answer.status_code == 422 and "is not JSON" in answer.json()["error"]["message"]


def test_every_error_of_the_tree_has_a_status() -> None:
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.HeadraceError):
            made = kind([]) if kind is errors.ConfigErrors else kind("x")
            status, code = describe(made)
            assert (400 <= status < 600 and status != 500) or kind is errors.HeadraceError, name
            assert code
    assert errors.HeadraceError in TABLE


@pytest.mark.clause("62443-3-3 SR 3.7")
async def test_a_bug_shows_an_incident_and_nothing_else(
    viewer: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("secret internals")

    monkeypatch.setattr(world.alarms, "current", broken)
    with caplog.at_level(logging.ERROR):
        answer = await viewer.get("/api/v1/alarms")
    assert answer.status_code == 500 and "secret" not in answer.text
    incident = answer.json()["error"]["message"].split("incident ")[1].split()[0]
    assert [record.getMessage() for record in caplog.records] == [f"internal error {incident}"]


@pytest.mark.clause("62443-3-3 SR 7.1")
async def test_a_request_that_takes_too_long_is_given_up(
    world: World, settings: ApiSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def endless() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(world.store, "stats", endless)
    app = create_app(world.services, settings.model_copy(update={"request_timeout_s": 0.05}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        answer = await client.get("/api/v1/system", headers={"Authorization": "Bearer token-viewer"})
    assert answer.status_code == 503 and answer.headers["retry-after"]


@pytest.mark.clause("62443-3-3 SR 3.5", "62443-3-3 SR 7.1")
async def test_bodies_are_limited_however_they_come(world: World, settings: ApiSettings) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b" " * 300

    limits = {"body_bytes_max": 1_000, "declarations_bytes_max": 2_000}
    app = create_app(world.services, settings.model_copy(update=limits))
    headers = {"Authorization": "Bearer token-owner", "Content-Type": "application/json"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        for content in (b" " * 1_001, chunks()):
            answer = await client.post("/api/v1/writes", content=content, headers=headers)
            assert answer.status_code == 413 and answer.json()["error"]["code"] == "too-large"
        plan = json.dumps({"files": [{"name": "a", "text": " " * 1_500}]})
        assert (await client.post("/api/v1/declarations/plan", content=plan, headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("localhost:8470", True),
        ("127.0.0.1:8470", True),
        ("[::1]:8470", True),
        ("192.168.1.20", True),
        ("plant.example", True),
        ("headrace.localhost", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("", False),
        ("[::1", False),
    ],
)
@pytest.mark.clause("62443-3-3 SR 1.13", "62443-3-3 SR 3.5")
async def test_a_rebound_name_is_not_served(world: World, host: str, served: bool) -> None:
    app = create_app(world.services, ApiSettings(hosts=("plant.example",)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        answer = await client.get("/api/v1/health", headers={"Host": host})
        assert answer.status_code == (200 if served else 421)


async def test_answers_carry_security_headers(client: httpx.AsyncClient) -> None:
    for path in ("/api/v1/health", "/api/v1/assets", "/", "/api/v1/nothing"):
        headers = (await client.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self';" in policy and "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        if path.startswith("/api"):
            assert headers["cache-control"] == "no-store"
    assert (await client.get("/api/v1/health")).json() == {"status": "ok"}


async def test_the_description_is_served_to_those_who_signed_in(viewer: httpx.AsyncClient) -> None:
    document = (await viewer.get("/api/v1/openapi.json")).json()
    assert document["openapi"].startswith("3.1") and "/api/v1/assets" in document["paths"]


async def test_the_system_as_it_stands(viewer: httpx.AsyncClient) -> None:
    body = (await viewer.get("/api/v1/system")).json()
    assert body["version"] == "0.1.0" and body["revision"] == 1 and body["samples_per_s"] == 600
    assert body["process"] == {"rss_mb": 101.0, "cpu_percent": 3.5, "threads": 7}
    assert body["history"]["points"] == 5 and body["history"]["extra"] == {"durable_lag_ms": 1.5}
    assert body["feed"] == {"clients": 0, "frames": 0, "coalesced": 0, "slow_closed": 0}


async def test_without_a_console_a_page_says_how_to_build_it(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert answer.status_code == 200 and "make demo" in answer.text and "<script" not in answer.text


@pytest.fixture
def console(settings: ApiSettings) -> Path:
    folder = settings.console_dir
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>Headrace</title>")
    (folder / "assets" / "index-abc123.js").write_text("export {}")
    (folder / "assets" / "index-abc123.js.br").write_bytes(b"brotli")
    (folder / "assets" / "index-abc123.js.gz").write_bytes(b"gzip")
    (folder / "favicon.svg").write_text("<svg/>")
    (folder.parent / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(folder.parent / "secret.txt")
    return folder


async def test_the_console_is_cached_by_its_names(client: httpx.AsyncClient, console: Path) -> None:
    script = await client.get("/assets/index-abc123.js", headers={"Accept-Encoding": "identity"})
    assert script.text == "export {}" and script.headers["content-type"].startswith("text/javascript")
    assert "immutable" in script.headers["cache-control"] and script.headers["vary"] == "Accept-Encoding"
    for accept, encoding in (("gzip, br;q=0.9", "br"), ("gzip", "gzip")):
        async with client.stream("GET", "/assets/index-abc123.js", headers={"Accept-Encoding": accept}) as packed:
            assert packed.headers["content-encoding"] == encoding
            assert b"".join([part async for part in packed.aiter_raw()]) == {"br": b"brotli", "gzip": b"gzip"}[encoding]
            assert packed.headers["content-type"].startswith("text/javascript")
    icon = await client.get("/favicon.svg")
    assert icon.headers["content-type"] == "image/svg+xml" and icon.headers["cache-control"] == "no-cache"
    again = await client.get("/favicon.svg", headers={"If-None-Match": icon.headers["etag"]})
    assert again.status_code == 304 and again.content == b""


async def test_every_page_of_the_app_is_the_index(client: httpx.AsyncClient, console: Path) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml"}
    for path in ("/", "/alarms", f"/points/{TEMPERATURE}"):
        page = await client.get(path, headers=browser)
        assert page.status_code == 200 and "Headrace" in page.text and page.headers["cache-control"] == "no-cache"
    missing = await client.get("/assets/gone.js")
    assert missing.status_code == 404
    assert (await client.post("/alarms")).status_code == 405
    assert (await client.head("/")).status_code == 200
    assert (await client.get("/api/v1/nothing", headers=browser)).status_code == 404, "the API has no pages"


@pytest.mark.parametrize("path", ["/../secret.txt", "/%2e%2e/secret.txt", "/assets/..%2f..%2fsecret.txt", "/link.txt"])
@pytest.mark.clause("62443-3-3 SR 3.5")
async def test_nothing_outside_the_console_is_served(client: httpx.AsyncClient, console: Path, path: str) -> None:
    answer = await client.get(httpx.URL("http://localhost", raw_path=path.encode()))
    assert "secret" not in answer.text
    for odd in ("/%00", "/" + "a" * 5_000, "//etc/passwd", "/assets"):
        assert (await client.get(httpx.URL("http://localhost", raw_path=odd.encode()))).status_code in (200, 404)
