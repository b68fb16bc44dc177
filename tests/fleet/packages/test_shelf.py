"""Installing: all of a package or none of it, whatever breaks, and never an older one unasked."""

from __future__ import annotations

import fcntl
import io
import json
from pathlib import Path

import pytest
from tests.fleet.packages.conftest import FILES, PRESENT, TODAY, Works, publisher

from headrace.fleet.packages import Installed, Package, Publishers, Shelf
from headrace.model.errors import ConfigError, Conflict, DataError, NotFound, Unavailable
from headrace.sdk.disk import Disk

UPDATES = pytest.mark.clause("62443-3-3 SR 3.4", "62443-4-2 CR 3.4")


def install(shelf: Shelf, works: Works, data: bytes, **how: bool) -> Installed:
    file = io.BytesIO(data)
    return shelf.install(Package.open(file).verify(works.publishers, TODAY), file, PRESENT, **how)


def tree(installed: Installed) -> dict[str, bytes]:
    return {
        p.relative_to(installed.folder).as_posix(): p.read_bytes() for p in installed.folder.rglob("*") if p.is_file()
    }


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "packages")


@UPDATES
def test_what_is_installed_is_what_was_packed(shelf: Shelf, works: Works, tmp_path: Path) -> None:
    installed = install(shelf, works, works.pack())
    assert tree(installed) == FILES and shelf.installed("oee") == installed
    assert shelf.altered("oee") == []
    assert [signer.title for signer in shelf.verify("oee", works.publishers, TODAY)] == ["Acme Tools"]
    assert not list((tmp_path / "packages/oee").glob(".new-*"))
    for path in (tmp_path / "packages").rglob("*"):
        assert path.stat().st_mode & 0o007 == 0, path
    assert install(shelf, works, works.pack()) == installed  # again: nothing to do


@UPDATES
def test_an_older_version_needs_to_be_asked_for(shelf: Shelf, works: Works) -> None:
    old, new = works.pack("1.4.0"), works.pack("1.10.0")
    install(shelf, works, old)
    install(shelf, works, new)
    with pytest.raises(Conflict, match=r"1\.10\.0 is installed and 1\.4\.0 is older"):
        install(shelf, works, old)
    assert str(shelf.installed("oee").version) == "1.10.0"  # type: ignore[union-attr]
    assert str(install(shelf, works, old, allow_downgrade=True).version) == "1.4.0"


@UPDATES
def test_one_version_has_one_content(shelf: Shelf, works: Works) -> None:
    install(shelf, works, works.pack())
    with pytest.raises(Conflict, match="another oee"):
        install(shelf, works, works.pack(files={"app.py": b"other"}))


def test_needs_are_met_or_named(shelf: Shelf, works: Works) -> None:
    file = io.BytesIO(works.pack())
    verified = Package.open(file).verify(works.publishers, TODAY)
    with pytest.raises(Conflict, match=r"headrace>=0\.1 \(here: 0\.0\.9\)"):
        shelf.install(verified, file, {"headrace": "0.0.9"})
    with pytest.raises(Conflict, match="not here"):
        shelf.install(verified, file, {})
    assert shelf.installed("oee") is None


@UPDATES
def test_what_was_altered_after_it_was_installed_is_named_and_mended(shelf: Shelf, works: Works) -> None:
    data = works.pack()
    folder = install(shelf, works, data).folder
    (folder / "app.py").write_bytes(b"import os")
    (folder / "extra.py").write_bytes(b"")
    (folder / "pages/start.html").unlink()
    (folder / "pages/start.html").symlink_to("/etc/passwd")
    (folder / "data/empty").unlink()
    assert shelf.altered("oee") == ["app.py", "data/empty", "extra.py", "pages/start.html"]
    with pytest.raises(DataError, match=r"altered after it was installed: app\.py"):
        shelf.verify("oee", works.publishers, TODAY)
    assert tree(install(shelf, works, data)) == FILES
    assert shelf.altered("oee") == []
    (folder.parent / "manifest.toml").write_bytes(b"")
    assert shelf.altered("oee") == ["manifest.toml"]


@UPDATES
def test_a_publisher_who_was_revoked_stands_behind_nothing_that_is_installed(shelf: Shelf, works: Works) -> None:
    install(shelf, works, works.pack())
    with pytest.raises(DataError, match="revoked"):
        shelf.verify("oee", Publishers(works.publishers.trusted, ((works.key.key_id, "stolen"),)), TODAY)


