"""Settings of the HTTP surface. The defaults serve one machine: loopback, no TLS, bounded everything."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

CONSOLE_DIR = Path(__file__).parent / "console"


class ApiSettings(BaseModel):
    """`hosts` and `origins` name what the API may be called as, beyond IP addresses, localhost and the machine's name.

    `behind_tls` says that a proxy in front terminates TLS, so cookies are marked Secure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(8470, ge=0, le=65535)
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    certificate: Path | None = None
    private_key: Path | None = None
    behind_tls: bool = False
    console_dir: Path = CONSOLE_DIR

    body_bytes_max: int = Field(1 << 20, gt=0)
    declarations_bytes_max: int = Field(32 << 20, gt=0)
    request_timeout_s: float = Field(30.0, gt=0)
    send_timeout_s: float = Field(60.0, gt=0)
    shutdown_timeout_s: float = Field(3.0, gt=0)
    send_buffer_bytes: int | None = Field(None, gt=0, description="SO_SNDBUF of accepted sockets; None: the system's.")
    connections_max: int = Field(1_000, gt=0)
    exports_max: int = Field(2, gt=0)
    import_bytes_max: int = Field(64 << 30, gt=0)
    import_rows_per_s: float = Field(
        300_000, gt=0, description="Above this an import waits, so that live data does not."
    )
    ingest_bytes_max: int = Field(64 << 20, gt=0, description="Of one request, as sent and as unpacked.")
    ingests_max: int = Field(32, gt=0)
    ingest_silence_s: float = Field(30.0, gt=0, description="Longest pause of a sender within a request.")
    sql_running_max: int = Field(2, gt=0)
    sql_timeout_s: float = Field(30.0, gt=0)
    sql_memory_bytes: int = Field(512_000_000, ge=64_000_000)

    live_clients_max: int = Field(200, gt=0)
    live_points_max: int = Field(5_000, gt=0)
    live_slow_close_s: float = Field(30.0, gt=0)
    live_sign_in_s: float = Field(10.0, gt=0)
    live_session_check_s: float = Field(15.0, gt=0)

    @model_validator(mode="after")
    def _certificate_has_key(self) -> Self:
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("TLS needs both 'certificate' and 'private_key'")
        return self

    @property
    def secure(self) -> bool:
        """Whether browsers reach this server over TLS."""
        return self.behind_tls or self.certificate is not None
