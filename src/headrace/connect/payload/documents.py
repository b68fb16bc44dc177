"""Bytes to one JSON document, or a refusal that says what is wrong and what to send instead.

Each message is parsed by itself: joining two devices' messages into one parse would save a little time and let one
hostile message eat its neighbour. Source: RFC 8259; whole numbers up to 2^64−1 are exact, larger ones become floats.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from headrace.model.errors import DataError


def parse(payload: bytes) -> Any:
    """Raises: DataError, without the name of who sent it."""
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise DataError(_reason(payload, error)) from None
    # A name cannot come without its colon: as many colons as names leave no room for a name that came twice.
    colons = payload.count(b":")
    if colons and not (type(document) is dict and len(document) == colons) and _may_repeat(payload, document, colons):
        _refuse_repeated(payload)
    return document


def _reason(payload: bytes, error: orjson.JSONDecodeError) -> str:
    if not payload:
        return "the message is empty"
    if b"NaN" in payload or b"Infinity" in payload:
        return "NaN and Infinity are no JSON (RFC 8259 §6): send null where there is no value"
    if "depth" in str(error) or "ecursion" in str(error):
        return "it is nested too deeply"
    return f"it is no JSON: {error.msg} at byte {error.pos}"


def _may_repeat(payload: bytes, document: Any, colons: int) -> bool:
    """Whether colons are left over once those of names and texts are taken off; escapes may hide some."""
    names = texts = 0
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if type(value) is dict:
            names += len(value)
            waiting.extend(value.values())
            texts += sum(name.count(":") for name in value) if colons > names else 0
        elif type(value) is list:
            waiting.extend(value)
        elif type(value) is str:
            texts += value.count(":")
    return names + texts != colons or (texts > 0 and b"\\" in payload)


def _refuse_repeated(payload: bytes) -> None:
    def pairs(found: list[tuple[str, Any]]) -> None:
        seen = set()
        for name, _ in found:
            if name in seen:
                raise DataError(f"'{name[:80]}' comes twice in one object: nobody can know which is meant")
            seen.add(name)

    try:
        json.loads(payload, object_pairs_hook=pairs)
    except RecursionError:
        raise DataError("it is nested too deeply") from None
    except ValueError:  # orjson has read it: whatever this reader minds is no repeated name
        return
