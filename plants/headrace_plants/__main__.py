"""`headrace plant run|replay|fault|clear|declare`: run as `python -m headrace_plants` without the platform."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from headrace.model.errors import HeadraceError

USAGE = """usage: headrace plant COMMAND
  run …             the reference works behind its servers (run --help)
  replay FILE …     a recording behind a server (replay --help)
  fault TEXT        inject into the running works, e.g. press-2:leak,severity=0.5
  clear TARGET [KIND]   end faults of a machine, sensor or server
  declare FOLDER    write the declaration of the works
"""


def main(argv: list[str]) -> int:
    command, rest = (argv[0], argv[1:]) if argv else ("", [])
    if command == "run":
        from headrace_plants.serve import main as run

        return run(rest)
    if command == "replay":
        from headrace_plants.replay import main as replay

        return replay(rest)
    if command in ("", "-h", "--help") or rest[:1] in (["-h"], ["--help"]):
        from headrace_plants import faults

        sys.stdout.write(f"{USAGE}\n{faults.__doc__}")
        return 0
    try:
        if command in ("fault", "clear") and rest:
            from headrace_plants.control import request

            message = (
                {"command": "fault", "text": rest[0]}
                if command == "fault"
                else {"command": "clear", "target": rest[0], "kind": rest[1] if len(rest) > 1 else None}
            )
            sys.stdout.write(json.dumps(request(message), ensure_ascii=False) + "\n")
            return 0
        if command == "declare" and len(rest) == 1:
            from headrace_plants.declaration import declaration, write_files

            write_files(Path(rest[0]), declaration())
            return 0
    except (HeadraceError, OSError) as error:
        sys.stderr.write(f"headrace plant: {error}\n")
        return 2
    sys.stderr.write(USAGE)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
