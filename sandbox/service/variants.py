"""The ways in which a build of the service can be bad, each with its own parameters.

A variant counts requests and never rolls dice: the same requests give the same answers.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Variant(StrEnum):
    """What is wrong with a build."""

    GOOD = "good"
    UNHEALTHY = "unhealthy"
    """`/health` always answers 503."""
    ERRORS = "errors"
    """After `after_requests` requests to `/detections`, every `every`th answers 500."""
    SLOW = "slow"
    """After `after_requests` requests to `/detections`, each takes `delay_seconds` longer."""
    FADING = "fading"
    """From `fading_seconds` after its start, each request to `/detections` takes `fading_delay_seconds` longer."""
    CRASH = "crash"
    """The process exits with 1, `crash_seconds` after its first request to `/detections`."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """How a variant goes wrong; the defaults let a build pass its smoke tests first."""

    after_requests: int = 50
    every: int = 3
    delay_seconds: float = 0.4
    crash_seconds: float = 60.0
    fading_seconds: float = 45.0
    fading_delay_seconds: float = 1.5


def exit_at_once() -> None:
    """End the process with status 1, as an unhandled fault would."""
    sys.stdout.flush()
    os._exit(1)


class Behaviour:
    """One process's misbehaviour: asked once per request to `/detections`."""

    def __init__(
        self,
        variant: Variant,
        parameters: Parameters,
        crash: Callable[[], None] = exit_at_once,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.variant = variant
        self._parameters = parameters
        self._crash = crash
        self._requests = 0
        self._clock = clock
        self._started = clock()

    @property
    def healthy(self) -> bool:
        """Whether `/health` answers 200."""
        return self.variant is not Variant.UNHEALTHY

    def on_detections(self) -> tuple[bool, float]:
        """Count a request to `/detections`; returns whether it fails, and its extra delay in seconds."""
        self._requests += 1
        if self.variant is Variant.CRASH and self._requests == 1:
            asyncio.get_running_loop().call_later(self._parameters.crash_seconds, self._crash)
        if self.variant is Variant.FADING:
            faded = self._clock() - self._started >= self._parameters.fading_seconds
            return False, self._parameters.fading_delay_seconds if faded else 0.0
        beyond = self._requests - self._parameters.after_requests
        if beyond <= 0:
            return False, 0.0
        fails = self.variant is Variant.ERRORS and beyond % self._parameters.every == 0
        return fails, self._parameters.delay_seconds if self.variant is Variant.SLOW else 0.0
