"""What an engineer declares to publish each point, retained, to an MQTT broker.

outlets:
  namespace:
    protocol: mqtt
    settings: {host: broker.acme.example, tls: true, user: headrace, password: "env:BROKER_PASSWORD", root: uns}
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from headrace.connect.outlets.broker import BrokerSettings
from headrace.connect.settings import duration


class Settings(BrokerSettings):
    """One broker, and how points are laid out there."""

    root: str = Field(
        "", max_length=200, pattern=r"^[^/+#$\x00][^+#\x00]*[^/+#\x00]$|^[^/+#$\x00]?$",
        description="what stands before the paths of points: <root>/<path>",
    )  # fmt: skip
    qos: int = Field(1, ge=0, le=1, description="1: a message counts as sent when the broker has it")
    interval_ns: Annotated[int, duration("0s", "1h")] = Field(
        0, alias="interval", description="a point is published at most once in this time; 0s at each change"
    )
    repeat: bool = Field(False, description="publish samples that change neither value nor quality, too")
