"""What must hold of a cluster before samples go there, and how it is.

precision ns? ─► log synced by a majority before the answer? ─► database ─► device template ─► set on its devices
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from headrace.history.iotdb import marks
from headrace.history.iotdb.connection import Connection, Existing
from headrace.history.iotdb.schema import TEMPLATE, Names, template_statement
from headrace.model.errors import ConfigError

_UNITS: Final = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40, "PB": 1 << 50}
_SIZE: Final = re.compile(r"([\d.]+)\s*([KMGTP]?B)")


@dataclass(frozen=True, slots=True)
class Cluster:
    database: str
    replicas: int

    def condition(self, connection: Connection) -> tuple[int, int, int]:
        """Regions of the database, bytes of their files as far as the cluster knows them, DataNodes running."""
        regions, size = 0, 0
        for row in table(connection, f"SHOW DATA REGIONS OF DATABASE {self.database}"):
            regions += 1
            if found := _SIZE.fullmatch(row.get("TsFileSize", "")):
                size += int(float(found[1]) * _UNITS[found[2]])
        running = sum(
            row.get("NodeType") == "DataNode" and row.get("Status") == "Running"
            for row in table(connection, "SHOW CLUSTER")
        )
        return regions, size, running


def prepare(connection: Connection, names: Names) -> Cluster:
    """Raises: ConfigError, and what a connection raises."""
    if connection.precision != "ns":
        raise ConfigError(
            f"the IoTDB cluster keeps times in {connection.precision}; samples have nanoseconds. Set "
            "timestamp_precision=ns before the first start of a new cluster, for it cannot be changed later"
        )
    variables = {row["Variable"]: row["Value"] for row in table(connection, "SHOW VARIABLES")}
    details = f"SHOW DATABASES DETAILS {names.database}"
    found = table(connection, details)
    if not found:
        _make(connection, f"CREATE DATABASE {names.database}")
        found = table(connection, details)
    replicas = min(int(found[0]["DataReplicationFactor"]), int(found[0]["SchemaReplicationFactor"]))
    consensus = variables.get("DataRegionConsensusProtocolClass", "")
    if not consensus.endswith("RatisConsensus"):
        raise ConfigError(
            f"the IoTDB cluster uses {consensus.rpartition('.')[2] or 'another consensus'} for data, which may "
            "acknowledge samples before they are safe; set "
            "data_region_consensus_protocol_class=org.apache.iotdb.consensus.ratis.RatisConsensus "
            "before the first start of a new cluster, for it cannot be changed later"
        )
    templates = {row.get("TemplateName") for row in table(connection, "SHOW DEVICE TEMPLATES")}
    for template, statement, devices in (
        (TEMPLATE, template_statement(), names.devices),
        (marks.TEMPLATE, marks.STATEMENT, names.marks),
    ):
        if template not in templates:
            _make(connection, statement)
        paths = table(connection, f"SHOW PATHS SET DEVICE TEMPLATE {template}")
        if not any(devices in row.values() for row in paths):
            _make(connection, f"SET DEVICE TEMPLATE {template} TO {devices}")
    return Cluster(names.database, replicas)


def _make(connection: Connection, statement: str) -> None:
    """Another process may make the same at the same time."""
    try:
        connection.execute(statement)
    except Existing:
        pass


def table(connection: Connection, statement: str) -> list[dict[str, str]]:
    """A small answer as texts."""
    answer = connection.query(statement)
    rows = []
    for block in answer.blocks:
        columns = [block.columns[place] if place >= 0 else None for place in answer.places]
        for index in range(len(block.time_ns)):
            row = {}
            for name, column in zip(answer.columns, columns, strict=True):
                if column is not None and column.present[index]:
                    value = column.values[index]
                    row[name] = value.decode() if isinstance(value, bytes) else str(value)
            rows.append(row)
    return rows
