"""What an engineer declares to be an edge node of a Sparkplug host.

outlets:
  ignition:
    protocol: sparkplug
    settings: {host: broker.acme.example, group: suzhou, node: headrace, primary_host: ignition}
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from headrace.connect.outlets.broker import BrokerSettings
from headrace.connect.settings import SecretReference

Id = Annotated[str, Field(pattern=r"^[^/+#\x00]{1,200}$")]


class Settings(BrokerSettings):
    """One node. A device is an asset, its name the path with ':' for '/'; a metric is the name of a point."""

    group: Id = Field(description="Sparkplug group id")
    node: Id = Field(description="Sparkplug edge node id")
    primary_host: Id | None = Field(None, description="host id to wait for; births are published at once unless given")
    aliases: bool = Field(True, description="numbers instead of names in data messages")
    writes_as: SecretReference | None = Field(
        None, description="take commands of hosts, with the rights of this token of Headrace: env:NAME or file:/path"
    )
