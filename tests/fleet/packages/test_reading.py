"""What is not exactly what its publisher signed does not open, whichever byte was touched and whoever touched it."""

from __future__ import annotations

import datetime
import hashlib
import io
import random
import struct
import time
import zipfile
import zlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fleet.packages.conftest import FILES, TODAY, UNTIL, Works, publisher
from tests.properties import examples

from headrace.fleet.packages import (
    Kind,
    Limits,
    Package,
    Publishers,
    build,
    container,
    countersign,
    keys,
    manifest,
    new_key,
    reading,
)
from headrace.model.errors import ConfigError, DataError

SIGNED = pytest.mark.clause(
    "62443-3-3 SR 3.4", "62443-4-2 CR 3.4", "62443-4-2 CR 3.4 RE 1", "62443-4-2 SAR 2.4", "62443-4-2 SAR 2.4 RE 1",
    "62443-3-3 SR 2.4", "62443-3-3 SR 2.4 RE 1", "GB/T 22239-2019 8.1.4.7",
)  # fmt: skip
HOSTILE = pytest.mark.clause("62443-3-3 SR 3.5", "62443-4-2 CR 3.5", "62443-3-3 SR 7.1", "62443-4-2 CR 7.1")


def test_what_is_packed_is_read(works: Works) -> None:
    data = works.pack()
    file = io.BytesIO(data)
    verified = Package.open(file).verify(works.publishers, TODAY)
    assert {listed.path: b"".join(pieces) for listed, pieces in verified.contents(file)} == FILES
    assert [signer.title for signer in verified.signers] == ["Acme Tools"]
    assert verified.manifest.title == "设备综合效率"
    with zipfile.ZipFile(io.BytesIO(data)) as other:  # an independent reader: Python's own
        assert other.testzip() is None
        assert other.read("files/app.py") == FILES["app.py"]
        assert other.namelist()[-2:] == ["manifest.toml", "META/signatures"]


def test_the_same_folder_is_the_same_file(works: Works) -> None:
    assert works.pack() == works.pack()


@SIGNED
def test_every_byte_that_is_altered_is_found(works: Works) -> None:
    data = works.pack(files={"app.py": b"print('oee')\n" * 9, "noise": bytes(range(64))})
    works.verified(data)
    for at in range(len(data)):
        for bit in (1, 0x20, 0x80):
            altered = bytearray(data)
            altered[at] ^= bit
            with pytest.raises(DataError):
                works.verified(bytes(altered))


@SIGNED
def test_what_is_cut_off_lengthened_or_moved_is_found(works: Works) -> None:
    data = works.pack()
    for length in range(len(data)):
        with pytest.raises(DataError):
            works.verified(data[:length])
    for altered in (data + b"\0", b"\0" + data, data + data, data[:100] + b"\0" + data[100:]):
        with pytest.raises(DataError):
            works.verified(altered)


@SIGNED
def test_who_signed_must_be_trusted_and_in_time_and_of_this_name(works: Works, tmp_path: Path) -> None:
    package = Package.open(io.BytesIO(works.pack()))
    day = datetime.timedelta(days=1)
    with pytest.raises(DataError, match="not trusted here"):
        package.verify(Publishers((publisher(new_key()),)), TODAY)
    with pytest.raises(DataError, match="ended on 2028-11-26"):
        package.verify(works.publishers, UNTIL + day)
    package.verify(works.publishers, UNTIL)
    with pytest.raises(DataError, match="may not sign app 'oee'"):
        package.verify(Publishers((publisher(works.key, kinds=frozenset({Kind.UPDATE})),)), TODAY)
    for names, may in ((("acme.*",), False), (("oee.*",), False), (("oe",), False), (("oee",), True), (("*",), True)):
        if may:
            package.verify(Publishers((publisher(works.key, names=names),)), TODAY)
        else:
            with pytest.raises(DataError, match="may not sign"):
                package.verify(Publishers((publisher(works.key, names=names),)), TODAY)
    with pytest.raises(DataError, match=r"revoked \(laptop stolen\)"):
        package.verify(Publishers(works.publishers.trusted, ((works.key.key_id, "laptop stolen"),)), TODAY)
    with pytest.raises(DataError, match="no signature"):
        target = tmp_path / "unsigned.hrpkg"
        build(works.source(), target, (), TODAY)
        with target.open("rb") as file:
            Package.open(file).verify(works.publishers, TODAY)


