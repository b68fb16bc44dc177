"""The register of devices: who they are, what they may publish, and who waits to be let in."""

from headrace.fleet.devices.door import Door
from headrace.fleet.devices.guests import GuestDoor
from headrace.fleet.devices.register import Devices

__all__ = ["Devices", "Door", "GuestDoor"]
