"""`make docs`: the table of functions in docs/expressions.md and its translation, from the functions themselves.

`--check` says whether they are stale.
"""

from __future__ import annotations

import sys
from pathlib import Path

from headrace.model.expressions import FUNCTIONS

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {DOCS / "expressions.md": "en", DOCS / "expressions.zh-CN.md": "zh"}
OPEN, CLOSE = "<!-- functions -->\n", "<!-- /functions -->"


def main() -> None:
    stale = [page for page, language in PAGES.items() if page.read_text("utf-8") != filled(page, language)]
    if "--check" in sys.argv:
        sys.exit(f"stale: {', '.join(page.name for page in stale)}; run `make docs`" if stale else 0)
    for page in stale:
        page.write_text(filled(page, PAGES[page]), "utf-8")
        print(f"wrote docs/{page.name}")


def filled(page: Path, language: str) -> str:
    """The page with its table as it should be."""
    before, _, rest = page.read_text("utf-8").partition(OPEN)
    return f"{before}{OPEN}{table(language)}{CLOSE}{rest.partition(CLOSE)[2]}"


def table(language: str) -> str:
    """One row a function, in Markdown."""
    head = "| function | gives | example |" if language == "en" else "| 函数 | 含义 | 示例 |"
    kinds = " Any kind." if language == "en" else " 任何类型。"
    rows = []
    for function in FUNCTIONS:
        text = (function.en if language == "en" else function.zh) + (kinds if function.takes[0] == "any" else "")
        rows.append(f"| `{function.signature}` | {text} | `{function.example}` |")
    return "\n".join([head, "|---|---|---|", *rows, ""])


if __name__ == "__main__":
    main()
