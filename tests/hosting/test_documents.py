"""Files of an app: whole or not at all, found again after a restart, bounded, and nowhere else; and its signatures."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties import examples

from headrace.hosting.documents import AppDocuments, stored
from headrace.hosting.signing import FILE, KeyFile, sign, verify
from headrace.model.errors import AccessError, ConfigError, DataError, LimitReached, NotFound, Unavailable
from headrace.sdk.apps import Signature
from headrace.sdk.disk import Disk


async def opened(folder: Path, megabytes: int = 1, disk: Disk | None = None) -> AppDocuments:
    made = AppDocuments(folder, megabytes=megabytes, now_ns=lambda: 7, disk=disk)
    await made.open()
    return made


async def test_they_are_there_after_a_restart(tmp_path: Path) -> None:
    made = await opened(tmp_path)
    await made.put("reports/a.txt", b"one", "text/plain; charset=utf-8")
    (tmp_path / "documents" / "0f.new").write_bytes(b"half")
    (tmp_path / "documents" / "stray").write_bytes(b"what")
    again = await opened(tmp_path)
    assert await again.get("reports/a.txt") == b"one"
    assert [(one.name, one.size, one.changed_ns) for one in await again.list()] == [("reports/a.txt", 3, 7)]
    assert [one.name for one in stored(tmp_path / "documents")] == ["reports/a.txt"]
    assert not (tmp_path / "documents" / "0f.new").exists() and again.held_bytes == 3


async def test_what_was_granted_is_the_most(tmp_path: Path) -> None:
    made = await opened(tmp_path)
    await made.put("a", bytes(900_000), "text/plain")
    with pytest.raises(LimitReached):
        await made.put("b", bytes(100_001), "text/plain")
    await made.put("a", bytes(1_000_000), "text/plain")
    await made.delete("a")
    await made.put("b", bytes(1_000_000), "text/plain")
    none = await opened(tmp_path / "none", 0)
    for asked in (none.put("a", b"", "text/plain"), none.get("a"), none.list(), none.delete("a")):
        with pytest.raises(AccessError):
            await asked


@settings(max_examples=examples(200))
@given(st.text(max_size=30))
def test_a_name_is_never_a_path(name: str) -> None:
    made = AppDocuments(Path("/nowhere"), megabytes=1, now_ns=lambda: 7)
    path = made._path(name) if name.isprintable() else made._path("x")
    assert path.parent == Path("/nowhere/documents") and len(path.name) == 64


@pytest.mark.parametrize(
    "media_type", ["", "html", "text/html\r\nx: y", "text/<b>", "a" * 200 + "/b", "text/plain; q=1"]
)
async def test_what_is_no_media_type_is_refused(tmp_path: Path, media_type: str) -> None:
    with pytest.raises(DataError):
        await (await opened(tmp_path)).put("a", b"", media_type)


class Failing(Disk):
    """Fails at one of its steps, each in its turn."""

    def __init__(self, at: int) -> None:
        self.left = at

    def _step(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise OSError(28, "No space left on device")

    def write(self, descriptor: int, data: bytes | bytearray | memoryview) -> None:
        self._step()
        super().write(descriptor, data)

    def datasync(self, descriptor: int) -> None:
        self._step()
        super().datasync(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        self._step()
        super().replace(source, target)


@pytest.mark.parametrize("step", [1, 2, 3, 4])
async def test_a_full_disk_leaves_what_was_there(tmp_path: Path, step: int) -> None:
    await (await opened(tmp_path)).put("a", b"old", "text/plain")
    made = await opened(tmp_path, disk=Failing(step))
    with pytest.raises(Unavailable, match="No space"):
        await made.put("a", b"new", "text/plain")
    assert await made.get("a") == b"old"
    assert await (await opened(tmp_path)).get("a") == b"old"


async def test_what_the_disk_changed_is_not_given(tmp_path: Path) -> None:
    made = await opened(tmp_path)
    await made.put("a", b"one", "text/plain")
    (path,) = (tmp_path / "documents").iterdir()
    path.write_bytes(path.read_bytes()[:-1] + b"X")
    with pytest.raises(Unavailable, match="damaged"):
        await made.get("a")
    with pytest.raises(NotFound):
        await made.get("b")


def test_a_signature_is_of_its_app_tenant_time_and_bytes(tmp_path: Path) -> None:
    key = KeyFile(tmp_path)
    assert KeyFile(tmp_path).public == key.public and KeyFile(tmp_path / "other").public != key.public
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    made = sign(key, "acme.a", "t", b"data", 5)
    assert verify(key, "acme.a", "t", b"data", made)
    assert not verify(key, "acme.b", "t", b"data", made) and not verify(key, "acme.a", "u", b"data", made)
    assert not verify(key, "acme.a", "t", b"datA", made)
    assert not verify(key, "acme.a", "t", b"data", Signature(made.key, made.value, 6))
    assert not verify(KeyFile(tmp_path / "other"), "acme.a", "t", b"data", made)
    assert not verify(key, "a\nacme", "t", b"data", sign(key, "a", "acme\nt", b"data", 5))
    (tmp_path / FILE).write_bytes(b"short")
    with pytest.raises(ConfigError):
        KeyFile(tmp_path)
