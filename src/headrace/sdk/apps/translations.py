"""The texts of an app, `locale/en.toml` and `locale/zh.toml`: `key = "text with {names}"`, tables joined by dots."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final

from headrace.model.errors import ConfigError

_NAME: Final = re.compile(r"\{([a-z_][a-z0-9_]{0,40})\}")


class Translations:
    """`texts` by language and key."""

    def __init__(self, texts: Mapping[str, Mapping[str, str]]) -> None:
        self._texts = texts

    @classmethod
    def read(cls, files: Mapping[str, str]) -> Translations:
        """Of each language, the text of its file. Raises: ConfigError."""
        found: dict[str, dict[str, str]] = {}
        for language, text in files.items():
            try:
                table = tomllib.loads(text)
            except tomllib.TOMLDecodeError as error:
                raise ConfigError(f"this is no TOML: {error}", file=f"locale/{language}.toml") from None
            found[language] = {}
            _flatten("", table, found[language], f"locale/{language}.toml")
        return cls(found)

    def say(self, key: str, language: str = "en", **values: Any) -> str:
        """What is not given for a name is left as it stands."""
        text = self._texts.get(language, {}).get(key) or self._texts.get("en", {}).get(key) or key
        return _NAME.sub(lambda found: str(values.get(found[1], found[0])), text)

    def missing(self) -> list[str]:
        """Keys that one language has and another lacks, as `zh: title`."""
        every = {key for texts in self._texts.values() for key in texts}
        return sorted(f"{language}: {key}" for language, texts in self._texts.items() for key in every - texts.keys())

    def of(self, language: str) -> Mapping[str, str]:
        """For pages."""
        return {**self._texts.get("en", {}), **self._texts.get(language, {})}


def _flatten(head: str, table: Mapping[str, Any], into: dict[str, str], file: str) -> None:
    for key, value in table.items():
        if isinstance(value, dict):
            _flatten(f"{head}{key}.", value, into, file)
        elif isinstance(value, str):
            into[head + key] = value
        else:
            raise ConfigError(f"'{head}{key}' is no text", file=file)
