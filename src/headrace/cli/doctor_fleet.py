"""What the doctor sees of devices and edges."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from headrace.cli.finding import Finding
from headrace.model.time import DAY_NS, parse_time_ns

CERTIFICATE_ENDS_DAYS: Final = 30
_OWN_ENDS_DAYS: Final = 20  # they are renewed when 30 are left
SPOOL_FULL: Final = 0.8
BACKLOG_LONG_S: Final = 60.0


def fleet_findings(
    devices: Mapping[str, Any], refusals: Sequence[Mapping[str, Any]], edges: Mapping[str, Any]
) -> list[Finding]:
    """From the answers of the API; nothing where there are neither devices nor edges."""
    return [*_devices(devices["counts"], refusals), *_edges(edges)]


def certificate_findings(certificates: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Those that somebody has to renew, a month before they end; our own, where they should have been renewed."""
    for one in certificates:
        days = _days_until(one["ends_at"])
        name, until = f"{one['kind']} certificate", f"until {one['ends_at'][:10]}"
        if days < 0:
            yield Finding(name, "fail", f"has ended {until[6:]}: nobody can connect", _renewal(one))
        elif days < (_OWN_ENDS_DAYS if one["own"] else CERTIFICATE_ENDS_DAYS):
            yield Finding(name, "warn", f"ends in {days:.0f} days", _renewal(one))
        else:
            yield Finding(name, "ok", until)


def device_certificate_findings(found: Mapping[str, Any]) -> Iterator[Finding]:
    """Which devices will be shut out soon, or are already."""
    counts = found["counts"]
    if counts["good"] or counts["ended"]:
        yield Finding("device certificates", "ok", f"{counts['good']} good, {counts['revoked']} revoked")
    for words, states in (("end within 30 days", ("in use",)), ("have ended", ("ended",))):
        names = [one["device"] for one in found["ending"] if one["state"] in states]
        if names:
            shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            yield Finding(
                "device certificates", "warn", f"{len(names)} {words}: {shown}",
                "headrace device certificate NAME, or let the device renew it; all: headrace device certificates",
            )  # fmt: skip


def _renewal(one: Mapping[str, Any]) -> str:
    if not one["own"]:
        return "renew the files of --tls-cert and --tls-key; they are taken without a restart"
    return "headrace ca renew" if one["kind"] == "console" else "headrace ca renew --authority"


def _devices(counts: Mapping[str, int], refusals: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    if sum(counts[state] for state in ("approved", "quarantined", "blocked")):
        found = f"{counts['approved']} approved, {counts['online']} online, {counts['blocked']} blocked"
        yield Finding("devices", "ok", found)
    if counts["quarantined"]:
        yield Finding(
            "quarantine", "warn", f"{counts['quarantined']} devices wait to be let in",
            "look at what they send: Devices in the console, or headrace device list --state quarantined",
        )  # fmt: skip
    if refusals:
        newest = refusals[0]
        more = f", and {len(refusals) - 1} others" if len(refusals) > 1 else ""
        yield Finding(
            "turned away", "warn",
            f"'{newest['login']}' from {newest['peer']}, {newest['count']} times: {newest['reason']}{more}",
            "add the device, or give it its secret anew (headrace device rotate); all: headrace device refused",
        )  # fmt: skip


def _edges(found: Mapping[str, Any]) -> Iterator[Finding]:
    for connection, edge in found["strangers"].items():
        yield Finding(
            connection, "warn", f"is declared to run on '{edge}', which nobody invited: it runs nowhere",
            f"headrace edges token {edge} --prefix …, or mend the declaration",
        )  # fmt: skip
    for edge in found["edges"]:
        problems = list(_problems(edge))
        for problem, advice in problems:
            yield Finding(f"edge {edge['name']}", "warn", problem, advice)
        if not problems:
            yield Finding(f"edge {edge['name']}", "ok", _well(edge))


def _problems(edge: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong, and what to do about it."""
    if edge["state"] == "invited":
        if edge["token_ends_at"] is None or _days_until(edge["token_ends_at"]) < 0:
            yield "was invited and never came; its token has expired", f"headrace edges token {edge['name']} …"
        return
    if edge["state"] == "revoked":
        return
    if not edge["connected"]:
        last = edge["last_contact_at"] or "never"
        yield f"is not connected; last contact {last}", "is the machine on, and can it reach this hub?"
    days = _days_until(edge["certificate_ends_at"]) if edge["certificate_ends_at"] else CERTIFICATE_ENDS_DAYS
    if days < CERTIFICATE_ENDS_DAYS:
        yield f"its certificate ends in {days:.0f} days", "it renews while connected; else enrol it with a new token"
    actual, link = edge["actual"], edge["link"]
    if actual is not None and actual["error"]:
        yield f"could not become revision {edge['desired']}: {actual['error']}", "mend the declarations, and apply"
    elif edge["connected"] and edge["desired"] and (actual is None or actual["revision"] != edge["desired"]):
        runs = "nothing yet" if actual is None else f"revision {actual['revision']}"
        yield f"should run revision {edge['desired']} and runs {runs}", "wait a moment; then look at its log"
    if edge["left_out"]:
        first = edge["left_out"][0]
        yield (
            f"{len(edge['left_out'])} points of its connections are left out, first '{first}'",
            f"they must stand below '{edge['prefix']}', or the edge be invited for more",
        )
    if link is None:
        return
    if (link["spool_used"] or 0) > SPOOL_FULL:
        yield f"its spool is {100 * link['spool_used']:.0f} % full", "make the link faster, or the spool larger"
    if (link["backlog_s"] or 0) > BACKLOG_LONG_S:
        yield f"{link['backlog_samples']} samples wait there, the oldest {link['backlog_s']:.0f} s", "look at its link"
    if link["dropped_samples"]:
        yield f"{link['dropped_samples']} samples were dropped by its policy", "a longer spool keeps more"


def _well(edge: Mapping[str, Any]) -> str:
    if edge["state"] != "enrolled":
        return str(edge["state"])
    latency = (edge["link"] or {}).get("latency_ms")
    return f"connected, {edge['points']} points" + ("" if latency is None else f", {latency:.0f} ms")


def _days_until(moment: str) -> float:
    return (parse_time_ns(moment) - time.time_ns()) / DAY_NS
