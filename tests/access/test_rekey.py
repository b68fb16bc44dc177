"""A new key: everything is sealed with it, and nothing is lost on the way."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Column, LargeBinary, MetaData, String, Table, create_engine, insert, select
from tests.access.conftest import FakeClock
from tests.access.test_factors import HERE, pending, with_totp, with_user

from headrace.access import factor_tables
from headrace.access.desk import AccessDesk
from headrace.access.passwords import Hasher
from headrace.access.rekey import SealedColumn, rotate
from headrace.access.seal import Keyring, as_line, open_keyring
from headrace.access.tables import metadata
from headrace.model.errors import ConfigError, DataError, HeadraceError
from headrace.sdk.entry import Proof
from headrace.sdk.secret_files import SecretFiles, is_sealed

PEM = b"-----BEGIN PRIVATE KEY-----\nMC4\n-----END PRIVATE KEY-----\n"
TABLE = Table("seeds", MetaData(), Column("name", String, primary_key=True), Column("seed", LargeBinary))
COLUMN = SealedColumn(TABLE, "seed", lambda row: f"totp:{row.name}")


@pytest.mark.clause("62443-3-3 SR 4.3", "62443-4-2 CR 1.5")
def test_files_and_rows_are_sealed_with_the_new_key(tmp_path: Path) -> None:
    ring = open_keyring(tmp_path)
    secrets, key = SecretFiles(ring, tmp_path), tmp_path / "fleet" / "authority.key"
    secrets.write(key, PEM)
    plain = tmp_path / "connections" / "opcua" / "own" / "instance.pem"
    plain.parent.mkdir(parents=True)
    plain.write_bytes(PEM)
    (tmp_path / "fleet" / "authority.pem").write_bytes(b"-----BEGIN CERTIFICATE-----")
    engine = create_engine("sqlite://")
    TABLE.create(engine)
    with engine.begin() as connection:
        connection.execute(insert(TABLE).values(name="anna", seed=ring.seal(b"JBSW", "totp:anna")))
        connection.execute(insert(TABLE).values(name="ben", seed=None))
    old = Keyring(ring.keys)

    done = rotate(ring, tmp_path, engine, columns=[COLUMN], forget_old=True)

    assert (done.files, done.rows, done.keys) == (2, 1, 1)
    fresh = open_keyring(tmp_path)
    assert fresh.keys == ring.keys != old.keys
    assert SecretFiles(fresh, tmp_path).read(key) == PEM == SecretFiles(fresh, tmp_path).read(plain)
    assert is_sealed(plain.read_bytes()) and not is_sealed((tmp_path / "fleet" / "authority.pem").read_bytes())
    with engine.connect() as connection:
        seed = connection.execute(select(TABLE.c.seed).where(TABLE.c.name == "anna")).scalar_one()
    assert fresh.open(seed, "totp:anna") == b"JBSW"
    with pytest.raises(DataError):
        old.open(seed, "totp:anna")


def test_secrets_of_apps_go_with_the_new_key_and_what_apps_keep_stays_as_it_is(tmp_path: Path) -> None:
    ring = open_keyring(tmp_path)
    secrets = SecretFiles(ring, tmp_path)
    settings, signing = tmp_path / "apps/press-view/tenants/acme.secrets", tmp_path / "keys/apps.key"
    secrets.write(settings, b'{"key": "hush"}')
    secrets.write(signing, b"s" * 32)
    document = tmp_path / "apps/press-view/data/acme/documents/a"
    document.parent.mkdir(parents=True)
    document.write_bytes(PEM)

    assert rotate(ring, tmp_path, None, forget_old=True).files == 2
    fresh = SecretFiles(open_keyring(tmp_path), tmp_path)
    assert (fresh.read(settings), fresh.read(signing)) == (b'{"key": "hush"}', b"s" * 32)
    assert document.read_bytes() == PEM


def test_old_keys_stay_unless_they_are_to_be_forgotten(tmp_path: Path) -> None:
    ring = open_keyring(tmp_path)
    backup = ring.seal(b"of last week", "a")
    assert rotate(ring, tmp_path, None).keys == 2
    assert open_keyring(tmp_path).open(backup, "a") == b"of last week"


def test_what_does_not_open_keeps_every_key(tmp_path: Path) -> None:
    ring = open_keyring(tmp_path)
    SecretFiles(Keyring([b"?" * 32]), tmp_path).write(tmp_path / "fleet" / "x.key", PEM)
    with pytest.raises(ConfigError, match="no key was forgotten"):
        rotate(ring, tmp_path, None, forget_old=True)
    assert len(open_keyring(tmp_path).keys) == 2


def test_keys_from_a_vault_are_taken_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAL", as_line(b"1" * 32))
    SecretFiles(open_keyring(tmp_path, "env:SEAL"), tmp_path).write(tmp_path / "tls" / "ca.key", PEM)
    monkeypatch.setenv("SEAL", as_line(b"1" * 32) + "\n" + as_line(b"2" * 32))
    ring = open_keyring(tmp_path, "env:SEAL")
    assert rotate(ring, tmp_path, None, reference="env:SEAL").files == 1
    monkeypatch.setenv("SEAL", as_line(b"2" * 32))
    only = open_keyring(tmp_path, "env:SEAL")
    assert SecretFiles(only, tmp_path).read(tmp_path / "tls" / "ca.key") == PEM
    with pytest.raises(ConfigError):
        rotate(only, tmp_path, None, reference="env:SEAL", forget_old=True)


@pytest.mark.clause("62443-3-3 SR 4.3", "62443-3-3 SR 1.1 RE 2")
async def test_second_factors_go_with_the_new_key(tmp_path: Path) -> None:
    ring, clock = open_keyring(tmp_path), FakeClock()
    engine = create_engine(f"sqlite:///{tmp_path}/a.db")
    for tables in (metadata, factor_tables.metadata):
        tables.create_all(engine)
    desk = AccessDesk(engine, clock, hasher=Hasher(time_cost=1, memory_kib=8), sealer=ring)
    phones = {}
    for name in ("wang", "li"):
        phones[name], _ = await with_totp(desk, clock, await with_user(desk, name))
    before = Keyring(ring.keys)

    assert rotate(ring, tmp_path, engine, forget_old=True).rows == 2

    async def come_in(name: str, sealer: Keyring) -> str:
        """After a restart of the platform."""
        clock.seconds += 60
        again = AccessDesk(engine, clock, hasher=Hasher(time_cost=1, memory_kib=8), sealer=sealer)
        proof = Proof(code=phones[name].at(clock.seconds))
        _, user = await again.complete((await pending(again, name)).secret, proof, HERE)
        return user

    for name in ("wang", "li"):
        assert await come_in(name, open_keyring(tmp_path)) == name
    with pytest.raises(HeadraceError):
        await come_in("wang", before)
