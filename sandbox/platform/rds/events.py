"""RDS's events on the event bus.

Numbers, categories and messages: "Amazon RDS event categories and event messages"; envelope: "Overview of
events for Amazon RDS" (EventBridge), both in the RDS user guide.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from sandbox.platform.automation import Automation

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of event."""

    id: str
    category: str
    message: str
    of_snapshot: bool = False


BACKING_UP = Kind("RDS-EVENT-0001", "backup", "Backing up DB instance")
BACKED_UP = Kind("RDS-EVENT-0002", "backup", "Finished DB instance backup")
DELETED = Kind("RDS-EVENT-0003", "deletion", "DB instance deleted")
SHUT_DOWN = Kind("RDS-EVENT-0004", "availability", "DB instance shutdown")
CREATED = Kind("RDS-EVENT-0005", "creation", "DB instance created")
RESTARTED = Kind("RDS-EVENT-0006", "availability", "DB instance restarted")
PASSWORD_RESET = Kind("RDS-EVENT-0016", "configuration change", "Reset master credentials")
RESTORED_TO_TIME = Kind("RDS-EVENT-0019", "restoration", "Restored from DB instance {source} to {name}")
FAILED = Kind("RDS-EVENT-0031", "failure", "DB instance {name} has been put into {status}")
INCOMPATIBLE_PARAMETERS = Kind("RDS-EVENT-0035", "failure", "Database instance put into {status}")
INCOMPATIBLE_NETWORK = Kind("RDS-EVENT-0036", "failure", "Database instance put into {status}")
CREATING_SNAPSHOT = Kind("RDS-EVENT-0040", "creation", "Creating manual snapshot", of_snapshot=True)
DELETED_SNAPSHOT = Kind("RDS-EVENT-0041", "deletion", "Deleted manual snapshot", of_snapshot=True)
CREATED_SNAPSHOT = Kind("RDS-EVENT-0042", "creation", "Manual snapshot created", of_snapshot=True)
RESTORED = Kind("RDS-EVENT-0043", "restoration", "Restored from snapshot {source}", of_snapshot=True)
CREATING_AUTOMATED = Kind("RDS-EVENT-0090", "creation", "Creating automated snapshot", of_snapshot=True)
CREATED_AUTOMATED = Kind("RDS-EVENT-0091", "creation", "Automated snapshot created", of_snapshot=True)

_BY_STATUS = {"incompatible-network": INCOMPATIBLE_NETWORK, "incompatible-parameters": INCOMPATIBLE_PARAMETERS}


def failure(status: str) -> Kind:
    """The event of an instance that ends in `status`."""
    return _BY_STATUS.get(status, FAILED)


def emit(automation: Automation, kind: Kind, *, name: str, arn: str, **words: str) -> None:
    """Announce that `kind` happened to the instance or snapshot `name`."""
    detail = {
        "EventCategories": [kind.category],
        "SourceType": "SNAPSHOT" if kind.of_snapshot else "DB_INSTANCE",
        "SourceArn": arn,
        "Date": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "Message": kind.message.format(name=name, **words),
        "SourceIdentifier": name,
        "EventID": kind.id,
    }
    title = "RDS DB Snapshot Event" if kind.of_snapshot else "RDS DB Instance Event"
    automation.emit("aws.rds", title, detail, [arn])


def log_failure(name: str, error: Exception) -> None:
    """Say in the log why an instance failed; AWS says it nowhere."""
    log.error("%s: %s", name, error)