@SIGNED
def test_a_threshold_counts_publishers_not_keys(works: Works) -> None:
    second, third = new_key(), new_key()
    data = works.pack("1.4.0", works.key, second, kind="update")
    both = (publisher(works.key), publisher(second))  # two keys of one publisher
    others = (publisher(works.key), publisher(second, "The works itself"))
    package = Package.open(io.BytesIO(data))
    two = ((Kind.UPDATE, 2),)
    package.verify(Publishers(both), TODAY)
    with pytest.raises(DataError, match="1 of 2"):
        package.verify(Publishers(both, threshold=two), TODAY)
    assert len(package.verify(Publishers(others, threshold=two), TODAY).signers) == 2
    with pytest.raises(DataError, match="1 of 2"):
        package.verify(Publishers((publisher(works.key), publisher(third, "Other")), threshold=two), TODAY)


@SIGNED
def test_a_key_is_replaced_by_signing_with_both_for_a_while(works: Works) -> None:
    target = works.folder / "made.hrpkg"
    target.write_bytes(works.pack())
    new = new_key()
    countersign(target, target, new)
    data = target.read_bytes()
    works.verified(data)  # a home that knows the old key only
    file = io.BytesIO(data)
    Package.open(file).verify(Publishers((publisher(new),)), TODAY).check(file)
    revoked = Publishers((publisher(works.key), publisher(new)), ((works.key.key_id, "retired"),))
    assert [s.key for s in Package.open(file).verify(revoked, TODAY).signers] == [new.public]


@SIGNED
def test_a_wrong_signature_of_a_trusted_key_is_an_alteration_whoever_else_signed(works: Works) -> None:
    second = new_key()
    data = works.pack("1.4.0", works.key, second)
    package = Package.open(io.BytesIO(data))
    swapped = dict(zip(package.signatures, reversed(package.signatures.values()), strict=True))
    trusted = Publishers((publisher(works.key), publisher(second, "Other")))
    with pytest.raises(DataError, match="altered"):
        trusted.judge(package.claims, package.manifest, swapped, TODAY)


@SIGNED
def test_a_signature_of_something_else_by_the_same_key_is_none_of_a_package(works: Works) -> None:
    package = Package.open(io.BytesIO(works.pack()))
    raw = load_pem_private_key(works.key.pem(None), None)
    assert isinstance(raw, Ed25519PrivateKey)
    bare = raw.sign(package.manifest)  # without the words that say what is signed
    with pytest.raises(DataError, match="altered"):
        works.publishers.judge(package.claims, package.manifest, {works.key.key_id: bare}, TODAY)


def test_what_is_too_old_to_be_installed_says_so(works: Works) -> None:
    package = Package.open(io.BytesIO(works.pack(more="expires = 2027-01-01\n")))
    package.verify(works.publishers, datetime.date(2027, 1, 1))
    with pytest.raises(DataError, match="not to be installed after 2027-01-01"):
        package.verify(works.publishers, datetime.date(2027, 1, 2))


