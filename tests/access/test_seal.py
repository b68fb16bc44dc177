"""Sealing: what was sealed opens, in its own place and untouched; everything else is refused."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.access.seal import Keyring, as_line, key_file, new_key, open_keyring, read_lines, save_keys
from headrace.model.errors import ConfigError, DataError
from headrace.sdk.secret_files import SecretFiles, is_sealed

FIRST, SECOND = b"1" * 32, b"2" * 32


@given(st.binary(max_size=4096), st.text(max_size=60).filter(lambda text: text.isprintable()))
def test_what_was_sealed_opens(secret: bytes, context: str) -> None:
    ring = Keyring([FIRST])
    sealed = ring.seal(secret, context)
    assert ring.open(sealed, context) == secret
    assert len(secret) < 8 or secret not in sealed


@pytest.mark.clause("62443-3-3 SR 4.1", "62443-3-3 SR 4.3", "GB/T 22239-2019 8.1.4.8")
def test_the_same_secret_is_sealed_differently_each_time() -> None:
    ring = Keyring([FIRST])
    assert ring.seal(b"secret", "a") != ring.seal(b"secret", "a")


@pytest.mark.clause("62443-3-3 SR 3.4", "GB/T 22239-2019 8.1.4.7")
def test_every_flipped_bit_and_every_cut_is_refused() -> None:
    ring = Keyring([FIRST])
    sealed = ring.seal(b"a private key", "file:fleet/authority.key")
    for bit in range(len(sealed) * 8):
        altered = bytearray(sealed)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DataError):
            ring.open(bytes(altered), "file:fleet/authority.key")
    for length in range(len(sealed)):
        with pytest.raises(DataError):
            ring.open(sealed[:length], "file:fleet/authority.key")


@given(st.binary(max_size=200))
def test_bytes_from_outside_are_data_errors(data: bytes) -> None:
    with pytest.raises(DataError):
        Keyring([FIRST]).open(b"HRS1" + data, "a")
    with pytest.raises(DataError):
        Keyring([FIRST]).open(data, "a")


def test_a_sealed_secret_opens_in_its_own_context_alone() -> None:
    ring = Keyring([FIRST])
    with pytest.raises(DataError, match="another place"):
        ring.open(ring.seal(b"seed", "totp:anna"), "totp:ben")


@pytest.mark.clause("62443-3-3 SR 4.3")
def test_the_newest_key_seals_and_older_ones_open() -> None:
    old, both, new = Keyring([FIRST]), Keyring([FIRST, SECOND]), Keyring([SECOND])
    before = old.seal(b"seed", "a")
    assert both.open(before, "a") == b"seed" and not both.is_newest(before)
    assert new.open(both.seal(b"seed", "a"), "a") == b"seed"
    with pytest.raises(DataError, match="which is not here"):
        new.open(before, "a")


@pytest.mark.clause("62443-3-3 SR 1.5", "62443-4-2 CR 1.9")
def test_the_first_start_makes_a_key_that_is_its_owners_alone(tmp_path: Path) -> None:
    ring = open_keyring(tmp_path)
    file = key_file(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert open_keyring(tmp_path).open(ring.seal(b"x", "a"), "a") == b"x"
    assert [path.name for path in file.parent.iterdir()] == ["seal.key"]


def test_a_lost_key_is_an_error_never_a_new_key(tmp_path: Path) -> None:
    open_keyring(tmp_path)
    key_file(tmp_path).unlink()
    with pytest.raises(ConfigError, match="restore"):
        open_keyring(tmp_path)
    assert not key_file(tmp_path).exists()


def test_a_wrong_or_damaged_key_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_keyring(tmp_path)
    save_keys(key_file(tmp_path), [new_key()])
    with pytest.raises(ConfigError, match="not those that sealed"):
        open_keyring(tmp_path)
    key_file(tmp_path).write_text("no key")
    with pytest.raises(ConfigError, match="line 1"):
        open_keyring(tmp_path)
    for reference in ("", "env:NOT_THERE", "file:/nowhere/at/all", "vault"):
        with pytest.raises(ConfigError):
            open_keyring(tmp_path, reference or "env:")


def test_a_key_from_elsewhere_leaves_none_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAL", f"# of the vault\n{as_line(FIRST)}\n{as_line(SECOND)} # since May\n")
    assert open_keyring(tmp_path, "env:SEAL").keys == (FIRST, SECOND)
    assert not (tmp_path / "keys").exists()
    with pytest.raises(ConfigError):  # the home was sealed by a key that it does not have
        open_keyring(tmp_path)


@given(st.text(max_size=300))
def test_any_text_is_keys_or_a_config_error_that_does_not_repeat_it(text: str) -> None:
    try:
        assert all(len(key) == 32 for key in read_lines(text, "'x'"))
    except ConfigError as error:
        assert len(text.strip()) < 20 or text.strip() not in str(error)


# --- files --------------------------------------------------------------------------------------------------------


@pytest.mark.clause("62443-3-3 SR 4.1", "62443-4-2 CR 1.9")
def test_a_private_key_is_sealed_on_disk_and_an_old_plain_one_is_read(tmp_path: Path) -> None:
    files, path = SecretFiles(Keyring([FIRST]), tmp_path), tmp_path / "fleet" / "authority.key"
    files.write(path, b"-----BEGIN PRIVATE KEY-----")
    assert is_sealed(path.read_bytes()) and b"PRIVATE" not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert files.read(path) == b"-----BEGIN PRIVATE KEY-----"
    path.write_bytes(b"-----BEGIN PRIVATE KEY----- of before")
    assert files.read(path) == b"-----BEGIN PRIVATE KEY----- of before"
    assert files.reseal(path) and is_sealed(path.read_bytes())


def test_a_sealed_file_in_the_place_of_another_does_not_open(tmp_path: Path) -> None:
    files = SecretFiles(Keyring([FIRST]), tmp_path)
    files.write(tmp_path / "a.key", b"-----BEGIN a")
    (tmp_path / "a.key").rename(tmp_path / "b.key")
    with pytest.raises(DataError):
        files.read(tmp_path / "b.key")
    with pytest.raises(DataError, match="no key"):
        SecretFiles().read(tmp_path / "b.key")
