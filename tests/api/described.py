"""The description of the API, made once: it takes a second or two, and several files go through its operations."""

from functools import cache
from typing import Any

from headrace.api.app import bare_app
from headrace.api.description import document


@cache
def described() -> dict[str, Any]:
    """OpenAPI of all routes; look, and leave it as it is."""
    return document(bare_app())
