"""Apache IoTDB on loopback, for tests and benchmarks: 1 ConfigNode + 1 DataNode, or 3 + 3 with three replicas.

    python -m tools.iotdb start --nodes 3 --dir /tmp/iotdb     prints how to reach it, and leaves it running
    python -m tools.iotdb stop --dir /tmp/iotdb

    with Cluster(directory, nodes=3) as cluster:
        cluster.kill(1); cluster.restart(1)

    folders, ports ─► ConfigNode 1 ─► the others join ─► DataNodes ─► sign in at each ─► a password of its own

The jars come from Maven Central by `tests/peers/iotdb/pom.xml` into `.cache/iotdb/` (`tools/setup.sh services`). What a
real cluster should share with this one: `timestamp_precision=ns`, RatisConsensus for data, and with several DataNodes
three replicas. What it should not share: heaps of a few hundred MB, and servers without TLS. The version is not the
client's: Maven Central had all of the servers' parts last for 2.0.1-beta, and the protocol has not changed since.
IoTDB listens on every interface, whatever address it is given; root's password is a random one.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from headrace.history.iotdb.connection import Busy, Connection, Lost
from headrace.history.iotdb.settings import IotdbSettings, Node
from headrace.model.errors import AccessError, HeadraceError

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "iotdb"
HOW = "run tools/setup.sh services (needs Java 17 and Maven: apt-get install openjdk-17-jre-headless maven)"
START_S = 180.0
Role = Literal["config", "data"]

_CLASSES = {"config": "org.apache.iotdb.confignode.service.ConfigNode", "data": "org.apache.iotdb.db.service.DataNode"}
_OPENS = ("java.util.concurrent", "java.lang", "java.util", "java.nio", "java.io", "java.net")
_PORTS = {
    "config": ("cn_internal_port", "cn_consensus_port"),
    "data": (
        "dn_rpc_port",
        "dn_internal_port",
        "dn_mpp_data_exchange_port",
        "dn_schema_region_consensus_port",
        "dn_data_region_consensus_port",
    ),
}
_LOGGING = """<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d %-5p %c{0}: %m%n</pattern></encoder>
  </appender>
  <root level="warn"><appender-ref ref="out"/></root>
</configuration>
"""


def jars() -> Path | None:
    """The folder of the server's jars, if they are there and a JVM is too."""
    folder = CACHE / "lib"
    return folder if shutil.which("java") and any(folder.glob("iotdb-server-*.jar")) else None


@dataclass(slots=True)
class Member:
    """One server process. `number` counts from 1 within its role."""

    role: Role
    number: int
    home: Path
    ports: dict[str, int]
    process: subprocess.Popen[bytes] | None = None
    pid: int | None = None


