"""Exit codes of `ops`, and which failure ends in which."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a script may rely on; `ops --help` lists them from `MEANINGS`."""

    SUCCESS = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    UNREACHABLE = 4
    TIMED_OUT = 5
    INCONCLUSIVE = 6
    INTERRUPTED = 130


MEANINGS = {
    ExitCode.SUCCESS: "done, or nothing to do",
    ExitCode.FAILED: "failed, rolled back, rejected, aborted, no effect; an objective, check or evidence does not hold",
    ExitCode.USAGE: "wrong usage or bad input",
    ExitCode.REFUSED: "refused: lock held, alarm firing, drift, no backup that fits, guardrail, already decided",
    ExitCode.UNREACHABLE: "not found, unknown environment, no credentials or access, endpoint unreachable",
    ExitCode.TIMED_OUT: "timed out waiting; the execution goes on",
    ExitCode.INCONCLUSIVE: "could not be judged, or the last judgement is too old",
    ExitCode.INTERRUPTED: "Ctrl-C; the execution goes on",
}

# The names are those of opskit.errors, and those that Fail states give, as Step Functions reports them.
_BY_ERROR = {
    "InvalidInputError": ExitCode.USAGE,
    "UnknownImageError": ExitCode.USAGE,
    "LockHeldError": ExitCode.REFUSED,
    "ReleaseRefusedError": ExitCode.REFUSED,
    "SnapshotRefused": ExitCode.REFUSED,
    "RestoreRefused": ExitCode.REFUSED,
    "DrillRefused": ExitCode.REFUSED,
    "ApprovalError": ExitCode.REFUSED,
    # Nothing was done, and a person is needed; where something was done without effect, it is RemediationIneffective.
    "RemediationEscalated": ExitCode.REFUSED,
    "RemediationInconclusive": ExitCode.INCONCLUSIVE,
}
# Of executions that succeeded. The kill switch held, or there is no runbook: nothing was done, and the alarm fires on.
_BY_OUTCOME = {"SUPPRESSED": ExitCode.REFUSED, "UNKNOWN": ExitCode.REFUSED}


def exit_code_of(error_name: str) -> ExitCode:
    """The exit code for an execution that failed with `error_name` (`error` of DescribeExecution)."""
    return _BY_ERROR.get(error_name, ExitCode.FAILED)


def exit_code_of_outcome(outcome: str) -> ExitCode:
    """The exit code for an execution that succeeded with `outcome` (`outcome` of its output)."""
    return _BY_OUTCOME.get(outcome, ExitCode.SUCCESS)


class Failure(Exception):  # noqa: N818 - not a defect: an end of the command that it explains to its user
    """The command cannot do what it was asked; `message` says why and what to do about it.

    `name` is the machine-readable kind in `--json` output.
    """

    def __init__(self, code: ExitCode, name: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.name = name
        self.message = message
