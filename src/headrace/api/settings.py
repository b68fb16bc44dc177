"""Settings of the HTTP surface. The defaults serve one machine: loopback, no TLS, bounded everything."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

CONSOLE_DIR = Path(__file__).parent / "console"


class ApiSettings(BaseModel):
    """`hosts` and `origins` name what the API may be called as, beyond IP addresses, localhost and the machine's name.

    `tls` says that this server does TLS, `behind_tls` that a proxy in front does it: cookies are marked Secure then.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(8470, ge=0, le=65535)
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    tls: bool = False
    behind_tls: bool = False
    console_dir: Path = CONSOLE_DIR

    body_bytes_max: int = Field(1 << 20, gt=0)
    declarations_bytes_max: int = Field(32 << 20, gt=0)
    request_timeout_s: float = Field(30.0, gt=0)
    send_timeout_s: float = Field(60.0, gt=0)
    shutdown_timeout_s: float = Field(3.0, gt=0)
    send_buffer_bytes: int | None = Field(None, gt=0, description="SO_SNDBUF of accepted sockets; None: the system's.")
    connections_max: int = Field(1_000, gt=0)
    head_bytes_max: int = Field(64 << 10, gt=0, description="Of a request, beyond its body.")
    head_timeout_s: float = Field(20.0, gt=0, description="From the first byte to the last of a request's head.")
    body_silence_s: float = Field(30.0, gt=0, description="How much longer than at `body_bytes_per_s` a body may take.")
    body_bytes_per_s: float = Field(1_024, gt=0)

    peer_requests_per_s: float = Field(500, gt=0, description="From one address, beyond this machine.")
    peer_requests_burst: float = Field(5_000, ge=1)
    principal_requests_per_s: float = Field(500, gt=0, description="Of one user or token.")
    principal_requests_burst: float = Field(5_000, ge=1)
    anonymous_requests_per_s: float = Field(10, gt=0, description="Without a sign-in, from one address.")
    anonymous_requests_burst: float = Field(200, ge=1)
    heavy_running_max: int = Field(16, gt=0, description="Questions to history of one user or token at a time.")
    heavy_waiting_max: int = Field(100, ge=0)
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
    live_messages_per_s: float = Field(20, gt=0, description="Of one client; it is read no faster.")
    live_messages_burst: float = Field(100, ge=1)

    @property
    def secure(self) -> bool:
        """Whether browsers reach this server over TLS."""
        return self.behind_tls or self.tls
