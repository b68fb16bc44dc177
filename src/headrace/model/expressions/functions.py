"""Every function of the language, as a data sheet. The checker, the reference in docs/expressions.md and its
translation are made from it.

`takes`: number, bool, text, any (all of one kind), span (a duration), unit; a last one with … may be repeated.
`gives`: the rule that says what comes out (`rules.py`). `op`: what works it out; a window where there is a span.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Function:
    name: str
    takes: tuple[str, ...]
    gives: str
    group: str
    en: str
    zh: str
    example: str
    op: str = ""

    @property
    def window(self) -> bool:
        return "span" in self.takes

    @property
    def signature(self) -> str:
        shown = _SHOWN.get(self.name, tuple(_WORDS.get(part, part) for part in self.takes))
        return f"{self.name}({', '.join(shown)})"


_WORDS: Final = {"number": "x", "number…": "y, …", "any": "x", "any…": "y, …", "bool": "c", "unit": "[unit]"}
_SHOWN: Final = {
    "if": ("c", "a", "b"),
    "clamp": ("x", "low", "high"),
    "nelson": ("x", "centre", "sigma"),
    "western_electric": ("x", "centre", "sigma"),
    "contains": ("text", "part"),
    "starts": ("text", "part"),
    "ends": ("text", "part"),
}


def _sheet() -> tuple[Function, ...]:
    return (
        Function("abs", ("number",), "same", "number", "Without its sign.", "绝对值。", "abs(a - b)"),
        Function("sign", ("number",), "sign", "number", "−1, 0 or 1.", "−1、0 或 1。", "sign(change(level))"),
        Function(
            "round", ("number",), "same", "number", "The nearest whole number, halves away from zero.",
            "四舍五入取整，半数远离零。", "round(level)",
        ),
        Function("floor", ("number",), "same", "number", "The whole number below.", "向下取整。", "floor(level)"),
        Function("ceil", ("number",), "same", "number", "The whole number above.", "向上取整。", "ceil(level)"),
        Function("min", ("number", "number…"), "aligned", "number", "The smallest.", "最小者。", "min(a, b)"),
        Function("max", ("number", "number…"), "aligned", "number", "The largest.", "最大者。", "max(a, 0)"),
        Function(
            "clamp", ("number", "number", "number"), "aligned", "number", "Not below `low`, not above `high`.",
            "限制在 `low` 与 `high` 之间。", "clamp(level, 0[m], 2[m])",
        ),
        Function(
            "sqrt", ("number",), "root", "number", "Square root; the unit's too. Below zero: bad.",
            "平方根，单位也开方；负数为坏值。", "sqrt(level / 9.81[m/s2])",
        ),
        Function("exp", ("number",), "plain", "number", "e to the power of x, which has no unit.",
                 "e 的 x 次方，x 无单位。", "exp(-level / 1[m])"),
        Function("ln", ("number",), "plain", "number", "Natural logarithm of a number without unit; of 0 or less: bad.",
                 "自然对数，x 无单位；x ≤ 0 为坏值。", "ln(level / 1[m])"),
        Function("log10", ("number",), "plain", "number", "Logarithm to base 10, as `ln`.",
                 "以 10 为底的对数，同 `ln`。", "log10(level / 1[m])"),
        Function("to", ("number", "unit"), "to", "number", "The same in another unit.", "换算到另一个单位。",
                 "to(oil.temperature, [K])"),
        Function("if", ("bool", "any", "any"), "choice", "choice",
                 "`a` where the condition is true, else `b`. What is not chosen does not matter, even if it is bad.",
                 "条件为真取 `a`，否则取 `b`；未被选中的一方即使是坏值也无影响。", 'if(running, level, 0[m])'),
        Function("coalesce", ("any", "any…"), "aligned", "choice", "The first that is not bad.",
                 "第一个不是坏值的。", "coalesce(a, b)"),
        Function("good", ("any",), "bool", "choice", "Whether it has good quality now; never bad itself.",
                 "当前质量是否为好；结果本身不会是坏值。", "good(oil.temperature)"),
        Function("contains", ("text", "text"), "bool", "text", "Whether `part` is in it.", "是否包含 `part`。",
                 'contains(state, "run")'),
        Function("starts", ("text", "text"), "bool", "text", "Whether it begins so.", "是否以 `part` 开头。",
                 'starts(state, "run")'),
        Function("ends", ("text", "text"), "bool", "text", "Whether it ends so.", "是否以 `part` 结尾。",
                 'ends(state, "ing")'),
        Function("lower", ("text",), "text", "text", "In small letters.", "转为小写。",
                 'lower(state) == "running"'),
        Function("length", ("text",), "count", "text", "Number of characters.", "字符数。", "length(state)"),
        Function("prev", ("any",), "same", "past", "The usable value before the newest sample.",
                 "最新样本之前的一个可用值。", "prev(pieces)"),
        Function("change", ("number",), "difference", "past", "The newest less the one before.",
                 "最新值减去前一个值。", "change(pieces)"),
        Function("rate", ("number",), "rate", "past", "Change per second, between the newest and the one before.",
                 "最新值与前一个值之间每秒的变化。", "to(rate(oil.temperature), [K/min])"),
        Function("ago", ("any", "span"), "same", "past", "What it was that long ago.", "该时长之前的值。",
                 "level - ago(level, 1h)"),
        Function("age", ("any",), "age", "past", "Seconds since its newest usable sample.",
                 "距最新可用样本的秒数。", "age(level) > 30[s]"),
        Function("nelson", ("number", "number", "number"), "count", "past",
                 "The lowest of Nelson's rules 1 to 8 that its newest samples break; 0: none.",
                 "最新样本违反的纳尔逊准则中编号最小者（1 至 8）；0 表示无。", "nelson(level, 1.2[m], 0.05[m]) > 0"),
        Function("western_electric", ("number", "number", "number"), "count", "past",
                 "The same of the four rules of Western Electric.", "同上，按西部电气的四条准则。",
                 "western_electric(level, mean(level, 24h), 0.05[m]) == 1"),
        Function("mean", ("number", "span"), "same", "window", "Mean over time: each value counts as long as it stood.",
                 "按时间加权的平均值：每个值按其保持的时长计入。", "mean(oil.temperature, 10min)"),
        Function("min", ("number", "span"), "same", "window", "The smallest value that stood in it.",
                 "窗口内出现过的最小值。", "min(level, 1h)", "lowest"),
        Function("max", ("number", "span"), "same", "window", "The largest value that stood in it.",
                 "窗口内出现过的最大值。", "max(level, 1h)", "highest"),
        Function("first", ("any", "span"), "same", "window", "The value at its beginning.", "窗口起点的值。",
                 "first(level, 1h)"),
        Function("last", ("any", "span"), "same", "window",
                 "The newest usable value, if it stood within the window; bridges gaps.",
                 "窗口内最新的可用值，可跨越坏值间隙。", "last(level, 5min)"),
        Function("stddev", ("number", "span"), "difference", "window", "Standard deviation over time.",
                 "按时间加权的标准差。", "stddev(level, 10min)"),
        Function("integral", ("number", "span"), "integral", "window", "Value times time: kW become kW·s.",
                 "值对时间的积分：kW 得到 kW·s。", "to(integral(power, 1h), [kW.h])"),
        Function("sum", ("number", "span"), "sum", "window", "Sum of its samples.", "窗口内样本之和。",
                 "sum(pieces, 1h)"),
        Function("count", ("any", "span"), "count", "window", "Number of its usable samples.",
                 "窗口内可用样本数。", "count(level, 1min)"),
        Function("held", ("bool", "span"), "bool", "window", "Whether it was true all the time.",
                 "是否在整个窗口内一直为真。", "held(level > 1.5[m], 5min)"),
        Function("times", ("bool", "span"), "sum", "window", "How often it became true.", "变为真的次数。",
                 "times(held(level > 1.5[m], 30s), 10min) >= 2"),
    )  # fmt: skip


FUNCTIONS: Final = _sheet()
NAMES: Final = tuple(dict.fromkeys(function.name for function in FUNCTIONS))


def named(name: str) -> list[Function]:
    """The forms of a function; none where there is no such function."""
    return [function for function in FUNCTIONS if function.name == name]
