"""Whose a path, a name and a topic are: the rules that keep the tenants of one hub apart, in one place for all rooms.

    path    acme/suzhou/press-3      its first segment is a root, and a root has one owner; `default` has the rest
    name    acme.press-plc-1         what stands before the first '.', where a tenant is called so; else `default`
    topic   acme/devices/press-3     its first level, where a tenant is called so; else `default`
            spBv1.0/acme.line-1/…    Sparkplug: its group, or the host of a STATE, like a name or a tenant itself

Names of connections, outlets, retention classes, ingest maps, channels, contacts, rosters, notifications, devices and
edges are one space on the hub. A tenant has
no dot in its name, so a name belongs to one tenant, and two tenants can never want the same one.
Source: IEC 62443-3-3 SR 5.1 (partitioning), SR 4.1 (confidentiality of what is another's); Sparkplug 3.0 §4 (topics).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from headrace.model.errors import DataError, NotFound
from headrace.sdk.access import DEFAULT_TENANT, Tenants

_LISTED_MAX: Final = 5
_WILD: Final = ("+", "#")
_SPARKPLUG: Final = "spBv1.0"


class OneTenant:
    """Implements `Tenants` for a plant that is nobody else's: all is `default`'s."""

    def names(self) -> Sequence[str]:
        return (DEFAULT_TENANT,)

    def roots(self, tenant: str) -> tuple[str, ...]:
        if tenant != DEFAULT_TENANT:
            raise NotFound(f"there is no tenant '{tenant[:80]}'")
        return ()

    def tenant_of(self, path: str) -> str:
        del path
        return DEFAULT_TENANT


ONE_TENANT: Final[Tenants] = OneTenant()


@dataclass(frozen=True, slots=True)
class OnHub:
    """Something of a tenant that would run on the hub itself and not on one of its edges.

    `kind` is `connection`, `outlet` or `channel`; `protocol` its driver, outlet protocol or kind of channel.
    """

    tenant: str
    kind: str
    name: str
    protocol: str
    settings: Mapping[str, Any]


HubPolicy = Callable[[OnHub], bool]
"""Whether it may: the platform's operator answers for where a hub may reach and what may listen there."""


def nothing_on_hub(asked: OnHub) -> bool:
    """The policy where nobody declared one: what is a tenant's runs on the tenant's edges."""
    del asked
    return False


def exists(tenants: Tenants, name: str) -> bool:
    try:
        tenants.roots(name)
    except NotFound:
        return False
    return True


def tenant_of_name(tenants: Tenants, name: str) -> str:
    """Whose a connection, outlet, class, map, device or edge of this name is."""
    head, dot, _ = name.partition(".")
    return head if dot and exists(tenants, head) else DEFAULT_TENANT


def topic_head(topic: str) -> str:
    """The word of a topic name or filter that says whose it is; `#` where the filter ends before it."""
    levels = topic.split("/")
    if levels[0] != _SPARKPLUG:
        return levels[0]
    at = 2 if levels[1:2] == ["STATE"] else 1
    return levels[at].partition(".")[0] if len(levels) > at else "#"


def tenant_of_event(tenants: Tenants, source: str, subject: str) -> str:
    """Whose an event is: those of connections and outlets are about a name, all others about a path. `source` ends with
    the room that tells, behind `edge/<name>/` where it told that on an edge."""
    if source.rpartition("/")[2] in ("connect", "outlet"):
        return tenant_of_name(tenants, subject)
    return tenants.tenant_of(subject)


class Ground:
    """What one tenant owns, as long as the set of tenants stays: asks once a root, so a plant of any size is cheap.

    The complaints name nobody else: whoever reads them learns what is theirs, not whose the rest is.
    """

    def __init__(self, tenants: Tenants, tenant: str = DEFAULT_TENANT) -> None:
        """Raises: NotFound."""
        self._tenants, self.tenant, self._roots = tenants, tenant, tenants.roots(tenant)
        self._mine: dict[str, bool] = {}

    @property
    def is_default(self) -> bool:
        return self.tenant == DEFAULT_TENANT

    def owns(self, path: str) -> bool:
        root = path.partition("/")[0]
        mine = self._mine.get(root)
        if mine is None:
            if len(self._mine) > 10_000:  # roots that somebody makes up
                self._mine.clear()
            mine = self._mine[root] = self._tenants.tenant_of(root) == self.tenant
        return mine

    def owns_name(self, name: str) -> bool:
        return tenant_of_name(self._tenants, name) == self.tenant

    def owns_topic(self, topic: str) -> bool:
        """A topic name or filter: all that it matches. A `default` filter that begins with a wildcard matches what is
        others' as soon as there are others."""
        head = topic_head(topic)
        if not self.is_default:
            return head == self.tenant and "/" in topic
        if head in _WILD:
            return len(self._tenants.names()) == 1
        return head == DEFAULT_TENANT or not exists(self._tenants, head)

    # --- what to say, or None where nothing is wrong -----------------------------------------------------------------

    def path_complaint(self, path: str) -> str | None:
        if self.owns(path):
            return None
        root = path.partition("/")[0][:80]
        if self.is_default:
            return f"'{root}' belongs to a tenant; what lies below it is declared by that tenant alone"
        shown = ", ".join(f"'{one}'" for one in self._roots[:_LISTED_MAX])
        more = f" and {len(self._roots) - _LISTED_MAX} more" if len(self._roots) > _LISTED_MAX else ""
        return f"'{root}' is not tenant '{self.tenant}''s; its paths begin with {shown}{more}"

    def name_complaint(self, kind: str, name: str) -> str | None:
        if self.owns_name(name):
            return None
        head, _, rest = name.partition(".")
        article = "an" if kind[0] in "aeiou" else "a"
        if self.is_default:
            return (
                f"{article} {kind} of the platform's own tenant cannot be named '{name[:80]}': names that begin with "
                f"'{head}.' are those of tenant '{head}'; choose another, such as '{head}-{rest[:60]}'"
            )
        return (
            f"{article} {kind} of tenant '{self.tenant}' is named '{self.tenant}.…'; write '{self.tenant}.{name[:80]}'"
        )

    def topic_complaint(self, topic: str) -> str | None:
        if self.owns_topic(topic):
            return None
        if not self.is_default:
            return (
                f"a device of tenant '{self.tenant}' has topics below '{self.tenant}/', or Sparkplug's of a group "
                f"'{self.tenant}' or '{self.tenant}.…'; '{topic[:80]}' is not one"
            )
        head = topic_head(topic)[:80]
        if head in _WILD:
            return f"'{topic[:80]}' would take in topics of tenants; begin it with a level that is no wildcard"
        return f"topics and groups of '{head}' are those of tenant '{head}'; choose others than '{topic[:80]}'"

    # --- the same, raised --------------------------------------------------------------------------------------------

    def check_path(self, path: str) -> str:
        """Raises: DataError."""
        return _checked(path, self.path_complaint(path))

    def check_name(self, kind: str, name: str) -> str:
        """Raises: DataError."""
        return _checked(name, self.name_complaint(kind, name))

    def check_topics(self, topics: Sequence[str]) -> Sequence[str]:
        """Raises: DataError."""
        for topic in topics:
            _checked(topic, self.topic_complaint(topic))
        return topics


def _checked(given: str, wrong: str | None) -> str:
    if wrong is not None:
        raise DataError(wrong)
    return given
