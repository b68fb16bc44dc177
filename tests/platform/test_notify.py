"""From a sample to a person: the real platform, a real mail server, and a web server that is told by a webhook."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
from tests.connect.messengers.smtp_side import SmtpSide, parsed

from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import ConfigErrors
from headrace.platform.platform import Platform, running
from headrace.platform.settings import Settings
from headrace.sdk.access import Principal
from headrace.sdk.services import SourceFile

PLANT = """\
assets: {{works: {{level: site, title: {{en: Works, zh: 工厂}}}}, works/press: {{title: {{en: Press, zh: 压机}}}}}}
points:
  works/press/oil: {{unit: Cel, decimals: 1}}
alarms:
  works/press/oil:hot: {{condition: high, limit: 75, priority: high, message: {{en: Oil too hot, zh: 油温过高}}}}
channels:
  mail: {{kind: email, settings: {{host: 127.0.0.1, port: {mail}, tls: none, from: headrace@acme.example}}}}
  hook: {{kind: webhook, settings: {{url: "http://127.0.0.1:{hook}/told"}}}}
contacts:
  li: {{name: 李明, language: zh, addresses: {{email: li@acme.example}}}}
  chief: {{name: Chief, addresses: {{email: chief@acme.example}}}}
rosters:
  leaders:
    time_zone: Asia/Shanghai
    shifts: {{always: {{from: "00:00", to: "24:00", people: [li]}}}}
notifications:
  press:
    time_zone: Asia/Shanghai
    steps:
      - {{rosters: [leaders], channels: [mail]}}
      - {{after: 3s, contacts: [chief], channels: [hook]}}
    tell: [acknowledged, cleared]
"""
RULE = "works/press/oil:hot"


class Web:
    """Takes every POST, and keeps what came."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, object]] = []
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length:")[1].split("\r\n")[0])
        self.bodies.append(json.loads(await reader.readexactly(length)))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()


@pytest.fixture
async def mail() -> AsyncIterator[SmtpSide]:
    side = SmtpSide({"tls": "none"})
    await side.start()
    yield side
    await side.stop()


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    side = Web()
    await side.start()
    yield side
    await side.stop()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        home=tmp_path / "home", commit_interval_s=0.01, alarm_tick_s=0.05, public_url="https://plant.example.com"
    )


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.02)


async def oil(platform: Platform, value: float) -> None:
    handle = platform.reconciler.directory.handles["works/press/oil"]
    now_ns = platform.clock.now_ns()
    await platform.pipeline.take([Batch.of(ValueKind.FLOAT64, np.array([handle], np.uint32), now_ns, value)])


def subject(data: bytes) -> str:
    """Without blanks, which mail may move when it folds a line."""
    return str(parsed(data)["Subject"]).replace(" ", "")


async def test_raised_told_escalated_acknowledged_told(settings: Settings, mail: SmtpSide, web: Web) -> None:
    async with running(settings) as platform:
        text = PLANT.format(mail=mail.port, hook=web.port)
        plan, _ = await platform.registry.apply([SourceFile("plant.yaml", text)], actor="wang")
        kinds = {change.kind for change in plan.changes}
        assert {"channel", "contact", "roster", "notification"} <= kinds
        await oil(platform, 82.4)
        await until(lambda: mail.mails)
        sender, to, data = mail.mails[0]
        assert (sender, list(to)) == ("headrace@acme.example", ["li@acme.example"])
        said = parsed(data)
        assert subject(data) == "【高】油温过高·工厂›压机"
        body = said.get_body(("plain",))
        assert body is not None and "82.4 °C" in body.get_content()
        assert "https://plant.example.com/alarms" in body.get_content() and "李明" in body.get_content()
        await until(lambda: web.bodies)
        assert "Nobody has acknowledged: Oil too hot" in json.dumps(web.bodies[0], ensure_ascii=False)
        await platform.alarms.acknowledge([RULE], Principal("wang", "operator", "session"), "on my way")
        await until(lambda: len(mail.mails) == 2 and len(web.bodies) == 2)
        assert subject(mail.mails[1][2]) == "wang已确认：油温过高·工厂›压机"
        async with asyncio.timeout(30):
            while True:
                page = await platform.notifications.log(rule=RULE)
                if all(one.state == "sent" for one in page.notices):
                    break
                await asyncio.sleep(0.02)
        told = [(one.kind, one.channel) for one in reversed(page.notices)]
        assert told[:2] == [("raised", "mail"), ("escalated", "hook")]
        assert sorted(told[2:]) == [("acknowledged", "hook"), ("acknowledged", "mail")]


async def test_what_was_raised_as_the_platform_stopped_is_told_when_it_starts(
    settings: Settings, mail: SmtpSide, web: Web
) -> None:
    async with running(settings) as platform:
        text = PLANT.format(mail=mail.port, hook=web.port)
        await platform.registry.apply([SourceFile("plant.yaml", text)], actor="wang")
        await oil(platform, 82.4)
    assert mail.mails == []
    async with running(settings) as platform:
        await until(lambda: mail.mails)
        await until(lambda: web.bodies)
    async with running(settings) as platform:
        await oil(platform, 60.0)  # cleared: proof that this start has looked
        await until(lambda: len(mail.mails) == 2 and len(web.bodies) == 2)
    assert subject(mail.mails[1][2]) == "已恢复：油温过高·工厂›压机"


async def test_an_alarm_does_not_wait_for_a_mail_server_that_hangs(settings: Settings, web: Web) -> None:
    held: list[asyncio.StreamWriter] = []

    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with running(settings) as platform:
        text = PLANT.format(mail=port, hook=web.port).replace("from: headrace", "timeout: 1s, from: headrace")
        await platform.registry.apply([SourceFile("plant.yaml", text)], actor="wang")
        await oil(platform, 82.4)
        await until(lambda: held)
        await oil(platform, 60.0)
        await until(lambda: platform.alarms.current()[0].cleared_ns is not None)
    server.close()
    for writer in held:
        writer.close()


async def test_what_a_plan_says_of_a_channel_that_is_wrong(settings: Settings) -> None:
    async with running(settings) as platform:
        text = PLANT.format(mail=0, hook=1).replace("from: headrace@acme.example", "form: headrace@acme.example")
        with pytest.raises(ConfigErrors, match=r"plant.yaml:7:\d+: 'form' is not known in .*did you mean 'from'"):
            await platform.registry.apply([SourceFile("plant.yaml", text)], actor="wang")
