"""Write the API's description: `python -m headrace.api.openapi > docs/openapi.json`. Stable: sorted keys, no plant."""

from __future__ import annotations

import json
import sys

from headrace.api.app import bare_app
from headrace.api.description import document


def openapi_text() -> str:
    return json.dumps(document(bare_app()), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(openapi_text())
