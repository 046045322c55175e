"""Where ministack differs from AWS in what the workflows rely on, one module per difference.

Each module has `apply()`, which replaces functions of ministack through `sandbox.automation.patching` and so
fails when ministack has changed, and a docstring that says what AWS does and where AWS documents it.
"""

import asyncio

from sandbox.automation.gaps import (
    alarms,
    embedded_metrics,
    event_delivery,
    express_workflows,
    lambda_concurrency,
    lambda_workers,
    metric_data,
    parameter_paths,
    sam_parameters,
    state_machines,
    template_reading,
)

GAPS = (
    lambda_workers,
    lambda_concurrency,
    state_machines,
    express_workflows,
    alarms,
    metric_data,
    embedded_metrics,
    event_delivery,
    parameter_paths,
    sam_parameters,
    template_reading,
)


def apply_all() -> None:
    """Close every gap; call once, after the environment is set and before the first request."""
    for gap in GAPS:
        gap.apply()


def start_all() -> list["asyncio.Task[None]"]:
    """Start, on the running loop, what has to happen by itself; the caller keeps the tasks."""
    return [asyncio.get_running_loop().create_task(alarms.evaluate_forever())]
