"""Server-side request forgery: a declaration that names what this process must not call, however it is spelled."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from ssl import SSLContext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.connect.drivers.modbus.plant import server as modbus_server
from tests.security.certificates import Authority

from headrace.connect import drivers, outlets
from headrace.connect.outlets.webhook.config import Settings as WebhookSettings
from headrace.connect.outlets.webhook.outlet import WebhookOutlet
from headrace.model.errors import ConfigError, HeadraceError, Refused, Unreachable
from headrace.model.events import Event
from headrace.platform.settings import Settings
from headrace.sdk.clock import SystemClock
from headrace.sdk.driver import DriverContext
from headrace.sdk.outlet import OutletContext, View
from headrace.sdk.reach import NEVER, Reach, Reaches, SocketAddress, carried, parse_allowed
from headrace.sdk.tenancy import OnHub
from headrace.sdk.testing.outlet import Doors

pytestmark = pytest.mark.clause("62443-3-3 SR 5.2", "62443-3-3 SR 5.2 RE 1", "GB/T 22239-2019 8.1.3.2")

METADATA = "169.254.169.254"


class Names:
    """A resolver that answers what it is told: one list after the other, as a rebinding server does."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers, self.asked = list(answers), 0

    async def __call__(self, host: str, port: int) -> Sequence[tuple[int, SocketAddress]]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [(socket.AF_INET6, (one, port, 0, 0)) if ":" in one else (socket.AF_INET, (one, port)) for one in answer]


async def hosts(reach: Reach, host: str, port: int = 502) -> list[str]:
    return [target.host for target in await reach.targets(host, port)]


@pytest.mark.parametrize(
    "spelled",
    [
        METADATA, "2852039166", "0xa9fea9fe", "0xA9.0xFE.0xA9.0xFE", "0251.0376.0251.0376", "0251.254.43518",
        "169.254.43518", "169.16689662", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "[::ffff:169.254.169.254]",
        "::169.254.169.254", "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::1", "fe80::1", "fe80::1%lo", "fe80::1%1",
        "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "0.0.0.0", "0", "0x0", "00", "::", "[::]",
        "::ffff:0.0.0.0", "224.0.0.1", "239.255.255.250", "ff02::1", "::ffff:224.0.0.1", "255.255.255.255", "0.0.0.1",
    ],
)  # fmt: skip
async def test_no_spelling_reaches_what_nobody_may_call(spelled: str) -> None:
    with pytest.raises((Refused, Unreachable)):  # a spelling that this machine's resolver does not take is unknown
        await Reach().targets(spelled, 80)


@pytest.mark.parametrize("network", [str(network) for network, _ in NEVER])
async def test_what_nobody_may_call_stays_so_where_it_is_listed(network: str) -> None:
    first = str(ipaddress.ip_network(network)[-1])
    with pytest.raises(Refused, match="no declaration may call it"):
        await Reaches([network, "works.example"], Names([first])).of("default").targets("works.example", 80)


@pytest.mark.parametrize("odd", ["", ".", "[]", "a..b", "x" * 300, "a\0b", "a b", "\ud800", "-", "%", "fe80::1%"])
async def test_what_is_no_host_is_said_to_be_none(odd: str) -> None:
    with pytest.raises((Refused, Unreachable)):
        await Reach().targets(odd, 80)


async def test_a_plant_is_called_as_ever() -> None:
    assert await hosts(Reach(), "localhost.") and await hosts(Reach(), "LOCALHOST")
    for one in ("10.1.2.3", "192.168.0.9", "172.16.0.1", "127.0.0.1", "::1", "fd12:3456::1", "203.0.113.9"):
        assert await hosts(Reach(), one) == [one]
    assert await hosts(Reach(), "0x7f.1") == ["127.0.0.1"]


async def test_of_several_addresses_only_the_allowed_are_called() -> None:
    reach = Reaches(resolve=Names([METADATA, "10.0.0.7", "fe80::7"])).of("default")
    assert await hosts(reach, "plc.example") == ["10.0.0.7"]


class Door:
    """A server of one socket that says how often it was knocked at, and answers with `said`."""

    def __init__(self, said: bytes = b"", tls: SSLContext | None = None) -> None:
        self.knocks, self.heard, self._said, self._tls = 0, b"", said, tls
        self.port = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Door]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.knocks += 1
            self.heard += await reader.read(65_536)
            if self._said:
                writer.write(self._said)
                await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self


