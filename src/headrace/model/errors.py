"""One error tree, named by the caller's next step.

    HeadraceError
    ├── ConfigError     an operator edits a declaration
    ├── DeviceError     the supervisor marks samples bad and reconnects
    │   ├── Unreachable     nobody answers: wait and try again
    │   ├── Refused         the device said no: change the request or its rights
    │   └── Garbled         the answer makes no sense: drop the session
    ├── DataError       the offending part is quarantined, the rest goes on
    ├── AccessError     ask for the right, or sign in
    ├── NotFound        name something that exists
    ├── Conflict        reload and decide again
    ├── LimitReached    ask for less, or later
    └── Unavailable     try again: the service is starting, stopping or full

Each message says what was being done, to which device or point, and what to do next. It is public: internals
belong in ``detail``, which is logged and never shown. Only ``api/`` maps these to HTTP.
"""

from __future__ import annotations


class HeadraceError(Exception):
    """Root of every error that Headrace raises on purpose."""

    def __init__(self, message: str, *, detail: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail

    def __str__(self) -> str:
        return self.message


class ConfigError(HeadraceError):
    """A declaration is wrong; ``str()`` gives ``file:line:column: message``; lines and columns count from 1."""

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(message, detail=detail)
        self.file, self.line, self.column = file, line, column

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return f"{where}: {self.message}" if where else self.message


class ConfigErrors(ConfigError):
    """Several wrong declarations, found in one pass so that an engineer mends them in one go."""

    def __init__(self, errors: list[ConfigError]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = errors


class DeviceError(HeadraceError):
    """A field device did not do what was asked."""


class Unreachable(DeviceError):
    """Nobody answered in time, or the link is down."""


class Refused(DeviceError):
    """The device answered, and the answer was no."""


class Garbled(DeviceError):
    """The device answered something that breaks its protocol."""


class DataError(HeadraceError):
    """Bytes or values that cannot be understood; the offending part is quarantined."""


class AccessError(HeadraceError):
    """The caller may not do this; ``authenticated`` tells a missing login from a missing right."""

    def __init__(self, message: str, *, authenticated: bool = True, detail: str | None = None) -> None:
        super().__init__(message, detail=detail)
        self.authenticated = authenticated


class NotFound(HeadraceError):
    """The named thing does not exist."""


class Conflict(HeadraceError):
    """The thing changed, or exists already."""


class LimitReached(HeadraceError):
    """A declared bound was met."""


class Unavailable(HeadraceError):
    """Not now: starting, stopping, full or owned by another process."""
