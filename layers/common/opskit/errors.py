"""The exceptions that steps raise; state machines name them in `Retry` and `Catch`.

An expected outcome is data (see `opskit.verdict`), never an exception. Each class here is one kind of
unexpected outcome, and its message tells an SRE what happened and what to do about it.
"""


class OpsError(Exception):
    """Base of all named errors; never raised itself."""


class InvalidInputError(OpsError):
    """The execution's input does not fit its schema, or contradicts itself or the environment."""


class UnknownImageError(OpsError):
    """The image is not in the registry, or not of the service's repository."""


class PlatformContractError(OpsError):
    """A parameter that the platform owes the automation is missing or malformed."""


class LockHeldError(OpsError):
    """Another execution holds the service's lock; the message names the holder and the end of its lease."""


class LockLostError(OpsError):
    """This execution no longer holds the lock: its lease ran out and another took it, or it was freed."""


class WeightsNotConfirmedError(OpsError):
    """The balancer did not read back the weights that were written to it."""


class ClusterError(OpsError):
    """The Kubernetes API refused or failed a request."""


class MeasurementError(OpsError):
    """A metric or alarm could not be read; it must never count as good news."""


class EvidenceError(OpsError):
    """A record could not be appended to the evidence chain."""


class DriftError(OpsError):
    """What is there is not what the plan rests on: someone else has changed it meanwhile."""


class ThrottledError(OpsError):
    """AWS asked to slow down, after the client's own retries; worth a retry by the state machine."""


class UnavailableError(OpsError):
    """AWS or the network failed, after the client's own retries; worth a retry by the state machine."""


class OldColourUnavailableError(OpsError):
    """A rollback cannot shift traffic: the old colour's pods did not become healthy in time."""


class ManifestError(OpsError):
    """A manifest of a snapshot run cannot be read, or is not the one that was recorded."""


class NameTakenError(OpsError):
    """Something that is not ours, or of another resource, already has the name that this run would use."""


class QuotaExceededError(OpsError):
    """AWS refused for a quota, or for want of capacity: waiting a little does not help."""


class NotificationError(OpsError):
    """A message could not be handed over to where people read it."""


class NotReadyError(OpsError):
    """The resource is in a status in which AWS refuses the request; worth another look later."""


class NotFoundError(OpsError):
    """What the request names does not exist."""


class IntegrityError(OpsError):
    """Stored bytes are not those whose checksum was recorded."""


class EndpointNotConfirmedError(OpsError):
    """Parameter Store did not read back the endpoint that was written to it."""


class DatabaseError(OpsError):
    """The database refused a statement, or is not one that may be talked to; `sqlstate` where it gave a code."""

    def __init__(self, message: str, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class DatabaseLoginError(DatabaseError):
    """The database did not let the role in: the token, the role, or IAM's policy is at fault."""


class CacheError(OpsError):
    """The cache refused a command, or did not keep what was written to it."""


class CacheLoginError(CacheError):
    """The cache did not let the user in."""


class RunbooksError(OpsError):
    """The environment has no runbooks, or what is in their file cannot be one; the message says what to put right."""
