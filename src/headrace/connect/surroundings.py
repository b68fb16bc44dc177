"""What every session is given: the clock, the way out, limits, and the dice for its pauses."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from headrace.connect.outbox import CAPACITY_SAMPLES, Publish, PublishEvents
from headrace.sdk.certificates import ListenerCertificates
from headrace.sdk.clock import Clock
from headrace.sdk.devices import DeviceDoor
from headrace.sdk.intake import Intake
from headrace.sdk.reach import Reach
from headrace.sdk.references import References
from headrace.sdk.secret_files import PLAIN, SecretFiles


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """`request_timeout_s` is the last resort against a driver that hangs; drivers have shorter ones of their own."""

    connect_timeout_s: float = 15.0
    request_timeout_s: float = 30.0
    close_timeout_s: float = 5.0
    pause_s_first: float = 0.5
    pause_s_max: float = 30.0
    stable_s: float = 30.0
    outbox_samples: int = CAPACITY_SAMPLES


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all sessions share. Without `intake` no driver can promise its peers that samples are safe.

    `devices` is who decides which device a driver that listens lets in, `secrets` how private keys are kept,
    `certificates` what such a driver shows. `reach_of(connection)` is where its driver may connect to and listen,
    `references_of(connection)` what reads the secrets that its settings refer to.
    """

    clock: Clock
    publish: Publish
    publish_events: PublishEvents
    state_dir: Path
    random: random.Random = field(default_factory=random.Random)
    policy: SessionPolicy = SessionPolicy()
    intake: Intake | None = None
    devices: DeviceDoor | None = None
    secrets: SecretFiles = PLAIN
    certificates: ListenerCertificates | None = None
    reach_of: Callable[[str], Reach] = lambda _connection: Reach()
    references_of: Callable[[str], References] = lambda _connection: References()


def pause_s(policy: SessionPolicy, attempt: int, rng: random.Random) -> float:
    """Full jitter: anywhere from nothing to a bound that doubles with each attempt (0, 1, 2 …) up to the cap."""
    bound_s = min(policy.pause_s_first * 2.0 ** min(attempt, 32), policy.pause_s_max)
    return rng.uniform(0.0, bound_s)