def driver_of(protocol: str, settings: dict[str, Any], reach: Reach, folder: Path) -> Any:
    kind = drivers.load()[protocol]
    return kind.open(kind.settings.model_validate(settings), DriverContext("cell", SystemClock(), folder, reach=reach))


def outlet_of(protocol: str, settings: dict[str, Any], reach: Reach, folder: Path) -> Any:
    kind = outlets.load()[protocol]
    context = replace(Doors().context(folder), outlet="out", reach=reach)
    return kind.open(kind.settings.model_validate(settings), context)


CALLERS = {
    "modbus": lambda host, port: {"host": host, "port": port},
    "mqtt": lambda host, port: {"host": host, "port": port},
    "opcua": lambda host, port: {"url": f"opc.tcp://{host}:{port}/", "security": "none"},
}


@pytest.mark.parametrize("protocol", sorted(CALLERS))
@pytest.mark.clause("GB/T 22239-2019 8.4.2.2")
async def test_a_driver_calls_nothing_that_it_may_not(protocol: str, tmp_path: Path) -> None:
    async with Door().open() as door:
        reach = Reaches(["10.0.0.0/8"]).of("default")
        driver = driver_of(protocol, CALLERS[protocol]("127.0.0.1", door.port), reach, tmp_path)
        with pytest.raises(Refused, match=rf"start the platform with --reach 127.0.0.1:{door.port}"):
            await driver.connect()
        await driver.close()
        assert door.knocks == 0


@pytest.mark.parametrize("protocol", sorted(CALLERS))
async def test_a_driver_calls_the_address_that_was_judged(protocol: str, tmp_path: Path) -> None:
    """The second answer of a rebinding name is never asked for."""
    names = Names(["127.0.0.1"], [METADATA])
    async with Door().open() as door:
        driver = driver_of(
            protocol, CALLERS[protocol]("plc.example", door.port), Reaches(resolve=names).of("default"), tmp_path
        )
        try:
            await driver.connect()
        except HeadraceError:
            pass  # the door speaks no protocol; it was knocked at
        await driver.close()
        assert (names.asked, door.knocks) == (1, 1) or (protocol == "modbus" and names.asked == 1)


async def test_a_real_device_behind_a_name_is_read(tmp_path: Path) -> None:
    async with modbus_server() as device:
        names = Names([METADATA, "127.0.0.1"])
        reach = Reaches(["plc.example"], names).of("default")
        driver = driver_of("modbus", {"host": "PLC.example.", "port": device.port}, reach, tmp_path)
        await driver.connect()
        await driver.close()
        assert names.asked == 1


OUTLETS = {
    "mqtt": lambda port: {"host": "127.0.0.1", "port": port},
    "sparkplug": lambda port: {"host": "127.0.0.1", "port": port, "group": "acme", "node": "hub"},
    "kafka": lambda port: {"brokers": [f"127.0.0.1:{port}"]},
    "webhook": lambda port: {"url": f"http://127.0.0.1:{port}/hook"},
}


@pytest.mark.parametrize("protocol", sorted(OUTLETS))
async def test_an_outlet_calls_nothing_that_it_may_not(protocol: str, tmp_path: Path) -> None:
    async with Door().open() as door:
        outlet = outlet_of(protocol, OUTLETS[protocol](door.port), Reaches(["10.0.0.0/8"]).of("default"), tmp_path)
        with pytest.raises(Refused, match=rf"--reach 127.0.0.1:{door.port}"):
            await outlet.open(View())
            await outlet.send_events([Event("1", "alarms", "alarm.raise", "acme/p", 1, {})])
        await outlet.close()
        assert door.knocks == 0


# --- webhooks -----------------------------------------------------------------------------------------------------


async def post(settings: dict[str, Any], reach: Reach, folder: Path) -> int:
    context: OutletContext = replace(Doors().context(folder), outlet="hook", reach=reach)
    outlet = WebhookOutlet(WebhookSettings.model_validate(settings), context)
    await outlet.open(View())
    try:
        return await outlet.send_events([Event("1", "alarms", "alarm.raise", "acme/p", 1, {})])
    finally:
        await outlet.close()


