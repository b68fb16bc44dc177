"""Names, notes, reasons and values of a stranger in the console of a real platform: they are shown, and do nothing.

every text that somebody can give ─► `headrace serve` ─► every page of the router, every tab ─► Chromium
    no dialog, no error, no violation of the policy, no foreign request, no script of theirs, no link that runs
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from tests.console.conftest import CONSOLE
from tests.e2e.platform_process import platform_process, wait_for
from tests.security.entering import signed_in

from headrace.cli.client import Client
from headrace.model.errors import HeadraceError

pytestmark = [
    pytest.mark.browser,
    pytest.mark.clause("62443-3-3 SR 3.5", "62443-3-3 SR 3.8", "GB/T 22239-2019 8.1.4.2"),
]

HOSTILE = [
    "<script>window.owned=1</script>", '"><img src=x onerror="window.owned=1">', "javascript:window.owned=1",
    "</script><svg onload=window.owned=1>", "{{7*7}}${7*7}<%= 7*7 %>", "=cmd|' /C calc'!A0", "\u202egnp.exe\u202c",
    "\u2066x\u2069", "<iframe srcdoc='<script>parent.owned=1</script>'>", "<a href='javascript:window.owned=1'>x</a>",
    "' onmouseover='window.owned=1", "<img src='//evil.example/x.png'>", "<style>*{display:none}</style>",
    "<base href='//evil.example/'>", "__proto__", "constructor", "%00", "a" * 10_000, "<b>" * 500, "&lt;script&gt;",
    "\\u003cscript\\u003ewindow.owned=1\\u003c/script\\u003e", "../../etc/passwd", "¡👩‍👩‍👧‍👦 ﷽ Z̷̡͖̖",
    "data:text/html,<script>1</script>",
]  # fmt: skip
#: Places within the routes, which are read from the router.
WITHIN = [f"/{where}{quote(text[:300], safe='')}" for text in HOSTILE[:6] for where in ("explore/", "devices?q=", "x/")]


def routes() -> list[str]:
    source = (CONSOLE / "src" / "app" / "router.tsx").read_text("utf-8")
    found = re.findall(r'path: "(/[^"]*)"', source)
    assert len(found) >= 10, "the router is written in another way: teach this test"
    tabs = re.findall(r'<Tabs.Tab value="([a-z]+)"', (CONSOLE / "src" / "pages" / "system" / "System.tsx").read_text())
    assert len(tabs) >= 6, "the tabs are written in another way: teach this test"
    alarms = re.search(r"ALARM_TABS = \[(.*)\]", source)
    assert alarms is not None, "the tabs of alarms are written in another way: teach this test"
    record = f"/alarms?alarm={quote('acme/m0/value:hot')}"
    return [
        *found, record, *(f"/system?tab={tab}" for tab in tabs),
        *(f"/alarms?tab={tab}" for tab in re.findall(r"[a-z]+", alarms[1])),
    ]  # fmt: skip


def plant() -> str:
    """Titles, attributes and messages of declarations; JSON is YAML."""
    assets: dict[str, Any] = {"acme": {"level": "site", "title": {"en": HOSTILE[0], "zh": HOSTILE[1]}}}
    points, alarms = {}, {}
    for at, text in enumerate(HOSTILE):
        path = f"acme/m{at}"
        assets[path] = {
            "level": "equipment", "title": {"en": text[:200], "zh": text[:200]}, "attributes": {"maker": text[:200]},
        }  # fmt: skip
        points[f"{path}/value"] = {"type": "float64", "unit": "kW", "title": {"en": text[:200]}}
        points[f"{path}/order"] = {"type": "text", "title": {"en": text[:200]}}
        alarms[f"{path}/value:hot"] = {
            "condition": "high", "limit": 5, "priority": "high", "message": {"en": text[:200]},
        }  # fmt: skip
    return json.dumps({"assets": assets, "points": points, "alarms": alarms}, ensure_ascii=False)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """(address, an owner's session)."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "plant.yaml").write_text(plant())
    with platform_process(folder / "home", "-f", str(folder / "plant.yaml")) as process:
        client = process.start()
        once = re.search(r"one-time password\s+(\S+)", process.log.read_text())
        assert once is not None
        session = signed_in(client.url, "admin", once[1]).cookies["headrace_session"]
        said = sum(given(client, text, at) for at, text in enumerate(HOSTILE))
        assert said > 3 * len(HOSTILE), "else there is little to see"
        wait_for(lambda: client.get("/alarms")["alarms"], 30, "alarms")
        yield client.url, session


def given(client: Client, text: str, at: int) -> int:
    """How many of the texts were taken: some names are refused, which is as good."""
    bodies: list[tuple[str, Any]] = [
        ("/devices", {"name": text, "note": text}),
        ("/devices", {"name": f"meter-{at}", "note": text}),
        ("/tokens", {"name": text, "role": "viewer"}),
        ("/users", {"name": text, "role": "viewer"}),
        ("/tenants", {"name": f"firm-{at}", "title": text, "roots": [f"firm-{at}"], "separate_duties": False}),
        ("/grants", {"partner": f"firm-{at}", "asset": f"acme/m{at}", "purpose": text, "points": [text[:100]]}),
        ("/locks", {"path": f"acme/m{at}", "reason": text}),
        ("/writes", {"path": f"acme/m{at}/value", "value": 1, "reason": text}),
        ("/edges", {"name": f"edge-{at}", "prefix": f"acme/m{at}"}),
        ("/ingest/json", {"path": f"acme/m{at}/order", "value": text}),
        ("/ingest/json", {"path": f"acme/m{at}/value", "value": 9.0}),
        ("/session", {"user": text, "password": text}),
    ]
    taken = 0
    for path, body in bodies:
        try:
            client.post(path, body)
            taken += 1
        except HeadraceError:
            continue
    return taken


@pytest.mark.timeout(600)
@pytest.mark.parametrize("language", ["en", pytest.param("zh", marks=pytest.mark.soak)])
def test_a_hostile_text_is_shown_and_does_nothing(browser: Any, platform: tuple[str, str], language: str) -> None:
    served, session = platform
    context = browser.new_context(base_url=served, viewport={"width": 1440, "height": 900}, service_workers="block")
    context.set_default_timeout(20_000)
    wrong: list[str] = []
    context.add_init_script(
        f"localStorage.setItem('headrace.language', {json.dumps(language)});"
        "document.addEventListener('securitypolicyviolation',"
        " (e) => console.error(`policy ${e.violatedDirective} ${e.blockedURI}`))"
    )
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
    page.on("dialog", lambda dialog: wrong.append(f"{page.url}: {dialog.message}") or dialog.dismiss())  # type: ignore
    page.on("console", lambda said: wrong.append(f"{page.url}: {said.text}") if bad(said) else None)
    page.on("request", lambda sent: wrong.append(f"{page.url}: asks {sent.url}") if foreign(sent.url, served) else None)
    context.add_cookies([{"name": "headrace_session", "value": session, "url": served}])
    shown = ""
    points = json.dumps([f"acme/m{at}/value" for at in range(6)])
    places = [
        *(one.replace("$", f"acme/m{at}") for one in routes() for at in (range(len(HOSTILE)) if "$" in one else (0,))),
        *WITHIN, f"/trend?p={quote(points)}&last=300",
    ]  # fmt: skip
    for place in places:
        page.goto(place)
        page.locator("h1, h2, form, [role=alert]").first.wait_for()
        page.wait_for_timeout(250)  # what is asked for after the first sight
        shown += page.locator("body").inner_text()
        assert page.evaluate("window.owned") is None, place
        runs = page.evaluate("""[...document.querySelectorAll('a, form, iframe, [src], [formaction]')].flatMap(
            (one) => ['href', 'src', 'action', 'formaction', 'srcdoc'].map((name) => one.getAttribute(name) ?? '')
        ).filter((one) => /^\\s*(javascript|data:text|vbscript):/i.test(one))""")
        assert runs == [], place
        assert page.locator("iframe, base, svg[onload], [onerror], [onmouseover]").count() == 0, place
    for text in (HOSTILE[0], HOSTILE[1], "{{7*7}}"):
        assert text in shown, f"{text} was nowhere to be seen"
    assert not wrong, "\n".join(wrong)
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=window.owned=1>')")
    page.wait_for_timeout(250)
    assert any("policy" in one for one in wrong), "what would have been written into the page would have been heard"
    assert page.evaluate("window.owned") is None
    context.close()


def bad(said: Any) -> bool:
    """A part that is not there, or that may not be seen, is answered so; the browser tells it as an error."""
    return said.type == "error" and not said.text.startswith("Failed to load resource")


def foreign(url: str, ours: str) -> bool:
    return not url.startswith((ours, "data:", "blob:"))
