"""Apps and updates as one signed file, `.hrpkg`: who made it is proved before anything of it is unpacked.

    builder.py    a folder and keys ──► one file
    container.py  the zip, read strictly: every byte belongs to exactly one entry
    manifest.py   what is in it, in words
    keys.py       publishers: who may sign what, who no longer may, how many must
    reading.py    the flow: container ──► signatures ──► manifest ──► names, sizes and digests
    shelf.py      unpacked whole in a fresh folder, then renamed; never back to an older version unasked

Decision 0035; docs/packages.md.
"""

from headrace.fleet.packages.builder import build, countersign
from headrace.fleet.packages.container import Limits
from headrace.fleet.packages.keys import Publisher, Publishers, SigningKey, new_key, read_signing_key
from headrace.fleet.packages.manifest import Kind, Manifest, PackedFile
from headrace.fleet.packages.reading import Package, Verified
from headrace.fleet.packages.shelf import Installed, Shelf

__all__ = [
    "Installed",
    "Kind",
    "Limits",
    "Manifest",
    "Package",
    "PackedFile",
    "Publisher",
    "Publishers",
    "Shelf",
    "SigningKey",
    "Verified",
    "build",
    "countersign",
    "new_key",
    "read_signing_key",
]
