"""Alarms from the command line: what stands, what people do about it, and how well the alarms themselves do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from headrace.cli.client import DEFAULT_HOME, HomeOption, JsonOption, ServerOption, connect
from headrace.cli.output import complain, note, print_json, print_table
from headrace.model.errors import DataError

app = typer.Typer(name="alarms", help="Alarms: what stands, what people do about it, figures.", no_args_is_help=True)

Rules = Annotated[list[str], typer.Argument(help="Alarms by name, `<point>:<rule>`; `headrace alarms list` has them.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; the next shift reads it, and the audit trail.")]
Comment = Annotated[str, typer.Option("--comment", "-c", help="What was seen or done; kept with the alarm.")]
Area = Annotated[str | None, typer.Argument(help="An asset with all below it; everything if none is named.")]


@app.command("list")
def list_alarms(
    area: Area = None,
    state: Annotated[str | None, typer.Option("--state", help="Only those in this state, such as shelved.")] = None,
    folded: Annotated[bool, typer.Option("--folded", help="Consequences as a number beside their cause.")] = False,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Alarms that are not normal, the worst first."""
    found = connect(home, server).get("/alarms", area=area, state=state, limit=10_000)
    if as_json:
        print_json(found)
        return
    if found["flood"]:
        note(f"a flood since {found['flood']['start']}: {found['flood']['annunciated']} alarms")
    rows = [
        (one["priority"], f"{one['state']}{', active' if one['active'] and one['shelved_until'] else ''}",
         one["raised_at"] or "", one["rule"], f"+{one['consequences']}" if one["consequences"] else "",
         one["quiet_reason"] or one["comment"] or one["message"].get("en", ""))
        for one in found["alarms"]
        if not folded or one["group"] == one["rule"]
    ]  # fmt: skip
    print_table(("priority", "state", "since", "alarm", "folded", "what"), rows, empty="no alarms")
    if found["next_cursor"]:
        note(f"{found['total'] - len(found['alarms'])} more are not shown; name an area")


@app.command("ack")
def acknowledge(
    rules: Rules,
    comment: Comment = "",
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Acknowledge alarms. Where a class asks for proof, a person does that in the console."""
    _do(home, server, as_json, "acknowledge", {"rules": rules, "comment": comment})


@app.command("reset")
def reset(
    rules: Rules,
    comment: Comment = "",
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Reset latched alarms whose condition is gone."""
    _do(home, server, as_json, "reset", {"rules": rules, "comment": comment})


@app.command("shelve")
def shelve(
    rules: Rules,
    reason: Reason,
    duration: Annotated[
        str | None, typer.Option("--for", help="How long, such as 2h; as its class allows if not said.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="At most until it next clears.")] = False,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make alarms quiet for a time."""
    _do(home, server, as_json, "shelve", {"rules": rules, "reason": reason, "duration": duration, "once": once})


@app.command("unshelve")
def unshelve(
    rules: Rules,
    comment: Comment = "",
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """End the shelving of alarms; those whose condition holds are told anew."""
    _do(home, server, as_json, "unshelve", {"rules": rules, "comment": comment})


@app.command("remove")
def remove(
    rules: Rules,
    reason: Reason,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take alarms out of service until somebody returns them."""
    _do(home, server, as_json, "out-of-service", {"rules": rules, "reason": reason})


@app.command("return")
def return_(
    rules: Rules,
    comment: Comment = "",
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Return alarms to service; those whose condition holds are told anew."""
    _do(home, server, as_json, "return", {"rules": rules, "comment": comment})


@app.command("kpis")
def kpis(
    area: Area = None,
    start: Annotated[str | None, typer.Option("--start", help="Such as now-30d; a day before the end if none.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="Now if none.")] = None,
    operators: Annotated[float, typer.Option("--operators", min=0.1, help="How many look after that area.")] = 1.0,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Figures of the alarm system after ISA-18.2 and EEMUA 191."""
    told = connect(home, server).get("/alarms/kpis", area=area, start=start, end=end, operators=operators)
    if as_json:
        print_json(told)
        return
    answered, hours = told["acknowledged"], told["covered_s"] / 3600
    shares = " ".join(f"{name} {one['share']:.0%}" for name, one in told["priorities"].items())
    rows = [
        ("annunciated", f"{told['annunciated']} in {hours:.1f} h"),
        ("an operator an hour", f"{told['per_operator_hour']:.1f}"),
        ("most in 10 min", str(told["peak_10min"])),
        ("floods", f"{len(told['floods'])}, {told['flood_share']:.1%} of the time"),
        ("priorities", shares),
        ("median time to acknowledge", "-" if answered["median_s"] is None else f"{answered['median_s']:.0f} s"),
        ("never acknowledged", str(told["never_acknowledged"])),
        ("chattering, fleeting, stale", f"{len(told['chattering'])}, {len(told['fleeting'])}, {len(told['stale'])}"),
        ("shelved, out of service now", f"{told['shelved_now']}, {told['out_of_service_now']}"),
        *((f"worst {at}", f"{one['rule']} ({one['count']})") for at, one in enumerate(told["top"], 1)),
    ]
    print_table(("figure", "value"), rows)


@app.command("export")
def export_alarms(
    output: Annotated[Path, typer.Argument(help="*.csv or *.xlsx to write.")], home: HomeOption = DEFAULT_HOME
) -> None:
    """Write every declared alarm to a spreadsheet, with why it is one: the master alarm database."""
    form = output.suffix.lstrip(".").lower()
    if form not in ("csv", "xlsx"):
        raise DataError(f"'{output.name}' should end in .csv or .xlsx")

    async def model() -> Any:
        from headrace.platform.offline import open_registry

        async with open_registry(home) as registry:
            return await registry.model()

    from headrace.registry.alarm_sheets import write_alarms

    rules = asyncio.run(model()).alarms
    output.write_bytes(write_alarms(rules.values(), form))
    note(f"{len(rules)} alarms written to {output}")


@app.command("import")
def import_alarms(
    sheet: Annotated[Path, typer.Argument(help="*.csv or *.xlsx, an alarm a row.", exists=True, dir_okay=False)],
    folder: Annotated[Path, typer.Option("--file", "-f", help="Folder of declarations to write it into.")],
    as_json: JsonOption = False,
) -> None:
    """Turn a spreadsheet into declarations; wrong rows are named and the good ones written. Then: headrace apply."""
    from headrace.registry.alarm_sheets import read_alarms

    read = read_alarms(sheet.read_bytes(), sheet.name)
    target = folder / read.file.name
    folder.mkdir(parents=True, exist_ok=True)
    if read.alarms:
        target.write_text(read.file.text, encoding="utf-8")
    if as_json:
        print_json({"file": str(target), "alarms": len(read.alarms), "errors": [str(error) for error in read.errors]})
    else:
        note(f"{len(read.alarms)} alarms written to {target} (read as {read.encoding})")
    for error in read.errors:
        complain(error)
    if read.errors:
        raise typer.Exit(1)


def _do(home: Any, server: str | None, as_json: bool, what: str, body: dict[str, Any]) -> None:
    made = connect(home, server).post(f"/alarms/{what}", body)
    if as_json:
        print_json(made)
        return
    rows = [(one["action"], one["state"], one["rule"]) for one in made["transitions"]]
    print_table(("done", "state", "alarm"), rows, empty="nothing to do: they are so already")