def test_nothing_is_installed_of_a_package_that_is_altered_while_it_is_read(shelf: Shelf, works: Works) -> None:
    install(shelf, works, works.pack("1.4.0"))
    data = bytearray(works.pack("1.5.0"))
    verified = Package.open(io.BytesIO(bytes(data))).verify(works.publishers, TODAY)
    data[verified.package.entries[-1].offset] ^= 1  # of the last file, when those before it are written already
    with pytest.raises(DataError, match="altered"):
        shelf.install(verified, io.BytesIO(bytes(data)), PRESENT)
    assert str(shelf.installed("oee").version) == "1.4.0"  # type: ignore[union-attr]
    install(shelf, works, works.pack("1.5.0"))


class BreakingDisk(Disk):
    """Fails, as a full disk does, or dies, as a process does, at its nth operation."""

    def __init__(self, at: int, error: BaseException) -> None:
        self.left, self.error = at, error

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise self.error

    def open(self, path: Path, *, create: bool = False) -> int:
        self._count()
        return super().open(path, create=create)

    def write(self, descriptor: int, data: bytes | bytearray | memoryview) -> None:
        self._count()
        super().write(descriptor, data)

    def datasync(self, descriptor: int) -> None:
        self._count()
        super().datasync(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        self._count()
        super().replace(source, target)

    def sync_directory(self, path: Path) -> None:
        self._count()
        super().sync_directory(path)


class Death(BaseException):
    pass


@UPDATES
@pytest.mark.clause("62443-3-3 SR 7.4", "62443-4-2 CR 7.4")
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), Death()], ids=["full", "killed"])
def test_whatever_breaks_either_the_old_or_the_new_one_is_whole(
    works: Works, tmp_path: Path, error: BaseException
) -> None:
    old, new = works.pack("1.4.0"), works.pack("1.5.0", files={"app.py": b"new"})
    for step in range(1, 200):
        root = tmp_path / f"packages-{step}"
        install(Shelf(root), works, old)
        disk = BreakingDisk(step, error)
        try:
            install(Shelf(root, disk), works, new)
        except (Unavailable, Death):
            pass
        else:
            assert disk.left > 0
            break
        left = Shelf(root).installed("oee")
        assert left is not None and Shelf(root).altered("oee") == [], step
        assert tree(left) == (FILES if str(left.version) == "1.4.0" else {"app.py": b"new"})
        assert tree(install(Shelf(root), works, new)) == {"app.py": b"new"}
        assert not list((root / "oee").glob(".new-*")), step
    else:
        pytest.fail("the installation never ended")
    assert step > 15


def test_two_at_once_and_damaged_records_are_told(shelf: Shelf, works: Works, tmp_path: Path) -> None:
    data = works.pack()
    install(shelf, works, data)
    with (tmp_path / "packages/oee/.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Unavailable, match="another process"):
            install(shelf, works, data)
    for text in ("", "[]", "{}", json.dumps({"version": "../x", "sha256": ""})):
        (tmp_path / "packages/oee/installed.json").write_text(text)
        with pytest.raises(ConfigError, match="damaged"):
            shelf.installed("oee")
    with pytest.raises(NotFound):
        shelf.altered("other")
    with pytest.raises(DataError):
        shelf.installed("../oee")


def test_trust_is_read_from_files_that_only_their_owner_writes(works: Works, tmp_path: Path) -> None:
    folder = tmp_path / "publishers"
    assert Publishers.load(folder) == Publishers()
    folder.mkdir(mode=0o700)
    known = publisher(works.key, names=("acme.*", "oee"))
    (folder / "acme.pub").write_text(known.text(), "utf-8")
    (folder / "revoked").write_text(f"# nobody yet\n\n{'0' * 32} lost\n")
    (folder / "policy.toml").write_text("update = 2\n")
    loaded = Publishers.load(folder)
    assert loaded.trusted == (known,) and dict(loaded.revoked) == {"0" * 32: "lost"}
    for file, text, said in (
        ("revoked", "abc lost\n", "32 hex digits"),
        ("policy.toml", "update = 0\n", "1 to 16"),
        ("policy.toml", "apps = 1\n", "1 to 16"),
        ("policy.toml", "x = " + "[" * 5000, "TOML"),
        ("acme.pub", known.text() + "more = 1\n", "nothing else"),
        ("acme.pub", known.text().replace("ed25519:", "rsa:"), "ed25519"),
        ("acme.pub", known.text().replace('"app"', '"apps"'), "kinds"),
        ("acme.pub", known.text().replace("acme.*", "*.acme"), "no name"),
        ("acme.pub", known.text().replace("2028", "20281"), "until"),
        ("copy.pub", known.text(), "same key"),
    ):
        before = (folder / file).read_text("utf-8") if (folder / file).exists() else None
        (folder / file).write_text(text, "utf-8")
        with pytest.raises(ConfigError, match=said):
            Publishers.load(folder)
        (folder / file).unlink() if before is None else (folder / file).write_text(before, "utf-8")
    (folder / "acme.pub").chmod(0o666)
    with pytest.raises(ConfigError, match="chmod go-w"):
        Publishers.load(folder)
