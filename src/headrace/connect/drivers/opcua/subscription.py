"""Many nodes watched through as few subscriptions as the server's limits allow, and the pump that empties them.

    points ─by node─► keys ─by interval─► shards ─► CreateSubscription, CreateMonitoredItems in calls of its size
                                                          │ refused items: one bad sample each
    Publish ×(shards + 1) always waiting ◄────────────────┘
        └─► codec ─► PointTable ─► at most four batches a response ─► deliver

A node that several points name is monitored once, by the fastest of them. Source: OPC 10000-4 §5.13, §5.14.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any, Final

from asyncua import ua

from headrace.connect.drivers.opcua import codec
from headrace.connect.drivers.opcua.failures import status_name
from headrace.connect.drivers.opcua.nodes import Nodes
from headrace.connect.drivers.opcua.session import Session
from headrace.model import quality as q
from headrace.model.errors import DeviceError, Garbled, Refused, Unreachable
from headrace.model.time import MILLISECOND_NS
from headrace.sdk.driver import Deliver

LIFETIME_KEEP_ALIVES: Final = 10
"""The server forgets a subscription after this many keep-alive periods without us; the standard asks for 3 or more."""
NOTIFICATIONS_PER_PUBLISH: Final = 10_000
PUBLISH_WAITING_MAX: Final = 10
_SPLIT: Final = frozenset({ua.StatusCodes.BadTooManyOperations, ua.StatusCodes.BadEncodingLimitsExceeded})
_NO_ROOM: Final = frozenset({ua.StatusCodes.BadTooManySubscriptions, ua.StatusCodes.BadServiceUnsupported})


class SubscriptionsRefused(Refused):
    """The server grants no subscription at all; the points must be polled."""


class Subscriber:
    """One `start` and one `stop`. After a failure the session's `on_lost` has been called."""

    def __init__(self, session: Session, watched: Nodes, deliver: Deliver) -> None:
        self._session, self._watched, self._deliver = session, watched, deliver
        self._ua_nodes = [session.resolve(ref) for ref in watched.refs]
        self._acknowledge: list[Any] = []
        self._ids: set[int] = set()
        self._pumps: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Raises: SubscriptionsRefused, DeviceError."""
        session = self._session
        refused: dict[int, int] = {
            key: q.BAD_NODE_ID_UNKNOWN for key, node in enumerate(self._ua_nodes) if node is None
        }
        shard = 0
        for keys in self._shards():
            try:
                with session.doing("creating a subscription"):
                    shard = await self._create_subscription(keys)
            except SubscriptionsRefused as error:
                if not self._ids:
                    raise
                del error  # the server has no more: its last one takes the rest, item by item
            with session.doing("creating monitored items"):
                refused |= await self._create_items(shard, keys)
        if refused:
            now_ns = session.context.clock.now_ns()
            self._deliver(self._watched.table.bad(list(refused), list(refused.values()), now_ns))
        for _ in range(min(len(self._ids) + 1, PUBLISH_WAITING_MAX) if self._ids else 0):
            task = asyncio.create_task(self._pump())
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def stop(self) -> None:
        pumps = list(self._pumps)
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)

    # --- creating -------------------------------------------------------------------------------------------------

    def _shards(self) -> list[list[int]]:
        """Keys by interval, so that slow nodes do not publish at the pace of fast ones."""
        watched, limits = self._watched, self._session.limits
        size = min(self._session.settings.items_per_subscription, limits.items_per_subscription or 1 << 31)
        known = sorted(
            (key for key, node in enumerate(self._ua_nodes) if node is not None), key=watched.interval_ns.__getitem__
        )
        if limits.subscriptions:
            size = max(size, math.ceil(len(known) / limits.subscriptions))
        return [known[at : at + size] for at in range(0, len(known), size)]

    async def _create_subscription(self, keys: list[int]) -> int:
        settings = self._session.settings
        fastest_ns = min(self._watched.interval_ns[key] for key in keys)
        interval_ns = settings.publishing_interval_ns or fastest_ns
        request = ua.CreateSubscriptionRequest()
        parameters = request.Parameters
        parameters.RequestedPublishingInterval = interval_ns / MILLISECOND_NS
        parameters.RequestedMaxKeepAliveCount = max(1, round(settings.keep_alive_ns / interval_ns))
        parameters.RequestedLifetimeCount = LIFETIME_KEEP_ALIVES * parameters.RequestedMaxKeepAliveCount
        parameters.MaxNotificationsPerPublish = NOTIFICATIONS_PER_PUBLISH
        parameters.PublishingEnabled = True
        try:
            body = await self._session.call(request)
        except ua.UaStatusCodeError as error:
            if error.code in _NO_ROOM:
                raise SubscriptionsRefused(
                    f"the server refused a subscription with {status_name(error.code)}"
                ) from None
            raise
        response = ua.ua_binary.struct_from_binary(ua.CreateSubscriptionResponse, ua.utils.Buffer(body))
        response.ResponseHeader.ServiceResult.check()
        number = int(response.Parameters.SubscriptionId)
        self._ids.add(number)
        return number

    async def _create_items(self, subscription: int, keys: Sequence[int]) -> dict[int, int]:
        """Statuses of the refused ones by key. A call that is too big for the server is halved."""
        refused: dict[int, int] = {}
        size = self._session.limits.monitored_items
        rest = list(keys)
        while rest:
            part = rest[:size]
            try:
                results = await self._session.services.create_monitored_items(self._items(subscription, part))
            except ua.UaStatusCodeError as error:
                if error.code in _SPLIT and size > 1:
                    size = max(1, min(size, len(rest)) // 2)
                    continue
                raise
            for key, result in zip(part, results, strict=True):
                if not result.StatusCode.is_good():
                    refused[key] = result.StatusCode.value
            rest = rest[size:]
        return refused

    def _items(self, subscription: int, keys: Sequence[int]) -> Any:
        parameters = ua.CreateMonitoredItemsParameters()
        parameters.SubscriptionId = subscription
        parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        for key in keys:
            item = ua.MonitoredItemCreateRequest()
            item.ItemToMonitor.NodeId = self._ua_nodes[key]
            item.ItemToMonitor.AttributeId = ua.AttributeIds.Value
            item.MonitoringMode = ua.MonitoringMode.Reporting
            item.RequestedParameters.ClientHandle = key
            item.RequestedParameters.SamplingInterval = self._watched.interval_ns[key] / MILLISECOND_NS
            item.RequestedParameters.QueueSize = self._session.settings.queue_size
            item.RequestedParameters.DiscardOldest = True
            parameters.ItemsToCreate.append(item)
        return parameters

    # --- pumping --------------------------------------------------------------------------------------------------

    async def _pump(self) -> None:
        """Keeps one Publish waiting. Several pumps share the acknowledgements; answers come in order of the socket."""
        try:
            while await self._publish_once():
                pass
        except DeviceError as failure:
            self._session.fail(failure)

    async def _publish_once(self) -> bool:
        """False where the server wants fewer Publish requests waiting."""
        session = self._session
        request = ua.PublishRequest()
        request.Parameters.SubscriptionAcknowledgements, self._acknowledge = self._acknowledge, []
        with session.doing("waiting for changes"):
            try:
                body = await session.call(request, timeout_s=0)
            except ua.UaStatusCodeError as error:
                if error.code == ua.StatusCodes.BadTooManyPublishRequests and len(self._pumps) > 1:
                    return False
                if error.code == ua.StatusCodes.BadTimeout:
                    return True
                raise
            published = codec.decode_publish(body)
        if published.sequence:
            self._acknowledge.append(
                ua.SubscriptionAcknowledgement(SubscriptionId=published.subscription, SequenceNumber=published.sequence)
            )
        if published.subscription not in self._ids:
            raise Garbled(f"the server at {session.settings.url} answers for a subscription that is not ours")
        if published.items:
            self._deliver(self._watched.table.batches(published.items, session.context.clock.now_ns()))
        if published.status is not None:
            name = status_name(published.status)
            raise Unreachable(f"the server at {session.settings.url} ended a subscription ({name})")
        return True
