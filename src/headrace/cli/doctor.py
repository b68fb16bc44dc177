"""`headrace doctor`: is this installation sound, and if not, what to do."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import typer

from headrace import __version__
from headrace.cli.client import DEFAULT_HOME, HomeOption, JsonOption, connect, running
from headrace.cli.doctor_audit import audit_findings
from headrace.cli.doctor_fleet import certificate_findings, device_certificate_findings, fleet_findings
from headrace.cli.doctor_security import security_findings
from headrace.cli.finding import Finding
from headrace.cli.output import print_json, say
from headrace.model.errors import HeadraceError

DISK_FREE_MIN_GB = 2.0
SYNC_SLOW_MS = 50.0
DEFAULT_PORT = 8470


def doctor(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Check this installation, its data folder and the running platform. Exit status 1 if something fails."""
    findings: list[Finding] = []
    for check in CHECKS:
        try:
            findings.append(check(home))
        except Exception as error:  # a doctor must not die of the disease
            findings.append(Finding(check.__name__.strip("_"), "fail", str(error), "please report this"))
    findings.extend(_connections(home))
    failed = any(finding.level == "fail" for finding in findings)
    if as_json:
        print_json({"ok": not failed, "findings": [asdict(finding) for finding in findings]})
    else:
        marks = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}
        for finding in findings:
            mark, colour = marks[finding.level]
            say(f"{mark} ", fg=colour, nl=False)
            say(f"{finding.check:<18} {finding.found}")
            if finding.advice:
                say(f"{'':<21}→ {finding.advice}")
    if failed:
        raise typer.Exit(1)


def _python(_home: Path) -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding("Python", "ok", f"{version}, Headrace {__version__}")


def _packages(_home: Path) -> Finding:
    missing = []
    for requirement in metadata.requires("headrace") or ():
        if "extra ==" in requirement or "sys_platform" in requirement:
            continue
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]  # PEP 508: the name ends where anything else begins
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding(
            "packages", "fail", f"missing: {', '.join(missing)}", "run `make setup`, or pip install headrace"
        )
    for module in ("numpy", "zstandard", "cryptography"):
        importlib.import_module(module)
    return Finding("packages", "ok", "all installed and loadable")


def _sqlite(_home: Path) -> Finding:
    if sqlite3.sqlite_version_info < (3, 35):
        return Finding("SQLite", "fail", sqlite3.sqlite_version, "3.35 or newer is needed: use a newer Python")
    return Finding("SQLite", "ok", sqlite3.sqlite_version)


def _console(_home: Path) -> Finding:
    import headrace

    index = Path(headrace.__file__).parent / "api" / "console" / "index.html"
    if not index.exists():
        return Finding("console", "warn", "not built", "run `make demo` once; it builds the console")
    return Finding("console", "ok", "built")


def _folder(home: Path) -> Finding:
    if home.exists() and not home.is_dir():
        return Finding("data folder", "fail", f"{home} is no folder", "name another one with --home")
    place = home if home.exists() else home.absolute().parent
    if not os.access(place, os.W_OK):
        return Finding("data folder", "fail", f"{home} cannot be written", "name another folder with --home")
    free_gb = shutil.disk_usage(place).free / 1e9
    if free_gb < DISK_FREE_MIN_GB:
        return Finding("data folder", "fail", f"{home}: {free_gb:.1f} GB free", "make room or move it with --home")
    if home.exists() and (home.stat().st_mode & 0o077):
        return Finding("data folder", "warn", f"{home} is open to other accounts", f"chmod 700 {home}")
    return Finding("data folder", "ok", f"{home}: {free_gb:.0f} GB free")


