"""Where a snapshot run keeps what is too large for its state."""

from datetime import datetime

from opskit.adapters.handover import Handover
from opskit.adapters.objects import Objects
from opskit.clock import moment_of
from opskit.decisions.manifest import object_key

RUNS = "runs"


def documents_of(bucket: str, hour: datetime | str, run: str) -> Handover:
    """The documents of the run `run` (an execution's name) for `hour`, in the backup bucket."""
    moment = moment_of(hour) if isinstance(hour, str) else hour
    return Handover(Objects(bucket), object_key(RUNS, moment, run, "/"))
