"""Run checks side by side; whatever goes wrong in one of them is its own finding and stops none of the others."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from cli.failures import explain
from cli.preflight.check import Check, Sources
from cli.preflight.finding import Finding, unknown
from opskit.verdict import Outcome

CREDENTIALS = "credentials"
# Most of a check is waiting for AWS.
AT_ONCE = 8

# Between two looks: a target group asks its targets every few seconds.
PAUSE = 5.0

Told = Callable[[Check, Finding], None]


def run_all(checks: Sequence[Check], sources: Sources, told: Told) -> dict[str, Finding]:
    """The finding of each check by its name, in the order of `checks`; `told` hears of each as it is done.

    Without credentials nothing can be read, so their check comes first, and the others are not tried if it does not
    pass.
    """
    found: dict[str, Finding] = {}
    rest = list(checks)
    gate = next((check for check in checks if check.name == CREDENTIALS), None)
    if gate is not None:
        found[gate.name] = look(gate, sources)
        told(gate, found[gate.name])
        rest.remove(gate)
        if found[gate.name].outcome is not Outcome.PASS:
            found |= {one.name: unknown("there are no credentials to look with", "see credentials") for one in rest}
            rest = []
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="preflight") as pool:
        running = {pool.submit(look, check, sources): check for check in rest}
        for done in as_completed(running):
            check = running[done]
            found[check.name] = done.result()
            told(check, found[check.name])
    return {check.name: found[check.name] for check in checks}


def rounds(
    seconds: float, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
) -> Iterator[float]:
    """Once, and again every `PAUSE` until `seconds` are over: how many are left then, at last 0."""
    end = clock() + seconds
    while (left := max(0.0, end - clock())) > 0:
        yield left
        sleep(min(PAUSE, max(0.0, end - clock())))
    yield 0.0


def look(check: Check, sources: Sources) -> Finding:
    """What `check` finds; what it raises is INCONCLUSIVE, a defect too: it must neither pass nor hide the others."""
    try:
        return check.look(sources)
    except Exception as error:  # noqa: BLE001 - see above
        failure = explain(error, sources.session)
        if failure is not None:
            return unknown(
                f"could not be read: {failure.message}", "make it readable and look again", error=failure.name
            )
        problem = f"{type(error).__name__}: {error}"
        return unknown(f"a defect of this check: {problem}", "report it; --skip it meanwhile", error="Defect")