def _sync(home: Path) -> Finding:
    place = home if home.is_dir() else home.absolute().parent
    probe = place / f".headrace-sync-{os.getpid()}"
    took_ms = []
    try:
        with probe.open("wb") as file:
            for _ in range(8):
                file.write(b"x" * 4096)
                file.flush()
                began_s = time.perf_counter()
                os.fdatasync(file.fileno())
                took_ms.append((time.perf_counter() - began_s) * 1000)
    finally:
        probe.unlink(missing_ok=True)
    median_ms = sorted(took_ms)[len(took_ms) // 2]
    if median_ms > SYNC_SLOW_MS:
        return Finding("disk sync", "warn", f"{median_ms:.0f} ms", "slow storage: history commits will lag; use an SSD")
    return Finding("disk sync", "ok", f"{median_ms:.1f} ms")


def _clock(_home: Path) -> Finding:
    if time.time() < 1_700_000_000:
        return Finding("clock", "fail", time.ctime(), "the clock is wrong: set it (timedatectl set-ntp true)")
    return Finding("clock", "ok", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))


def _port(home: Path) -> Finding:
    if running(home) or running(home / "demo"):
        return Finding("port", "ok", "in use by the running platform")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", DEFAULT_PORT))
        except OSError:
            return Finding(
                "port", "warn", f"{DEFAULT_PORT} is taken by another program", "start with --port 0 or another"
            )
    return Finding("port", "ok", f"{DEFAULT_PORT} is free")


CHECKS: tuple[Callable[[Path], Finding], ...] = (
    _python,
    _packages,
    _sqlite,
    _console,
    _folder,
    _sync,
    _clock,
    _port,
)


def _connections(home: Path) -> list[Finding]:
    """What the running platform says of itself, if one runs."""
    if running(home) is None and running(home / "demo") is None:
        return [Finding("platform", "ok", "not running")]
    try:
        client = connect(home, None)
        system, links, outlets = client.get("/system"), client.get("/connections"), client.get("/outlets")
    except HeadraceError as error:
        return [Finding("platform", "fail", "runs, but does not answer", str(error))]
    findings = [
        Finding(
            "platform", "ok", f"up {system['uptime_s']:.0f} s, {system['process']['rss_mb']:.0f} MB at {client.url}"
        )
    ]
    dropped = {name: queue["dropped"] for name, queue in system["queues"].items() if queue["dropped"]}
    if dropped:
        findings.append(
            Finding("queues", "warn", f"dropped: {dropped}", "a reader is too slow: see System in the console")
        )
    if (disk := system["history"].get("disk")) is not None:
        findings.append(_history_disk(disk))
    findings += fleet_findings(client.get("/devices", limit=1), client.get("/device-refusals"), client.get("/edges"))
    findings += certificate_findings(client.get("/certificates"))
    findings += device_certificate_findings(client.get("/device-certificates"))
    findings += audit_findings(client.get("/audit/state"))
    findings += security_findings(client.get("/system/security"))
    for link in links:
        if link["state"] in ("connected", "disabled"):
            findings.append(Finding(link["name"], "ok", f"{link['state']}, {link['points']} points"))
        else:
            findings.append(Finding(link["name"], "warn", link["state"], link["error"]))
    return findings + [_outlet(one) for one in outlets]


def _outlet(outlet: Mapping[str, Any]) -> Finding:
    counters, name = outlet["counters"], f"outlet {outlet['name']}"
    if outlet["state"] not in ("connected", "disabled"):
        return Finding(name, "warn", f"{outlet['state']}, {counters['waiting']} samples wait", outlet["error"])
    lost = {what: counters[what] for what in ("dropped", "dropped_events", "given_up") if counters[what]}
    if lost:
        return Finding(name, "warn", f"{outlet['state']}; {lost}", "the other side is too slow, or refuses: see System")
    return Finding(name, "ok", f"{outlet['state']}, {outlet['points']} points")


def _history_disk(disk: Mapping[str, Any]) -> Finding:
    free = f"{disk['free_bytes'] / 1e9:.1f} GB free"
    if disk["full_in_s"] is not None:
        free += f", full in {disk['full_in_s'] / 86_400:.1f} days at the present rate"
    level = {"enough": "ok", "low": "warn", "full": "fail"}[disk["state"]]
    return Finding("history disk", level, free, "" if level == "ok" else "make room, or declare a shorter retention")
