#!/usr/bin/env bash
# The quick gate, under a minute: format, lint, strict types, import contracts, tidy.
set -uo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
status=0
run() { printf '\033[2m· %s\033[0m\n' "$*" >&2; "$@" || status=1; }
run $bin/ruff format --check -q .
run $bin/ruff check -q .
run $bin/mypy --no-error-summary
run $bin/lint-imports
run $bin/python -m tools.reference --check
run $bin/python -m tools.route_matrix --check
run $bin/python -m tools.functions --check
run $bin/python -m pytest -q tests/tidy
exit $status
