"""One session with one DataNode: Thrift calls of IoTDB's client protocol, blocks in, columns out.

    open ─► openSession ─► requestStatementId        tablets ─► insertTablets        statement ─► blocks, page by page

The stubs are those of the `apache-iotdb` client. Its `Session` class is not used: it goes through pandas and one
Python object a value, loses NUL at the end of a text, and has no time limit for a node that is gone. A session is
used by one thread at a time. Errors are told apart by what helps: `Lost` (another node), `Busy` (later), the rest as
`HeadraceError`.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from headrace.history.iotdb.blocks import Block, decode
from headrace.history.iotdb.settings import IotdbSettings, Node
from headrace.model.errors import AccessError, ConfigError, DataError, LimitReached, Unavailable

if TYPE_CHECKING:
    from iotdb.thrift.common.ttypes import TSStatus

SUCCESS: Final = (200, 400)  # 400 only recommends another node
MULTIPLE: Final = 302
EXISTS: Final = frozenset({501, 503, 506, 511})  # database, series, path, template
EXISTS_AS_ALIAS: Final = 505
_ACCESS: Final = frozenset({800, 801, 803, 811})
# What a cluster answers while a node goes or comes: dispatch, start, leader election, overload. 301 can mean anything,
# also "no region is available now"; 802 is a session that the server has forgotten.
_BUSY: Final = frozenset(
    {
        203,
        204,
        301,
        305,
        306,
        602,
        606,
        709,
        712,
        713,
        717,
        719,
        802,
        901,
        904,
        905,
        906,
        907,
        1002,
        1003,
        1007,
        1009,
        2207,
    }
)
# Samples that no patience helps: older than a time to live, or of a schema that somebody changed.
_UNFIT: Final = frozenset({303, 607, 614})
FETCH_ROWS: Final = 2_000  # of the longest texts still a frame that fits
FRAME_BYTES_MAX: Final = 256 * 1024 * 1024


class Lost(Exception):
    """The node is gone, or does not answer; another one may."""


class Busy(Exception):
    """The cluster cannot now, and may in a moment."""


class Existing(Exception):
    """What was to be made is there."""


@dataclass(frozen=True, slots=True)
class Tablet:
    """Samples of one device. `columns` are encoded already, in the order of `measurements`."""

    device: str
    measurements: Sequence[str]
    types: Sequence[int]
    times: bytes
    columns: bytes
    rows: int


@dataclass(frozen=True, slots=True)
class Answer:
    """Names of the columns, and for each of them its place in a block, -1 for the time column.

    Who does not read `blocks` to the end closes it, so that the server forgets the rest before the next question.
    """

    columns: Sequence[str]
    places: Sequence[int]
    blocks: Generator[Block, None, None]


class Connection:
    def __init__(self, node: Node, settings: IotdbSettings) -> None:
        """Connects and signs in. Raises: Lost, AccessError, ConfigError."""
        stubs = _stubs()
        self.node = node
        self._errors = stubs.errors
        socket = stubs.sockets(node, _context(settings))
        socket.setTimeout(int(settings.connect_s * 1000))
        self._transport = stubs.frames(socket)
        self._rpc, self._types = stubs.rpc, stubs.types
        self._client = stubs.client(stubs.protocol(self._transport))
        try:
            self._transport.open()
            opened = self._client.openSession(
                self._types.TSOpenSessionReq(
                    client_protocol=self._types.TSProtocolVersion.IOTDB_SERVICE_PROTOCOL_V3,
                    username=settings.user,
                    password=settings.password(),
                    zoneId="UTC",
                    configuration={"version": "V_1_0", "sql_dialect": "tree"},
                )
            )
            _check(opened.status, f"signing in at {node} as '{settings.user}'")
            self.precision = (opened.configuration or {}).get("timestamp_precision", "ms")
            self._session: int = opened.sessionId
            self._statement: int = self._client.requestStatementId(self._session)
        except self._errors as error:
            self.close()
            raise Lost(f"{node}: {error}") from None
        except BaseException:
            self.close()
            raise
        socket.setTimeout(int(settings.answer_s * 1000))

    def execute(self, statement: str) -> None:
        """A statement without a result. Raises: Lost, Busy, Existing, HeadraceError."""
        request = self._types.TSExecuteStatementReq(self._session, statement, self._statement)
        answer = self._call(self._client.executeUpdateStatementV2, request)
        _check(answer.status, statement)

    def query(self, statement: str) -> Answer:
        """Raises: Lost, Busy, HeadraceError, also while the blocks are read."""
        request = self._types.TSExecuteStatementReq(self._session, statement, self._statement, FETCH_ROWS)
        answer = self._call(self._client.executeQueryStatementV2, request)
        _check(answer.status, statement)
        names, places = list(answer.columns or ()), _places(answer)
        if not answer.ignoreTimeStamp:
            names, places = ["Time", *names], [-1, *places]
        return Answer(names, places, self._blocks(answer, statement))

    def _blocks(self, answer: Any, statement: str) -> Generator[Block, None, None]:
        """Every block of an answer; what is left of it on the server is given up with the iterator."""
        blocks, more = answer.queryResult or (), bool(answer.moreData)
        try:
            while True:
                for block in blocks:
                    yield decode(block)
                if not more:
                    return
                request = self._types.TSFetchResultsReq(
                    self._session, statement, FETCH_ROWS, answer.queryId, True, 0, self._statement
                )
                part = self._call(self._client.fetchResultsV2, request)
                _check(part.status, statement)
                blocks, more = part.queryResult or (), bool(part.moreData) and bool(part.hasResultSet)
        finally:
            if more and answer.queryId is not None:
                request = self._types.TSCloseOperationReq(self._session, answer.queryId, self._statement)
                self._call(self._client.closeOperation, request)

    def insert(self, tablets: Sequence[Tablet]) -> None:
        """Aligned tablets; where some are refused others may be stored. Raises: Lost, Busy, AccessError, DataError."""
        request = self._types.TSInsertTabletsReq(
            self._session,
            [tablet.device for tablet in tablets],
            [list(tablet.measurements) for tablet in tablets],
            [tablet.columns for tablet in tablets],
            [tablet.times for tablet in tablets],
            [list(tablet.types) for tablet in tablets],
            [tablet.rows for tablet in tablets],
            True,
        )
        status = self._call(self._client.insertTablets, request)
        for code, message in _failures(status):
            # Good samples must wait for whatever it is, rather than be taken for bad ones.
            if code not in _UNFIT and code not in _ACCESS:
                raise Busy(f"writing: {message} (IoTDB status {code})")
        _check(status, f"{sum(tablet.rows for tablet in tablets)} samples")

    def create_series(self, paths: Sequence[str], kind: int, aliases: Sequence[str]) -> None:
        """Make series that are not there yet; those that are stay as they are. Raises: Lost, Busy, HeadraceError."""
        count = len(paths)
        request = self._types.TSCreateMultiTimeseriesReq(
            self._session, list(paths), [kind] * count, [0] * count, [1] * count, None, None, None, list(aliases)
        )
        try:
            _check(self._call(self._client.createMultiTimeseries, request), f"registering {count} points")
        except Existing:
            pass

    def close(self) -> None:
        try:
            if self._transport.isOpen():  # to close a TLS socket that never opened is an error in Thrift
                self._transport.close()
        except OSError:
            pass

    def _call(self, method: Any, request: Any) -> Any:
        try:
            return method(request)
        except self._errors as error:
            self.close()
            raise Lost(f"{self.node}: {error or type(error).__name__}") from None
        except OverflowError:
            self.close()
            raise LimitReached(
                f"an answer of IoTDB is larger than {FRAME_BYTES_MAX} bytes; ask for fewer samples at once"
            ) from None


def _places(answer: Any) -> list[int]:
    if answer.columnIndex2TsBlockColumnIndexList is not None:
        return list(answer.columnIndex2TsBlockColumnIndexList)
    if answer.columnNameIndexMap:
        return [answer.columnNameIndexMap[name] for name in answer.columns]
    return list(range(len(answer.columns or ())))


def _check(status: TSStatus, doing: str) -> None:
    """Raises: Busy, Existing, AccessError, DataError, Unavailable where the status is not success."""
    codes = _failures(status)
    if not codes:
        return
    code, message = next((one for one in codes if one[0] not in EXISTS), codes[0])
    text = f"{message or 'no reason given'} (IoTDB status {code})"
    doing = doing if len(doing) <= 80 else f"{doing[:77]}…"
    if all(one in EXISTS for one, _ in codes):
        raise Existing(text)
    if code in _BUSY or status.needRetry:
        raise Busy(f"{doing}: {text}")
    if code in _ACCESS:
        raise AccessError(f"IoTDB refused {doing}: {text}; check the user, its rights and its password")
    if code == 611 or code == 600:
        raise Unavailable(f"IoTDB takes no more samples: {text}")
    raise DataError(f"IoTDB refused {doing}: {text}")


def _failures(status: TSStatus) -> list[tuple[int, str]]:
    if status.code in SUCCESS:
        return []
    if status.code == MULTIPLE and status.subStatus:
        return [failure for part in status.subStatus for failure in _failures(part)]
    return [(status.code, status.message or "")]


@dataclass(frozen=True, slots=True)
class _Stubs:
    client: Any
    rpc: Any
    types: Any
    protocol: Any
    frames: Any
    sockets: Any
    errors: tuple[type[BaseException], ...]


def _stubs() -> _Stubs:
    """The generated client, imported when it is needed. Raises: ConfigError where it is not installed."""
    try:
        from iotdb.thrift.rpc import IClientRPCService, ttypes
        from thrift.protocol.TBinaryProtocol import TBinaryProtocolAccelerated
        from thrift.Thrift import TException
        from thrift.transport.TSocket import TSocket
        from thrift.transport.TSSLSocket import TSSLSocket
        from thrift.transport.TTransport import TFramedTransport
    except ImportError:
        raise ConfigError("the IoTDB client is not installed; install it with: pip install 'headrace[iotdb]'") from None

    logging.getLogger("thrift").setLevel(logging.CRITICAL)  # what it logs is raised as well

    def sockets(node: Node, context: ssl.SSLContext | None) -> Any:
        if context is None:
            return TSocket(node.host, node.port)
        return TSSLSocket(host=node.host, port=node.port, ssl_context=context, server_hostname=node.host)

    def frames(transport: Any) -> Any:
        try:
            return TFramedTransport(transport, max_frame_size=FRAME_BYTES_MAX)
        except TypeError:  # older than its limit of 16 MB
            return TFramedTransport(transport)

    def protocol(transport: Any) -> Any:
        return TBinaryProtocolAccelerated(transport, string_length_limit=FRAME_BYTES_MAX)

    return _Stubs(
        IClientRPCService.Client, IClientRPCService, ttypes, protocol, frames, sockets,
        (TException, OSError, EOFError),
    )  # fmt: skip


def _context(settings: IotdbSettings) -> ssl.SSLContext | None:
    """TLS that checks the server's name and certificate. Raises: ConfigError."""
    if not settings.tls:
        return None
    try:
        return ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=settings.ca_file)
    except OSError as error:
        raise ConfigError(f"cannot use the certificates in '{settings.ca_file}': {error}") from None
