"""The description in the repository is the API's: the console's client is generated from it."""

import json
from pathlib import Path

from headrace.api.openapi import openapi_text
from headrace.api.rights import RIGHTS

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"


def test_the_repository_holds_the_current_description() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == openapi_text(), (
        "the API changed: run `python -m headrace.api.openapi > docs/openapi.json` and the console's client generator"
    )


def test_every_operation_is_documented_for_a_generated_client() -> None:
    operations = [
        (path, method, operation)
        for path, methods in json.loads(openapi_text())["paths"].items()
        for method, operation in methods.items()
    ]
    names = [operation["operationId"] for _, _, operation in operations]
    assert sorted(names) == sorted(RIGHTS), "rights.py and the routes differ"
    for path, method, operation in operations:
        assert operation["summary"] and operation["tags"], (path, method)
        assert operation["operationId"].isidentifier(), (path, method)
        assert "default" in operation["responses"], (path, method)


def test_the_live_feed_messages_are_described() -> None:
    schemas = json.loads(openapi_text())["components"]["schemas"]
    assert {"LiveSubscribe", "LivePoints", "LiveChanges", "LiveAlarms", "LiveError", "LiveSignIn"} <= set(schemas)