# ---- hostile zip files -------------------------------------------------------------------------------------------


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED, mode: int = 0o100644) -> bytes:
    """As our builder would write it, but with whatever names and contents."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr, info.compress_type = 3, mode << 16, method
            file.writestr(info, content)
    return out.getvalue()


def entries(data: bytes, limits: Limits | None = None) -> tuple[container.Entry, ...]:
    return container.read_entries(io.BytesIO(data), limits or Limits())


def test_the_hostile_zips_of_these_tests_are_otherwise_well_formed() -> None:
    assert [entry.name for entry in entries(zipped(("a", b"1"), ("b/c", b"2")))] == ["a", "b/c"]


@HOSTILE
@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd", "../x", "a/../../x", "a/./b", "a//b", "a/", "C:/x", "C:x", "\\\\host\\x", "a\\..\\x", "~/x",
        ".x",         "a/.git", "nul", "COM1.txt", "a/con.py", "x.", "a./b", "x ", " x", "a\nb", "a\x1b[2Jb", "ａ", "é",
        "a:stream",         "/".join("a" * 13), "a" * 201, "",
    ],
)  # fmt: skip
def test_no_name_leads_out_of_the_folder_or_means_two_things(name: str) -> None:
    with pytest.raises(DataError):
        container.check_name(name.encode(), Limits())
    with pytest.raises(DataError):
        entries(zipped((name or "/", b"1")))


@HOSTILE
def test_no_two_names_are_one_on_some_file_system() -> None:
    for members in (("a", "a"), ("a", "A"), ("a", "a/b"), ("a/b", "A"), ("a/b", "A/c")):
        with pytest.warns(UserWarning) if members[0] == members[1] else _nothing(), pytest.raises(DataError):
            entries(zipped(*((name, b"1") for name in members)))


@HOSTILE
@pytest.mark.parametrize("mode", [0o120777, 0o060644, 0o010644, 0o104755, 0o040755])
def test_links_devices_pipes_and_set_uid_are_refused(mode: int) -> None:
    with pytest.raises(DataError, match="not a plain file"):
        entries(zipped(("a", b"/etc/passwd"), mode=mode))


@HOSTILE
def test_a_bomb_of_one_entry_is_refused_before_a_byte_of_it_is_inflated() -> None:
    bomb = zipped(("a", bytes(64 << 20)))
    assert len(bomb) < 100_000
    with pytest.raises(DataError, match="more than 100 times"):
        entries(bomb)
    with pytest.raises(DataError, match="are allowed"):
        entries(bomb, Limits(file_bytes=1 << 20))
    with pytest.raises(DataError, match="unpacks to"):
        entries(zipped(*((f"f{n}", random.Random(n).randbytes(9)) for n in range(5))), Limits(total_bytes=44))


@HOSTILE
def test_a_bomb_that_lies_about_its_size_is_cut_off_where_it_lied(works: Works) -> None:
    """The header says 1,000 bytes; the stream holds 64 MiB."""
    packed = zlib.compress(bytes(64 << 20), 9)[2:-4]
    entry = container.Entry("files/a", container.DEFLATED, 0, len(packed), 1000, 0)
    listed = manifest.PackedFile("a", 1000, "0" * 64, hashlib.sha256(packed).hexdigest())
    with pytest.raises(DataError, match="longer than"):
        for _ in reading.content(io.BytesIO(packed), entry, listed):
            pytest.fail("nothing of it may come out")


@HOSTILE
def test_entries_that_share_their_bytes_are_refused() -> None:
    """The quoted bomb: many directory entries over one kernel of packed bytes."""
    data = zipped(("kernel", random.Random(0).randbytes(500)))
    at = data.index(b"PK\x01\x02")
    central = data[at : data.index(b"PK\x05\x06")]
    for count in (2, 50):
        copies = b"".join(central[:46] + f"kern{n:02}".encode() for n in range(count))
        end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count, count, len(copies), at, 0)
        with pytest.raises(DataError):
            entries(data[:at] + copies + end)
    # the local header of the second lies within the packed bytes of the first
    inner = zipped(("b", b"2"), method=zipfile.ZIP_STORED)[:32]
    outer = zipped(("a", inner), method=zipfile.ZIP_STORED)
    at = outer.index(b"PK\x01\x02")
    one = outer[at : outer.index(b"PK\x05\x06")]
    numbers = (788, 20, 0, 0, 0, 33, zlib.crc32(b"2"), 1, 1, 1, 0, 0, 0, 0, 0o100644 << 16, 31)
    two = container.CENTRAL.pack(b"PK\x01\x02", *numbers) + b"b"
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 2, 2, len(one + two), at, 0)
    with pytest.raises(DataError, match="overlap"):
        entries(outer[:at] + one + two + end)


@HOSTILE
def test_a_zip_that_contains_itself_is_a_file_like_any_other() -> None:
    """A quine bombs whoever unpacks what is packed in what is packed. Nothing here opens the files of a package."""
    inner = zipped(("r/r.zip", random.Random(1).randbytes(300)), method=zipfile.ZIP_STORED)
    assert [entry.bytes for entry in entries(zipped(("r/r.zip", inner), method=zipfile.ZIP_STORED))] == [len(inner)]
    for prefix in (b"#!/bin/sh\n", inner):  # a second beginning, which readers that search from the end do not see
        with pytest.raises(DataError):
            entries(prefix + inner)


@HOSTILE
def test_no_byte_lies_outside_the_entries() -> None:
    """Before the directory, or behind its last record: what a checker skips, another reader may take."""
    data = zipped(("a", b"1"))
    at, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    for before, behind in ((b"hidden", b""), (b"", b"hidden")):
        record = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, end - at + len(behind), at + len(before), 0)
        with pytest.raises(DataError, match="belong to no entry"):
            entries(data[:at] + before + data[at:end] + behind + record)


@HOSTILE
def test_headers_that_contradict_the_directory_are_refused() -> None:
    data = zipped(("a", b"same"), method=zipfile.ZIP_STORED)
    for at in range(container.LOCAL.size + 1):
        altered = bytearray(data)
        altered[at] ^= 1
        with pytest.raises(DataError):
            entries(bytes(altered))


@HOSTILE
def test_counts_and_sizes_are_bounded() -> None:
    many = zipped(*((f"f{n}", b"") for n in range(13)))
    with pytest.raises(DataError, match="13 entries"):
        entries(many, Limits(files=10))
    with pytest.raises(DataError, match="are allowed"):
        entries(many, Limits(package_bytes=100))
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 4000, 4000, 0xFFFFFFF0, 0, 0)
    with pytest.raises(DataError, match="not where"):
        entries(end)


@HOSTILE
@pytest.mark.parametrize(
    "text",
    [
        "format = 2", "[needs]", "a.b = 1", "a = {b = 1}", "needs = [[[]]]", "needs = [" + "[" * 9000, 'title = """x',
        "x" * 20_000,         "title = 'x'", 'title = "\\u0041"', "size = -1", "created = 2026-11-26",
        'title = "\x1b[2J"', 'title = "\x9b2J"', "# no",
    ],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_a_manifest_has_one_form(works: Works, text: str) -> None:
    good = Package.open(io.BytesIO(works.pack())).manifest.decode()
    with pytest.raises(DataError):
        manifest.decode((text + "\n" + good).encode())


