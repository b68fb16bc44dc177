"""What an engineer declares for the OPC UA server.

outlets:
  scada:
    protocol: opcua
    points: [acme/suzhou]
    settings: {host: 0.0.0.0, port: 4840, clients: ["3F:0A:…:C2"], writes: true}
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from headrace.connect.drivers.opcua.config import normal_fingerprint
from headrace.sdk.reach import is_loopback

Fingerprint = Annotated[str, AfterValidator(normal_fingerprint)]


class Settings(BaseModel):
    """One server. Who signs in gives any name, and a token of Headrace as the password."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", min_length=1, description="address to listen on; this machine alone unless given")
    port: int = Field(4840, ge=1, le=65_535, description="port to listen on")
    anonymous: bool = Field(False, description="let everybody read who can reach it, without a token")
    unencrypted: bool = Field(False, description="also offer an endpoint without security; only on this machine")
    clients: list[Fingerprint] = Field(
        [], max_length=1_000, description="SHA-256 of the certificates of clients that may connect; any unless given"
    )
    writes: bool = Field(False, description="take writes to points that are read-write, as the holder of the token")
    points_max: int = Field(
        20_000, ge=1, le=200_000, description="more points than this are refused: each takes memory"
    )
    sessions_max: int = Field(50, ge=1, le=1_000, description="clients at the same time")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not is_loopback(self.host) and (self.anonymous or self.unencrypted):
            raise ValueError("'anonymous' and 'unencrypted' are for 127.0.0.1: others see or take what passes")
        return self
