"""`python -m bench NAME [--record]`: run one bench module; `--record` also keeps the lines."""

import importlib
import json
import sys

from bench.harness import Measure, machine, record


def main() -> None:
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    name = arguments[0] if arguments else "spine"
    try:
        module = importlib.import_module(f"bench.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"bench.{name}":
            raise
        sys.exit(f"there is no bench '{name}': see bench/*.py")
    print(f"# {machine()}", file=sys.stderr)
    kept: list[Measure] = []
    for measure in module.measures():
        kept.append(measure)
        print(json.dumps(measure.line(), ensure_ascii=False), flush=True)
    if "--record" in sys.argv:
        record(name, kept)


if __name__ == "__main__":
    main()
