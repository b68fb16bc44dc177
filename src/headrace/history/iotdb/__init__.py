"""The historian on Apache IoTDB, for what one machine cannot hold: `open_iotdb`."""

from headrace.history.iotdb.settings import IotdbSettings
from headrace.history.iotdb.store import IotdbStore, open_iotdb

__all__ = ["IotdbSettings", "IotdbStore", "open_iotdb"]
