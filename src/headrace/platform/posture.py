"""What the running platform is set to where security is concerned; `access/posture.py` judges it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from headrace.access.posture import Facts, settings_in_force
from headrace.model.plant import PlantModel
from headrace.model.time import DAY_NS
from headrace.platform.platform import Platform
from headrace.sdk.access import DEFAULT_TENANT
from headrace.sdk.posture import SettingInForce
from headrace.sdk.reach import is_loopback

_WITHOUT_IDENTITY = ("modbus",)
_TLS_IN_SETTINGS = ("mqtt", "sparkplug", "kafka")


async def posture(platform: Platform) -> Sequence[SettingInForce]:
    """Raises: Unavailable where the accounts cannot be read."""
    settings, state = platform.settings, platform.trail.state()
    console = [one for one in platform.web.status() if one.kind == "console"]
    model = platform.reconciler.directory.model
    tokens = await platform.access.tokens()
    return settings_in_force(
        Facts(
            address=f"{settings.host}:{settings.port}",
            loopback=settings.loopback,
            tls=settings.secure,
            behind_tls=settings.behind_tls,
            certificate_days=(console[0].ends_ns - platform.clock.now_ns()) / DAY_NS if console else None,
            policy=platform.access.memory.tenant(DEFAULT_TENANT).policy,
            idle_s=platform.access.platform_policy().session_idle_s or 0,
            key_at_home=not settings.seal_key,
            audit_days=state.keep_days,
            reach=settings.reach,
            plain_links=sorted(_plain(model)),
            plain_gateways=sorted(_plain_gateways(model)),
            without_identity=sorted(
                one.name for one in model.connections.values() if one.enabled and one.driver in _WITHOUT_IDENTITY
            ),
            endless_tokens=[one.name for one in tokens if one.expires_ns is None and one.tenant == DEFAULT_TENANT],
        )
    )


def _plain_gateways(model: PlantModel) -> Iterator[str]:
    for one in model.connections.values():
        if one.enabled and one.driver == "gateway" and one.settings.get("allow_plain") and not one.settings.get("tls"):
            yield one.name


def _plain(model: PlantModel) -> Iterator[str]:
    """Connections and outlets that can be listened to between this machine and another."""
    for link in model.connections.values():
        if link.enabled and _in_clear(link.driver, link.settings):
            yield link.name
    for outlet in model.outlets.values():
        if outlet.enabled and _in_clear(outlet.protocol, outlet.settings):
            yield outlet.name


def _in_clear(protocol: str, settings: Mapping[str, Any]) -> bool:
    if protocol == "opcua":
        return settings.get("security") == "none" and not _here(urlsplit(str(settings.get("url", ""))).hostname)
    if protocol in _TLS_IN_SETTINGS:
        hosts = settings.get("brokers") or [settings.get("host", "")]
        return not settings.get("tls") and not all(_here(str(one).rpartition(":")[0] or str(one)) for one in hosts)
    return False


def _here(host: str | None) -> bool:
    return host is not None and is_loopback(host)
