"""Series that others name in their own way, and the points that they are: rules, the first that fits wins.

    cpu,host=h7,cpu=cpu-total usage_idle=93.1   ──rule {point: "acme/it/{host}/{measurement}.{field}"}──►
    acme/it/h7/cpu.usage_idle

Source of the words: InfluxDB line protocol (measurement, tag, field, bucket).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as member
from typing import Final

_PLACE = re.compile(r"\{([^{}]*)\}")
RESERVED: Final = ("measurement", "field")


@dataclass(frozen=True, slots=True)
class SeriesRule:
    """`point` is a path with `{measurement}`, `{field}` or the name of a tag in braces; the rest says what it fits."""

    point: str
    measurement: str | None = None
    field: str | None = None
    tags: Mapping[str, str] = member(default_factory=dict)

    @property
    def places(self) -> tuple[str, ...]:
        """Names in braces."""
        return tuple(_PLACE.findall(self.point))

    def fits(self, measurement: str, tags: Mapping[str, str], field: str) -> bool:
        return (
            self.measurement in (None, measurement)
            and self.field in (None, field)
            and all(tags.get(name) == value for name, value in self.tags.items())
            and all(name in tags for name in self.places if name not in RESERVED)
        )

    def path(self, measurement: str, tags: Mapping[str, str], field: str) -> str:
        """The path of a series that fits."""
        words = {**tags, "measurement": measurement, "field": field}
        return _PLACE.sub(lambda found: words[found.group(1)], self.point)


#: What everybody can use without declaring anything: the measurement is an asset, the field one of its points.
PLAIN_RULE: Final = SeriesRule("{measurement}/{field}")


@dataclass(frozen=True, slots=True)
class IngestMap:
    """`bucket` limits the rules to what is written to that bucket or database; `ignore_unknown` drops other series."""

    name: str
    rules: tuple[SeriesRule, ...]
    bucket: str | None = None
    ignore_unknown: bool = False