class Cluster:
    """Servers in `directory` as long as the block, or until `stop`. The files stay; a later start goes on with them."""

    def __init__(
        self,
        directory: Path,
        *,
        nodes: int = 1,
        base_port: int | None = None,
        data_heap_mb: int = 512,
        quick: bool = True,
        tls: bool = False,
    ) -> None:
        """`quick` spares the JVM its second compiler: quick to start, slow at length; `tls` with a key of its own."""
        self.directory, self._heap_mb, self._quick = directory.resolve(), data_heap_mb, quick
        self._state = self.directory / "cluster.json"
        self.password = ""
        self.members: list[Member] = []
        self.ca_file = str(self.directory / "ca.pem") if tls else None
        if self._state.exists():
            self._load()
        else:
            self._lay_out(nodes, base_port)

    # --- for tests ------------------------------------------------------------------------------------------------

    def settings(self, database: str) -> IotdbSettings:
        return self._settings(database, self.password, *self.addresses)

    def url(self, database: str) -> str:
        """Without the password, which is in the file `password` of the directory."""
        return f"iotdb://root@{','.join(map(str, self.addresses))}/{database}"

    @property
    def addresses(self) -> tuple[Node, ...]:
        return tuple(Node("127.0.0.1", one.ports["dn_rpc_port"]) for one in self.members if one.role == "data")

    def kill(self, number: int, role: Role = "data") -> None:
        """As a power cut would: `SIGKILL`."""
        self._signal(self._member(role, number), signal.SIGKILL)

    def restart(self, number: int, role: Role = "data") -> None:
        """Start a killed node again, and wait until it serves."""
        member = self._member(role, number)
        self._launch(member)
        if role == "data":
            self._await_sign_in(member)
        self._save()

    def cpu_s(self) -> float:
        """CPU seconds of all servers so far, user and system."""
        ticks = 0
        for one in self.members:
            if one.pid is not None:
                fields = Path(f"/proc/{one.pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def _settings(self, database: str, password: str, *nodes: Node) -> IotdbSettings:
        return IotdbSettings(
            nodes, "root", database, secret=password, tls=self.ca_file is not None, ca_file=self.ca_file
        )

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Raises: RuntimeError with the end of a log where a server does not come up."""
        if jars() is None:
            raise RuntimeError(f"IoTDB's servers are not here: {HOW}")
        try:
            for one in self.members:
                self._launch(one)
                if one.role == "config":
                    self._await_port(one)
            for one in self.members:
                if one.role == "data":
                    self._await_sign_in(one)
            self._save()
        except BaseException:
            self.stop(hard=True)
            raise

    def stop(self, *, hard: bool = False) -> None:
        """Ask every server to end, data first, and make it; `hard` does not ask."""
        for role in ("data", "config"):
            for one in self.members:
                if one.role == role and one.pid is not None:
                    self._signal(one, signal.SIGKILL if hard else signal.SIGTERM, wait=False)
            for one in self.members:
                if one.role == role and one.pid is not None:
                    self._reap(one, patience_s=10.0)
        self._save()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(hard=True)  # a block's data is its own

    # --- one server -----------------------------------------------------------------------------------------------

    def _launch(self, member: Member) -> None:
        conf = member.home / "conf"
        # Memory for the buffers of logs and schema regions, of which every database of a test has its own.
        direct_mb = 512 if member.role == "data" else 64
        heap_mb = self._heap_mb if member.role == "data" else 256
        upper = "IOTDB" if member.role == "data" else "CONFIGNODE"
        command = [
            "java",
            *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENS),
            f"-Xmx{heap_mb}m",
            "-Xms64m",
            "-Xss512k",
            f"-XX:MaxDirectMemorySize={direct_mb}m",
            "-XX:+UseSerialGC",
            *(["-XX:TieredStopAtLevel=1"] if self._quick else []),
            f"-DOFF_HEAP_MEMORY={direct_mb}M",
            f"-Dlogback.configurationFile={conf}/logback.xml",
            f"-D{upper}_CONF={conf}",
            f"-D{upper}_HOME={member.home}",
            f"-DIOTDB_HOME={member.home}",
            f"-DIOTDB_DATA_HOME={member.home}",
            f"-DTSFILE_CONF={conf}",
            f"-DTSFILE_HOME={member.home}",
            "-Diotdb-foreground=yes",
            "-cp",
            f"{CACHE / 'lib'}/*",
            _CLASSES[member.role],
            "-s",
        ]
        with (member.home / "server.log").open("ab") as log:
            member.process = subprocess.Popen(
                command, cwd=member.home, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        member.pid = member.process.pid
        self._save()

    def _await_port(self, member: Member) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", member.ports["cn_internal_port"]), 1.0).close()
                return
            except OSError:
                self._check_alive(member, deadline)
                time.sleep(0.2)

    def _await_sign_in(self, member: Member) -> None:
        """The node serves, and root's password is ours."""
        deadline = time.monotonic() + START_S
        node = Node("127.0.0.1", member.ports["dn_rpc_port"])
        while True:
            try:
                Connection(node, self._settings("none", self.password, node)).close()
                return
            except AccessError:
                self._set_password(node)
            except (Lost, Busy, HeadraceError):
                self._check_alive(member, deadline)
                time.sleep(0.3)

    def _set_password(self, node: Node) -> None:
        """A new cluster knows root by a password that everyone knows."""
        try:
            session = Connection(node, self._settings("none", "root", node))
            session.execute(f"ALTER USER root SET PASSWORD '{self.password}'")
            session.close()
        except (Lost, Busy, HeadraceError):
            time.sleep(0.3)

    def _check_alive(self, member: Member, deadline: float) -> None:
        if time.monotonic() > deadline or (member.process is not None and member.process.poll() is not None):
            end = (member.home / "server.log").read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{member.role} node {member.number} did not start; its log ends with:\n{end}")

    def _signal(self, member: Member, number: signal.Signals, *, wait: bool = True) -> None:
        if member.pid is None:
            return
        try:
            os.kill(member.pid, number)
        except ProcessLookupError:
            pass
        if wait:
            self._reap(member, patience_s=30.0)

    def _reap(self, member: Member, patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        while _lives(member):
            if time.monotonic() > deadline:
                os.kill(member.pid or 0, signal.SIGKILL)
                deadline += 30.0
            time.sleep(0.05)
        member.process = member.pid = None

    def _member(self, role: Role, number: int) -> Member:
        return next(one for one in self.members if one.role == role and one.number == number)

    # --- layout ---------------------------------------------------------------------------------------------------

    def _lay_out(self, nodes: int, base_port: int | None) -> None:
        if nodes not in (1, 3):
            raise ValueError("a cluster has 1 or 3 nodes of each kind")
        self.directory.mkdir(parents=True, exist_ok=True)
        self.password = secrets.token_urlsafe(16)
        secret = self.directory / "password"
        secret.touch(0o600)
        secret.write_text(self.password)
        extra = {} if self.ca_file is None else _key(self.directory, self.password)
        wanted: list[tuple[Role, int, str]] = [
            (role, number, port) for role in ("config", "data") for number in range(1, nodes + 1)
            for port in _PORTS[role]
        ]  # fmt: skip
        ports = dict(zip(wanted, _free_ports(len(wanted), base_port), strict=True))
        seed = f"127.0.0.1:{ports['config', 1, 'cn_internal_port']}"
        for role in ("config", "data"):
            for number in range(1, nodes + 1):
                own = {port: ports[role, number, port] for port in _PORTS[role]}
                home = self.directory / f"{role}-{number}"
                (home / "conf").mkdir(parents=True)
                (home / "conf" / "iotdb-system.properties").write_text(_properties({**own, **extra}, seed, nodes))
                for name in ("logback.xml", "logback-confignode.xml", "logback-datanode.xml"):
                    (home / "conf" / name).write_text(_LOGGING)
                self.members.append(Member(role, number, home, own))
        self._save()

    def _save(self) -> None:
        members = [
            {"role": one.role, "number": one.number, "ports": one.ports, "pid": one.pid} for one in self.members
        ]  # fmt: skip
        self._state.write_text(json.dumps(members, indent=1))

    def _load(self) -> None:
        self.password = (self.directory / "password").read_text()
        for one in json.loads(self._state.read_text()):
            home = self.directory / f"{one['role']}-{one['number']}"
            self.members.append(Member(one["role"], one["number"], home, one["ports"], pid=one["pid"]))


def _lives(member: Member) -> bool:
    if member.process is not None:
        return member.process.poll() is None
    try:
        words = Path(f"/proc/{member.pid}/cmdline").read_bytes()
    except OSError:
        return False
    return str(member.home).encode() in words  # a number that is someone else's by now is not ours


def _free_ports(count: int, base: int | None) -> list[int]:
    if base is not None:
        return list(range(base, base + count))
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def _key(directory: Path, password: str) -> dict[str, str]:
    """A key for this machine, which signs itself; settings that use it."""
    store, common = directory / "key.p12", ["-alias", "node", "-storepass", password]
    name = ["-dname", "CN=localhost", "-ext", "SAN=IP:127.0.0.1,DNS:localhost"]
    subprocess.run(
        ["keytool", "-genkeypair", "-keyalg", "RSA", "-keystore", str(store), *common, *name],
        check=True,
        capture_output=True,
    )
    subprocess.run(
        ["keytool", "-exportcert", "-rfc", "-keystore", str(store), "-file", str(directory / "ca.pem"), *common],
        check=True,
        capture_output=True,
    )
    return {"enable_thrift_ssl": "true", "key_store_path": str(store), "key_store_pwd": password}


def _properties(own: dict[str, int | str], seed: str, nodes: int) -> str:
    """Names and meanings: `iotdb-system.properties.template` of the server."""
    settings: dict[str, int | str] = {
        "cluster_name": "headrace-tests",
        "cn_seed_config_node": seed,
        "dn_seed_config_node": seed,
        "cn_internal_address": "127.0.0.1",
        "dn_rpc_address": "127.0.0.1",
        "dn_internal_address": "127.0.0.1",
        "dn_join_cluster_retry_interval_ms": 1000,
        "timestamp_precision": "ns",
        "data_region_consensus_protocol_class": "org.apache.iotdb.consensus.ratis.RatisConsensus",
        "schema_replication_factor": nodes,
        "data_replication_factor": nodes,
        # Small, for a cluster that shares a machine with its tests.
        "wal_buffer_size_in_byte": 4 << 20,
        "data_region_group_extension_policy": "CUSTOM",
        "default_data_region_group_num_per_database": 1,
        "compaction_thread_count": 1,
        "cn_metric_level": "OFF",
        "dn_metric_level": "OFF",
    }
    settings.update(own)
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.iotdb", description="Apache IoTDB on loopback.")
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("start", help="start a cluster, or one that was stopped")
    start.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="ConfigNodes and DataNodes, as many each")
    start.add_argument("--base-port", type=int, help="first of the ports; else free ones")
    start.add_argument("--data-heap-mb", type=int, default=512)
    stop = commands.add_parser("stop", help="stop it; the files stay")
    for command in (start, stop):
        command.add_argument("--dir", type=Path, required=True, help="folder of the cluster")
    given = parser.parse_args()
    if given.command == "stop":
        if not (given.dir / "cluster.json").exists():
            print(f"'{given.dir}' is no folder of a cluster", file=sys.stderr)
            return 1
        Cluster(given.dir).stop()
        return 0
    cluster = Cluster(given.dir, nodes=given.nodes, base_port=given.base_port, data_heap_mb=given.data_heap_mb)
    try:
        cluster.start()
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"export HEADRACE_IOTDB_PASSWORD_FILE={cluster.directory / 'password'}")
    print(f"headrace serve --history {cluster.url('headrace')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
