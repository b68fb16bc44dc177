"""State machines of declarations: a table of transitions, checked for states that nothing leads to or that lead nowhere
new. What conditions say is checked where names are known (`calculations.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.model.batch import ValueKind
from headrace.model.machines import Machine, Transition
from headrace.model.time import format_duration, parse_duration_ns
from headrace.registry.declared import Blame
from headrace.registry.problems import Problems


def machine_of(spec: Mapping[str, Any], kind: ValueKind, blame: Blame, problems: Problems) -> Machine | None:
    """The machine of a point; None where it has none, or something is wrong with it, which is told."""
    given = spec.get("machine")
    if (
        given is None
        or not {"initial", "transitions"} <= set(given)
        or not all("to" in one for one in given["transitions"])
    ):
        return None  # what is wrong there was told when it was read
    before = len(problems)
    if kind is not ValueKind.TEXT:
        problems.add(blame.at("machine", of_key=True), "the state of a machine is a text; write 'type: text'")
    if "expression" in spec:
        problems.add(blame.at("expression", of_key=True), "a point has an expression or a machine; take one out")
    made = Machine(
        given["initial"],
        tuple(
            Transition(
                one.get("from", ""),
                one["to"],
                one.get("when", ""),
                parse_duration_ns(one["for"]) if "for" in one else 0,
            )
            for one in given["transitions"]
        ),
    )
    for at, one in enumerate(made.transitions):
        where = ("machine", "transitions", at)
        if one.source == one.to:
            problems.add(blame.at(*where, "to"), f"'{one.to}' leads to itself; a machine is in it already")
        if not one.when and not one.dwell_ns:
            problems.add(blame.at(*where), f"'{one.text}' has no condition and no time; give 'when', 'for' or both")
    if not any(one.when for one in made.transitions):
        problems.add(blame.at("machine", "transitions"), "no transition has a 'when', so no sample ever moves it")
    reached = {made.initial}
    while more := {one.to for one in made.transitions if not one.source or one.source in reached} - reached:
        reached |= more
    for name in made.states:
        if name not in reached:
            problems.add(blame.at("machine", "transitions"), f"nothing leads to '{name}' from '{made.initial}'")
    return made if len(problems) == before else None


def machine_record(machine: Machine) -> dict[str, Any]:
    """In the words of a declaration."""
    return {
        "initial": machine.initial,
        "transitions": [
            {
                **({"from": one.source} if one.source else {}),
                "to": one.to,
                **({"when": one.when} if one.when else {}),
                **({"for": format_duration(one.dwell_ns)} if one.dwell_ns else {}),
            }
            for one in machine.transitions
        ],
    }
