"""`headrace stream add model.onnx`: the source of a stream function of a model, written from what was said of it.

model.onnx, --inputs, --features, --outputs, --window, --batch, --budget ─► Python, readable, with the model's SHA-256
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headrace.model.errors import ConfigError
from headrace.sdk.stream import Reduce, duration_ns

_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Texts as given. `inputs`: `oil=oil.temperature [Cel], speed=spindle.speed`. `features`: of each column of the
    model, an input and what is made of it in a window, `oil:mean, speed:max`; without, the mean of each input."""

    name: str = ""
    version: str = "1"
    inputs: str = ""
    features: str = ""
    outputs: str = ""
    window: str = ""
    batch: int = 1024
    budget: str = ""


def source_of(file: Path, model: bytes, given: ModelOptions) -> str:
    """Raises: ConfigError that names what is missing or cannot be read."""
    for said, option in ((given.inputs, "--inputs"), (given.outputs, "--outputs"), (given.window, "--window")):
        if not said:
            raise ConfigError(f"a model needs {option}; see 'headrace stream add --help'")
    inputs, outputs = _pairs(given.inputs, "--inputs"), _pairs(given.outputs, "--outputs")
    duration_ns(given.window)
    features = [_feature(one) for one in given.features.split(",")] if given.features else [(n, "mean") for n in inputs]
    budget_s = duration_ns(given.budget) / _NS if given.budget else None
    return f'''"""The model {file.name}, as `headrace stream add` took it up."""

from headrace.compute.streams.models import model

scored = model(
    MODEL,
    name={given.name or file.stem!r},
    version={given.version!r},
    sha256={hashlib.sha256(model).hexdigest()!r},
    inputs={inputs!r},
    features={features!r},
    outputs={outputs!r},
    window={given.window!r},
    batch_max={given.batch!r},
    budget_s={budget_s!r},
)
'''


def _pairs(text: str, option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in text.split(","):
        name, equals, rest = one.strip().partition("=")
        if not name.strip() or not equals or not rest.strip():
            raise ConfigError(f"'{one.strip()}' of {option} is no name=point, such as 'oil=oil.temperature [Cel]'")
        found[name.strip()] = rest.strip()
    return found


def _feature(text: str) -> tuple[str, str]:
    name, _, what = text.strip().partition(":")
    if not name or what not in set(Reduce):
        raise ConfigError(f"'{text.strip()}' is no feature; write input:what, of {', '.join(Reduce)}")
    return name, what
