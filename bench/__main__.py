"""`python -m bench NAME [--record] [options of that bench]`: run one bench module; `--record` also keeps the lines."""

import importlib
import json
import signal
import sys

from bench.harness import Measure, machine, record


def main() -> None:
    name, *options = [argument for argument in sys.argv[1:] if argument != "--record"] or ["spine"]
    try:
        module = importlib.import_module(f"bench.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"bench.{name}":
            raise
        sys.exit(f"there is no bench '{name}': see bench/*.py")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # whoever has started servers then stops them
    print(f"# {machine()}", file=sys.stderr)
    kept: list[Measure] = []
    try:
        for measure in module.measures(options) if options else module.measures():
            kept.append(measure)
            print(json.dumps(measure.line(), ensure_ascii=False), flush=True)
    finally:  # what was measured before something broke is kept too
        if "--record" in sys.argv:
            record(name, kept)


if __name__ == "__main__":
    main()
