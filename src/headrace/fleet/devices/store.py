"""Devices in SQL. Each method is one transaction, run in a thread; durable on return."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import Engine, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from headrace.fleet.devices.records import Device, Life
from headrace.fleet.tables import devices
from headrace.model.errors import Conflict, Unavailable
from headrace.sdk.devices import DeviceState

Result = TypeVar("Result")

_LIFE: Final = ("gateway", "peer", "first_seen_ns", "last_seen_ns", "messages", "refused")
_TOUCH: Final = (
    update(devices).where(devices.c.login == bindparam("b_login")).values({one: bindparam(f"b_{one}") for one in _LIFE})
)


class DeviceStore:
    """Raises: Unavailable where the database does not answer; Conflict for a name, login or certificate in use."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def load(self) -> Sequence[Device]:
        return await self._run(self._load)

    async def add(self, new: Sequence[Device]) -> None:
        """All or none."""
        await self._run(lambda: self._insert(new))

    async def change(self, old: str, device: Device) -> None:
        """What was decided; its life is for `touch`."""
        await self._run(lambda: self._update(old, _settings(device)))

    async def remove(self, names: Sequence[str]) -> None:
        await self._run(lambda: self._delete(names))

    async def touch(self, lives: Sequence[tuple[str, Life]]) -> None:
        """How they live on, by login; those that are gone are passed over."""
        await self._run(lambda: self._touch(lives))

    async def _run(self, work: Callable[[], Result]) -> Result:
        try:
            return await asyncio.to_thread(work)
        except IntegrityError as error:
            raise Conflict("that name, login or certificate is in use already", detail=str(error)) from error
        except SQLAlchemyError as error:
            raise Unavailable("devices cannot be read or changed now; try again", detail=str(error)) from error

    def _load(self) -> Sequence[Device]:
        with self._engine.connect() as connection:
            return [_device(row) for row in connection.execute(select(devices))]

    def _insert(self, new: Sequence[Device]) -> None:
        with self._engine.begin() as connection:
            connection.execute(insert(devices), [{**_settings(device), **_life(device.life)} for device in new])

    def _update(self, old: str, settings: dict[str, Any]) -> None:
        with self._engine.begin() as connection:
            connection.execute(update(devices).where(devices.c.name == old).values(**settings))

    def _delete(self, names: Sequence[str]) -> None:
        with self._engine.begin() as connection:
            connection.execute(delete(devices).where(devices.c.name.in_(names)))

    def _touch(self, lives: Sequence[tuple[str, Life]]) -> None:
        rows = [
            {"b_login": login, **{f"b_{key}": value for key, value in _life(life).items()}} for login, life in lives
        ]
        with self._engine.begin() as connection:
            connection.execute(_TOUCH, rows)


def _device(row: Any) -> Device:
    life = Life(row.gateway, row.peer, False, row.first_seen_ns, row.last_seen_ns, row.messages, row.refused)
    return Device(
        name=row.name,
        login=row.login,
        state=DeviceState(row.state),
        publish=tuple(row.publish.splitlines()),
        subscribe=tuple(row.subscribe.splitlines()),
        secret=row.secret_hash,
        next_secret=row.next_secret_hash,
        certificate=row.certificate,
        messages_per_s=row.messages_per_s,
        asset=row.asset,
        note=row.note,
        created_by=row.created_by,
        created_ns=row.created_ns,
        tenant=row.tenant,
        life=life,
    )


def _settings(device: Device) -> dict[str, Any]:
    return {
        "name": device.name,
        "login": device.login,
        "state": device.state.value,
        "publish": "\n".join(device.publish),
        "subscribe": "\n".join(device.subscribe),
        "secret_hash": device.secret,
        "next_secret_hash": device.next_secret,
        "certificate": device.certificate,
        "messages_per_s": device.messages_per_s,
        "asset": device.asset,
        "note": device.note,
        "created_by": device.created_by,
        "created_ns": device.created_ns,
        "tenant": device.tenant,
    }


def _life(life: Life) -> dict[str, Any]:
    return {name: getattr(life, name) for name in _LIFE}
