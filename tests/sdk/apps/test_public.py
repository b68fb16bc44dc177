"""The SDK of apps is what others build on: what is pinned here changes with `SDK_VERSION`, and never in silence.

A name or a parameter more: the second number grows. One less, or another meaning: the first. Then
`python -m tests.sdk.apps.test_public` writes the new list.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
from pathlib import Path

import headrace.sdk.apps as sdk
from headrace.sdk.apps import context

PINNED = Path(__file__).with_name("public.txt")


def public() -> str:
    lines = [f"sdk {sdk.SDK_VERSION}"]
    protocols = {
        name: one for name, one in vars(context).items() if inspect.isclass(one) and one.__module__ == context.__name__
    }
    for name, one in sorted({**{name: getattr(sdk, name) for name in sdk.__all__}, **protocols}.items()):
        if inspect.isclass(one):
            lines += [f"{name}", *(f"    {line}" for line in _members(one))]
        elif callable(one):
            lines.append(f"{name}{inspect.signature(one)}")
    return "\n".join(lines) + "\n"


def _members(one: type) -> list[str]:
    if issubclass(one, enum.Enum):
        return [f"{member.name} = {member.value!r}" for member in one]
    found = []
    if dataclasses.is_dataclass(one):
        found = [f"{each.name}: {each.type}" for each in dataclasses.fields(one)]
    for name, member in vars(one).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            found.append(f"{name} -> {inspect.signature(member.fget).return_annotation}")  # type: ignore[arg-type]
        elif isinstance(member, classmethod):
            found.append(f"{name}{inspect.signature(member.__func__)}")
        elif inspect.isfunction(member):
            found.append(f"{name}{inspect.signature(member)}")
    return sorted(set(found))


def test_names_and_signatures_are_those_of_this_version() -> None:
    pinned = PINNED.read_text("utf-8")
    assert public() == pinned, (
        f"the SDK is not what {pinned.splitlines()[0]} was: think of who builds on it, let SDK_VERSION grow, and write "
        "the new list"
    )


if __name__ == "__main__":
    PINNED.write_text(public(), "utf-8")
