"""asyncua's failures as ours, named by what to do next."""

from __future__ import annotations

from typing import Final

from asyncua import ua

from headrace.model.errors import DeviceError, Garbled, Refused, Unreachable

_GONE: Final = frozenset(
    {
        ua.StatusCodes.BadTimeout,
        ua.StatusCodes.BadRequestTimeout,
        ua.StatusCodes.BadCommunicationError,
        ua.StatusCodes.BadConnectionClosed,
        ua.StatusCodes.BadConnectionRejected,
        ua.StatusCodes.BadServerHalted,
        ua.StatusCodes.BadServerNotConnected,
        ua.StatusCodes.BadShutdown,
        ua.StatusCodes.BadSessionClosed,
        ua.StatusCodes.BadSessionIdInvalid,
        ua.StatusCodes.BadSessionNotActivated,
        ua.StatusCodes.BadSecureChannelClosed,
        ua.StatusCodes.BadSecureChannelIdInvalid,
        ua.StatusCodes.BadSecureChannelTokenUnknown,
        ua.StatusCodes.BadTcpServerTooBusy,
        ua.StatusCodes.BadTooManySessions,
        ua.StatusCodes.BadNoSubscription,
        ua.StatusCodes.BadSubscriptionIdInvalid,
        ua.StatusCodes.BadOutOfMemory,
        ua.StatusCodes.BadResourceUnavailable,
        ua.StatusCodes.BadNotConnected,
        ua.StatusCodes.BadNoCommunication,
    }
)
"""The session is over, or the server cannot serve now: wait and try again."""

_NONSENSE: Final = frozenset(
    {
        ua.StatusCodes.BadDecodingError,
        ua.StatusCodes.BadEncodingError,
        ua.StatusCodes.BadEncodingLimitsExceeded,
        ua.StatusCodes.BadTcpMessageTypeInvalid,
        ua.StatusCodes.BadTcpMessageTooLarge,
        ua.StatusCodes.BadTcpInternalError,
        ua.StatusCodes.BadRequestTooLarge,
        ua.StatusCodes.BadResponseTooLarge,
        ua.StatusCodes.BadSequenceNumberInvalid,
        ua.StatusCodes.BadUnknownResponse,
        ua.StatusCodes.BadProtocolVersionUnsupported,
    }
)
"""One side does not understand the other: drop the session."""


def status_name(code: int) -> str:
    """`BadNotWritable`, or the number where the standard has no name for it."""
    name: str = ua.status_codes.get_name_and_doc(code)[0]
    return name if name.startswith(("Bad", "Good", "Uncertain")) else f"0x{code:08X}"


def device_error(error: BaseException, doing: str) -> DeviceError:
    """Any failure of a call as one of ours; `doing` begins the message."""
    if isinstance(error, DeviceError):
        return error
    if isinstance(error, ua.UaStatusCodeError):
        name = status_name(error.code)
        if error.code in _GONE:
            return Unreachable(f"{doing}: the session is gone or the server cannot serve it now ({name})")
        if error.code in _NONSENSE:
            return Garbled(f"{doing}: client and server do not understand each other ({name})")
        return Refused(f"{doing}: the server refused with {name}{_advice(name)}")
    if isinstance(error, TimeoutError):
        return Unreachable(f"{doing}: no answer in time")
    if isinstance(error, OSError):
        return Unreachable(f"{doing}: {error.strerror or str(error) or 'the connection is closed'}")
    return Garbled(f"{doing}: the answer makes no sense", detail=repr(error))


def _advice(name: str) -> str:
    if name in ("BadSecurityChecksFailed", "BadCertificateUntrusted", "BadCertificateUriInvalid"):
        return "; put Headrace's certificate (own/certificate.der in its state) into the server's trust list"
    if name in ("BadIdentityTokenRejected", "BadIdentityTokenInvalid", "BadUserAccessDenied"):
        return "; check `user` and `password`, and what that user may do on the server"
    return ""
