"""One safe language over points: what calculated points, alarm rules, interlocks and the console are to share.

    mean(oil.temperature, 10min) - coolant.temperature > 15[K] and state == "running"

    compile(text, scope) ─► Program: kind, unit, inputs, how far it looks back, a tree with places     program.py
    evaluate(program, {name: Series}) ─► Series                over a whole stretch                    evaluator.py
    Evaluator(program, instances).take(…) ─► Samples           as samples come, many instances at once

Pure: no clock, no I/O, nothing of Python's `eval`. Why a language of our own: docs/decisions/0038-expressions.md.
"""

from headrace.model.expressions.evaluator import Evaluator, Samples, Series, evaluate
from headrace.model.expressions.functions import FUNCTIONS, Function
from headrace.model.expressions.problems import ExpressionError
from headrace.model.expressions.program import Program, compile, names_of
from headrace.model.expressions.scope import AssetScope, Scope, Variable
from headrace.model.expressions.tree import Node

__all__ = [
    "FUNCTIONS",
    "AssetScope",
    "Evaluator",
    "ExpressionError",
    "Function",
    "Node",
    "Program",
    "Samples",
    "Scope",
    "Series",
    "Variable",
    "compile",
    "evaluate",
    "names_of",
]
