"""Ways to a hub that is not straight ahead: a proxy of the site, a web server in front. TLS ends at the hub in each."""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import uvloop
from tests.exchange.link.ends import PREFIX, Door, Ends, edge_of, hub_of, until
from tests.services import require_service

from headrace.exchange.link.dial import Address, Proxy

NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location /edge {{
      proxy_pass http://127.0.0.1:{hub}; proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_read_timeout 1h;
    }}
  }}
}}
"""


class SiteProxy:
    """CONNECT, as a site's proxy does it; counts, asks for a password where one is set, and may refuse."""

    def __init__(self, wants: str = "") -> None:
        self.wants, self.connects, self.refused, self.port = wants, 0, 0, 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["SiteProxy"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        yield self
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        verb, target, _ = head.split("\r\n")[0].split(" ")
        if verb != "CONNECT" or (self.wants and f"Proxy-Authorization: {self.wants}\r\n" not in head):
            self.refused += 1
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            writer.close()
            return
        self.connects += 1
        host, _, port = target.rpartition(":")
        there, back = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

        async def pump(one: asyncio.StreamReader, other: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await one.read(65_536):
                    other.write(data)
                    await other.drain()
            other.close()

        await asyncio.gather(pump(reader, back), pump(there, writer))


async def send_through(tmp_path: Path, ends: Ends, port: int, **way: object) -> None:
    async with edge_of(ends, tmp_path / "edge", port, **way):  # type: ignore[arg-type]
        for _ in range(10):
            await ends.send(20)
        await ends.all_taken()
        ends.check_exactly_once()


async def test_through_a_proxy_that_asks_for_a_password(tmp_path: Path) -> None:
    ends = Ends()
    ends.door = Door(tmp_path / "door", {"line": PREFIX})
    proxy = SiteProxy("Basic bWU6c2VjcmV0")
    async with hub_of(ends, tmp_path) as port, proxy.running():
        await send_through(tmp_path, ends, port, proxy=Proxy.parse(f"http://me:secret@127.0.0.1:{proxy.port}"))
        assert proxy.connects >= 3  # to see the authority, to enrol, to serve
        async with edge_of(ends, tmp_path / "edge", port, proxy=Proxy("127.0.0.1", proxy.port)) as link:
            await until(lambda: "407 Proxy Authentication Required" in link.status().error)


async def test_through_an_upgrade_at_the_hub_itself(tmp_path: Path) -> None:
    ends = Ends()
    ends.door = Door(tmp_path / "door", {"line": PREFIX})
    async with hub_of(ends, tmp_path, web=("127.0.0.1", 0)) as port:
        web_port = ends.hub.where.web_port if ends.hub.where else 0
        await send_through(tmp_path, ends, port, address=Address("127.0.0.1", web_port or 0, "/edge"))
        reader, writer = await asyncio.open_connection("127.0.0.1", web_port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 426 Upgrade Required")
        writer.close()


def test_the_ways_work_on_uvloop_too(tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test_through_an_upgrade_at_the_hub_itself(tmp_path))


@contextlib.contextmanager
def nginx(folder: Path, hub_port: int) -> Iterator[int]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    folder.mkdir()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, hub=hub_port))
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    process = subprocess.Popen([program or "", "-c", str(folder / "nginx.conf"), "-e", str(folder / "start.log")])
    try:
        deadline_s = time.monotonic() + 10
        while time.monotonic() < deadline_s:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
        yield port
    finally:
        process.terminate()
        process.wait()


@pytest.mark.service("nginx")
async def test_through_nginx(tmp_path: Path) -> None:
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    require_service("nginx", program is not None, "apt-get install nginx-light")
    ends = Ends()
    ends.door = Door(tmp_path / "door", {"line": PREFIX})
    async with hub_of(ends, tmp_path, web=("127.0.0.1", 0)) as port:
        web_port = ends.hub.where.web_port if ends.hub.where else 0
        with nginx(tmp_path / "nginx", web_port or 0) as front:
            await send_through(tmp_path, ends, port, address=Address("127.0.0.1", front, "/edge"))