OK = b"HTTP/1.1 204 No Content\r\n\r\n"


async def test_a_webhook_goes_to_the_judged_address_and_holds_the_certificate_against_the_name(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    names = Names(["127.0.0.1"], [METADATA])
    async with Door(OK, authority.server_for("erp.example")).open() as door:
        settings = {"url": f"https://erp.example:{door.port}/hook", "ca": str(authority.file)}
        assert await post(settings, Reaches(resolve=names).of("default"), tmp_path) == 0
        assert names.asked == 1
        assert f"host: erp.example:{door.port}\r\n".encode() in door.heard.lower()
    async with Door(OK, authority.server_for("127.0.0.1", "other.example")).open() as door:
        settings["url"] = f"https://erp.example:{door.port}/hook"
        with pytest.raises(Refused, match="certificate"):
            await post(settings, Reaches(resolve=Names(["127.0.0.1"])).of("default"), tmp_path)
        assert door.heard == b""


async def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    async with Door(OK).open() as inside:
        for where in (f"http://127.0.0.1:{inside.port}/", f"http://{METADATA}/latest/meta-data/"):
            said = f"HTTP/1.1 307 Go\r\nlocation: {where}\r\ncontent-length: 0\r\n\r\n".encode()
            async with Door(said).open() as door:
                with pytest.raises(Refused, match="redirects are not followed"):
                    await post({"url": f"http://127.0.0.1:{door.port}/hook"}, Reach(), tmp_path)
        assert inside.knocks == 0


async def test_an_answer_without_end_is_given_up(tmp_path: Path) -> None:
    """Ever more 1xx, which httpx waits through for ever; and a header line without end."""

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(b"HTTP/1.1 102 Wait\r\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def long(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"HTTP/1.1 204 No\r\nx: ")
            while True:
                writer.write(b"a" * 65_536)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    for serve in (endless, long):
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
            with pytest.raises(Unreachable):
                await post({"url": url, "timeout": "300ms"}, Reach(), tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "https://erp.example@169.254.169.254/", "https://169.254.169.254#@erp.example/", "https://u:p@erp.example/",
        "https://erp.example:99999/", "http://169.254.169.254/", "http://localhost.evil.example/", "ftp://erp.example/",
        "file:///etc/passwd", "gopher://127.0.0.1:6379/_", "http://127.0.0.1@evil.example/", "https:///nowhere",
    ],
)  # fmt: skip
def test_urls_that_mean_another_host_than_they_show_are_no_webhooks(url: str) -> None:
    with pytest.raises(ValidationError):
        WebhookSettings.model_validate({"url": url})


@pytest.mark.parametrize(
    "url",
    [
        "https://[fe80::1]/", "https://0xa9fea9fe/", "https://2852039166/", "https://169.254.169.254\\@erp.example/",
        "https://[::ffff:169.254.169.254]/", "https://erp.example\\.169.254.169.254/", "https://169。254。169。254/",
        "https://erp.example/../..//169.254.169.254/", "https://１６９.254.169.254/",
    ],
)  # fmt: skip
async def test_urls_that_parsers_read_differently_call_nothing(url: str, tmp_path: Path) -> None:
    try:
        settings = WebhookSettings.model_validate({"url": url})
    except ValidationError:
        return
    context = replace(Doors().context(tmp_path), reach=Reach())
    outlet = WebhookOutlet(settings, context)
    await outlet.open(View())
    with pytest.raises((Refused, Unreachable)):
        await outlet.send_events([Event("1", "alarms", "alarm.raise", "acme/p", 1, {})])
    await outlet.close()


# --- the platform's own ports, listening ----------------------------------------------------------------------------


async def test_the_platform_never_calls_itself(tmp_path: Path) -> None:
    async with Door().open() as door:
        reaches = Reaches([f"127.0.0.1:{door.port}", "0.0.0.0/0", "::/0"])
        reaches.occupy(door.port)
        for host in ("127.0.0.1", "localhost", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
            with pytest.raises(Refused, match="the platform itself"):
                await reaches.of("default").targets(host, door.port)
        assert await hosts(reaches.of("default"), "10.9.8.7", door.port) == ["10.9.8.7"]
        assert door.knocks == 0


@pytest.mark.parametrize("port", [1, 22, 443, 1023, 8470])
async def test_a_declaration_listens_on_no_port_that_is_not_its_own(port: int, tmp_path: Path) -> None:
    reaches = Reaches()
    reaches.occupy(8470)
    outlet = outlet_of("opcua", {"port": port}, reaches.of("default"), tmp_path)
    with pytest.raises(Refused, match="no declaration listens"):
        await outlet.open(View())
    await outlet.close()
    kind = drivers.load()["gateway"]
    context = DriverContext("gate", SystemClock(), tmp_path, devices=object(), reach=reaches.of("default"))  # type: ignore[arg-type]
    for where in ("listen", "websocket"):
        settings = {"listen": "127.0.0.1:0", where: f"127.0.0.1:{port}"}
        driver = kind.open(kind.settings.model_validate(settings), context)
        with pytest.raises(Refused, match="no declaration listens"):
            await driver.connect()
        await driver.close()


# --- tenants, and the list ------------------------------------------------------------------------------------------


@pytest.mark.clause("GB/T 22239-2019 8.2.3.1")
async def test_other_tenants_reach_what_is_listed_for_them_and_nothing_else() -> None:
    names = Names(["10.0.0.7"])
    reaches = Reaches(["acme=10.0.0.7:502", "bolt=plc.example"], names)
    assert await hosts(reaches.of("default"), "10.9.9.9") == ["10.0.0.7"]
    assert await hosts(reaches.of("acme"), "plc.example", 502) == ["10.0.0.7"]
    with pytest.raises(Refused, match=r"--reach acme=10\.0\.0\.7:503"):
        await reaches.of("acme").targets("plc.example", 503)
    assert await hosts(reaches.of("bolt"), "Plc.Example.", 4840) == ["10.0.0.7"]
    for tenant, host in (("bolt", "10.0.0.7"), ("nobody", "plc.example"), ("", "plc.example")):
        with pytest.raises(Refused):
            await reaches.of(tenant).targets(host, 502)


def test_what_is_a_tenants_runs_on_the_hub_where_something_is_listed_for_it() -> None:
    reaches = Reaches(["acme=10.0.0.0/8"])
    for tenant, may in (("default", True), ("acme", True), ("bolt", False)):
        assert reaches.on_hub(OnHub(tenant, "connection", f"{tenant}.plc", "modbus", {})) == may
    for port in (0, 1883):
        with pytest.raises(Refused, match="an edge of its own"):
            reaches.of("acme").check_listening("0.0.0.0", port)


async def test_a_network_that_is_listed_holds_for_each_way_to_write_its_addresses() -> None:
    reach = Reaches(["10.0.0.0/8", "[fd00::]:502", "fd01::/16"]).of("default")
    assert await hosts(reach, "::ffff:10.1.2.3") == ["::ffff:10.1.2.3"]
    assert await hosts(reach, "fd00::") == ["fd00::"] and await hosts(reach, "fd01::9", 1) == ["fd01::9"]
    for host, port in (("fd00::", 503), ("::ffff:11.1.2.3", 502), ("11.0.0.1", 502)):
        with pytest.raises(Refused):
            await reach.targets(host, port)


@pytest.mark.parametrize(
    "entry",
    ["", ":", "10.0.0.1:", "10.0.0.0/99", "10.0.0.1:0", "10.0.0.1:99999", "a b", "http://x", "*.example", "[::1",
     "a:b:c", "300.1.1.1", "[::1]x", "10.0.0.1/8"],
)  # fmt: skip
def test_an_entry_that_means_nothing_stops_the_start(entry: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--reach"):
        Settings(home=tmp_path, reach=(entry,))


@given(st.text(max_size=40))
def test_any_text_is_an_entry_or_said_to_be_none(text: str) -> None:
    try:
        parse_allowed(text)
    except ConfigError:
        pass


@given(st.integers(0, 2**32 - 1), st.sampled_from([(0xFFFF << 32, 0), (0x64FF9B << 96, 0), (0x2002 << 112, 80)]))
def test_an_address_within_an_address_is_found(inner: int, form: tuple[int, int]) -> None:
    prefix, shift = form
    outer = ipaddress.IPv6Address(prefix | inner << shift)
    assert ipaddress.IPv4Address(inner) in carried(outer)
