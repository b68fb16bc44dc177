"""The historian's way to the disk; see `sdk/disk.py`."""

from headrace.sdk.disk import Disk

__all__ = ["Disk"]
