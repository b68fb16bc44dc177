"""The password travels encrypted, to a server that proves its name."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.services import require_service
from tools import iotdb

from headrace.history.iotdb import open_iotdb
from headrace.model.errors import Unavailable
from headrace.sdk.clock import SystemClock


async def test_only_a_server_with_a_known_certificate_gets_the_password(tmp_path: Path) -> None:
    require_service("Apache IoTDB", iotdb.jars() is not None, iotdb.HOW)
    with iotdb.Cluster(tmp_path, tls=True) as cluster:
        settings = replace(cluster.settings("db"), retry_s=0.5)
        store = await open_iotdb(settings, SystemClock())
        assert (await store.register(["p"])).tolist() == [0]
        await store.close()
        for stranger in (replace(settings, ca_file=None), replace(settings, tls=False, ca_file=None)):
            with pytest.raises(Unavailable):
                await open_iotdb(stranger, SystemClock())
