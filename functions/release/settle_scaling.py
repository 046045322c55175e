"""Release: both colours keep running; the live one may shrink again, the one that is kept warm stays as it is."""

from typing import Any

from opskit.adapters.cluster import Cluster
from opskit.step import Run, step
from opskit.traffic import Colour


@step
def handler(event: dict[str, Any], run: Run) -> dict[str, Any]:
    """Let the autoscaler of `live` take pods away, and not the other's. Safe to repeat.

    Raises:
        LockLostError: another execution has taken the lock.
    """
    live = Colour(event["live"])
    run.hold(event)
    cluster = Cluster.connect(run.platform, session_name=run.execution.name)
    cluster.pause_scale_down(live.other)
    cluster.resume_scale_down(live)
    return {"live": live.value, "warm": live.other.value}
