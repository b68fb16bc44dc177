"""Declarations: what is accepted, and what an engineer is told when it is not."""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from headrace.connect import drivers
from headrace.connect.drivers.opcua.config import Address, NodeRef, Settings, parse_node
from headrace.model.errors import Refused
from headrace.sdk.references import References

URL = "opc.tcp://10.0.0.7:4840/"
FINGERPRINT = ":".join(["AB"] * 32)


def settings(**given: Any) -> Settings:
    return Settings.model_validate({"url": URL, **given})


def wrong(**given: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        settings(**given)
    return str(caught.value)


def test_the_default_is_secure_and_durations_are_text() -> None:
    made = settings(timeout="1.5s")
    assert (made.security, made.policy) == ("sign-and-encrypt", "Basic256Sha256")
    assert made.timeout_ns == 1_500_000_000


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"url": "http://host/"}, "write opc.tcp://host:4840/path"),
        ({"url": "opc.tcp://u:p@host/"}, "leave name and password out of the url"),
        ({"url": "opc.tcp://host:99999/"}, "no valid port"),
        ({"user": "op", "password": "hunter2"}, "a password is never written here"),
        ({"user": "op"}, "`user` and `password` go together"),
        ({"timeout": 5}, "write a number and a unit"),
        ({"timeout": "5 parsecs"}, "is not a duration"),
        ({"timeout": "1h"}, "100ms to 5m are possible"),
        ({"trusted": "AB:CD"}, "64 hexadecimal digits"),
        ({"policy": "Basic128Rsa15"}, "Basic256Sha256"),
        ({"sekurity": "none"}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_settings_are_explained(given: dict[str, Any], said: str) -> None:
    assert said in wrong(**given)


def test_a_password_never_shows_in_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "secret"
    secret.write_text("geheim\n", encoding="utf-8")
    monkeypatch.setenv("PLC_PASSWORD", "hunter2")
    read = References((tmp_path,)).read
    assert read("env:PLC_PASSWORD") == "hunter2"
    assert read(f"file:{secret}") == "geheim"
    for missing in ("env:NO_SUCH_VARIABLE", f"file:{tmp_path}/none"):
        with pytest.raises(Refused, match=r"cannot be read|not set"):
            read(missing)


def test_a_fingerprint_is_taken_in_any_common_spelling() -> None:
    assert settings(trusted="ab" * 32).trusted == settings(trusted=FINGERPRINT).trusted == FINGERPRINT


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("ns=2;s=Press3.OilTemperature", NodeRef(2, "s", "Press3.OilTemperature")),
        ("i=2258", NodeRef(0, "i", 2258)),
        ("nsu=urn:maker:machine;s=a;b=c", NodeRef("urn:maker:machine", "s", "a;b=c")),
        ("nsu=http://x/%3By%25;i=7", NodeRef("http://x/;y%", "i", 7)),
        ('ns=3;s="DB"."油温"[1]', NodeRef(3, "s", '"DB"."油温"[1]')),
        (
            "ns=1;g=09087e75-8e5e-499b-954f-f2a9603db28a",
            NodeRef(1, "g", uuid.UUID("09087e75-8e5e-499b-954f-f2a9603db28a")),
        ),
        ("ns=1;b=M/RbKBsRVkePCePcx24oRA==", NodeRef(1, "b", bytes.fromhex("33f45b281b1156478f09e3dcc76e2844"))),
    ],
)
def test_node_ids_are_parsed(text: str, ref: NodeRef) -> None:
    assert parse_node(text) == Address(node=text).ref == ref


@pytest.mark.parametrize(
    "text", ["", "Press3", "ns=2;Press3", "ns=99999;i=1", "i=-1", "i=4294967296", "g=12", "b=%", "ns=x;i=1"]
)
def test_wrong_node_ids_are_explained(text: str) -> None:
    with pytest.raises(ValidationError, match=r"write ns=2;s=Name|namespaces are 0 to 65535"):
        Address(node=text)


def test_the_driver_is_found_and_described_without_loading_asyncua() -> None:
    code = (
        "import sys\nfrom headrace.connect import drivers\nfound = drivers.load()['opcua']\n"
        "assert (found.name, found.title) == ('opcua', 'OPC UA')\nimport headrace.connect.drivers.opcua.driver\n"
        "assert 'asyncua' not in sys.modules and 'cryptography' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert done.returncode == 0, done.stderr


def test_the_sample_in_the_folder_is_valid() -> None:
    folder = Path(drivers.__file__).parent / "opcua"
    text = (folder / "sample.yaml").read_text("utf-8")
    declared = YAML(typ="safe").load(text)
    made = [Settings.model_validate(one["settings"]) for one in declared["connections"].values()]
    addresses = [Address.model_validate(one["address"]) for one in declared["points"].values()]
    assert len(made) == 2 and len(addresses) == 3
    assert text.strip() in (folder / "README.md").read_text("utf-8"), "the README shows another sample"
