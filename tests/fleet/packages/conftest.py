"""A publisher, a folder to pack, and a home that trusts the one who packed it."""

from __future__ import annotations

import datetime
import io
from dataclasses import dataclass
from pathlib import Path

import pytest

from headrace.fleet.packages import Kind, Package, Publisher, Publishers, SigningKey, Verified, build, new_key

TODAY = datetime.date(2026, 11, 26)
UNTIL = datetime.date(2028, 11, 26)
DESCRIPTION = (
    'kind = "{kind}"\nname = "oee"\nversion = "{version}"\ntitle = "设备综合效率"\nneeds = ["headrace>=0.1"]\n'
)
PRESENT = {"headrace": "0.1.0"}
FILES = {
    "app.py": b"print('oee')\n" * 40,
    "pages/start.html": b"<p>hello</p>",
    "data/empty": b"",
    "data/noise": bytes(range(256)),
}


@dataclass
class Works:
    """Where packages are made and opened."""

    folder: Path
    key: SigningKey
    publishers: Publishers

    def source(
        self, version: str = "1.4.0", files: dict[str, bytes] | None = None, kind: str = "app", more: str = ""
    ) -> Path:
        folder = self.folder / f"source-{version}-{len(list(self.folder.iterdir()))}"
        for path, content in (files or FILES).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        (folder / "package.toml").write_text(DESCRIPTION.format(version=version, kind=kind) + more, "utf-8")
        return folder

    def pack(self, version: str = "1.4.0", *signers: SigningKey, **source: object) -> bytes:
        target = self.folder / "made.hrpkg"
        build(self.source(version, **source), target, signers or (self.key,), TODAY)  # type: ignore[arg-type]
        return target.read_bytes()

    def verified(self, data: bytes) -> Verified:
        """Opened, judged and read to its end."""
        file = io.BytesIO(data)
        verified = Package.open(file).verify(self.publishers, TODAY)
        verified.check(file)
        return verified


def publisher(key: SigningKey, title: str = "Acme Tools", **other: object) -> Publisher:
    given = {"kinds": frozenset(Kind), "names": ("*",), "until": UNTIL, **other}
    return Publisher(title, key.public, **given)  # type: ignore[arg-type]


@pytest.fixture
def works(tmp_path: Path) -> Works:
    key = new_key()
    folder = tmp_path / "works"
    folder.mkdir()
    return Works(folder, key, Publishers((publisher(key),)))