def test_a_manifest_goes_round(works: Works) -> None:
    data = Package.open(io.BytesIO(works.pack())).manifest
    assert manifest.encode(manifest.decode(data)) == data


# ---- arbitrary bytes ---------------------------------------------------------------------------------------------


@HOSTILE
@given(st.binary(max_size=400))
@settings(max_examples=examples(300), deadline=None)
def test_arbitrary_bytes_raise_only_data_errors(data: bytes) -> None:
    for read in (
        lambda: Package.open(io.BytesIO(data)),
        lambda: manifest.decode(data),
        lambda: keys.decode_signatures(data),
    ):
        try:
            read()
        except DataError:
            pass


SAMPLE: list[bytes] = []


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Flips, cuts, repetitions, and numbers at the limits of their fields."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(out) + 1)
        match chance.randrange(5):
            case 0 if at < len(out):
                out[at] ^= 1 << chance.randrange(8)
            case 1:
                del out[at : at + chance.randint(1, 60)]
            case 2:
                out[at:at] = out[at // 2 : at // 2 + chance.randint(1, 60)]
            case 3:
                out[at : at + 4] = chance.choice([0, 1, 0xFFFF, 0xFFFFFFFF, len(out)]).to_bytes(4, "little")
            case 4:
                out[at:at] = chance.choice([b"PK\x01\x02", b"PK\x05\x06", b"PK\x03\x04", b"../", b"\n", b'"', b"[["])
    return bytes(out)


def hammer(works: Works, data: bytes, seed: int, count: int) -> int:
    """How many mutations were refused; any other exception is a failure that names its seed."""
    refused = 0
    for number in range(seed, seed + count):
        mutated = mutate(data, random.Random(number))
        if mutated == data:
            continue
        try:
            works.verified(mutated)
        except DataError:
            refused += 1
        except Exception as error:
            pytest.fail(f"seed {number}: {type(error).__name__}: {error}")
        else:
            pytest.fail(f"seed {number}: an altered package was taken")
    return refused


@SIGNED
@HOSTILE
def test_mutations_of_a_good_package_are_refused(works: Works) -> None:
    assert hammer(works, works.pack(), 0, 3000) > 2900


@HOSTILE
@pytest.mark.soak
def test_a_million_mutations_are_refused(works: Works) -> None:
    seed = time.time_ns()
    assert hammer(works, works.pack(), seed, 1_000_000) > 900_000


def test_what_cannot_be_packed_is_told_to_its_author(works: Works) -> None:
    for files, said in (({"a b.py": b""}, "a b.py"), ({"x/nul.txt": b""}, "device"), ({"ü.py": b""}, "ASCII")):
        with pytest.raises(ConfigError, match=said):
            works.pack(files=files)
    folder = works.source()
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(ConfigError, match="is a link"):
        build(folder, works.folder / "x.hrpkg", (works.key,), TODAY)
    with pytest.raises(ConfigError, match="did you mean version"):
        works.pack(more='versoin = "2"\n')
    assert not list(works.folder.glob("*.partial"))


class _nothing:  # noqa: N801
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...
