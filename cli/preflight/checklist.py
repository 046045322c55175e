"""The checklist of the specification's section 11, in its order, and which of it is asked for."""

from collections.abc import Sequence

from cli.exits import ExitCode, Failure
from cli.preflight import account, alarms, certificate, quotas, recovery, stack, terraform, traffic, versions
from cli.preflight.check import Check, Group

_BEFORE, _INFRASTRUCTURE, _APPLICATION, _RECOVERY = Group

CHECKS = (
    Check("credentials", _BEFORE, "AWS credentials", account.credentials),
    Check("state-bucket", _BEFORE, "Terraform state bucket", terraform.state_bucket),
    Check("state-lock", _BEFORE, "Terraform state lock", terraform.state_lock),
    Check("certificate", _BEFORE, "Certificate", certificate.certificate),
    Check("pipeline-identity", _BEFORE, "Login of the pipeline", terraform.pipeline_identity),
    Check("contract", _INFRASTRUCTURE, "Platform contract", account.contract),
    Check("state", _INFRASTRUCTURE, "Terraform state", terraform.state),
    Check("stack", _INFRASTRUCTURE, "Automation stack", stack.stack),
    Check("cluster", _INFRASTRUCTURE, "Cluster", stack.cluster),
    Check("kubernetes-version", _INFRASTRUCTURE, "Kubernetes version", versions.kubernetes_version),
    Check("database-version", _INFRASTRUCTURE, "Database version", versions.database_version),
    Check("cache-version", _INFRASTRUCTURE, "Cache version", versions.cache_version),
    Check("quota-database-snapshots", _INFRASTRUCTURE, "Quota: DB snapshots", quotas.database_snapshots),
    Check("quota-database-instances", _INFRASTRUCTURE, "Quota: DB instances", quotas.database_instances),
    Check("quota-cache-nodes", _INFRASTRUCTURE, "Quota: cache nodes", quotas.cache_nodes),
    Check("quota-cache-backups", _INFRASTRUCTURE, "Quota: cache backups", quotas.cache_backups),
    Check("quota-functions", _INFRASTRUCTURE, "Quota: functions", quotas.functions),
    Check("alarm-destinations", _INFRASTRUCTURE, "Alarms reach somebody", alarms.destinations),
    Check("pods", _APPLICATION, "Pods running", traffic.pods),
    Check("weights", _APPLICATION, "Traffic as recorded", traffic.weights),
    Check("targets", _APPLICATION, "Targets healthy", traffic.targets),
    Check("health", _APPLICATION, "Health endpoints", traffic.health),
    Check("release-alarms", _APPLICATION, "Release alarms quiet", alarms.release_alarms),
    Check("backup", _RECOVERY, "Last backup", recovery.backup),
    Check("drill", _RECOVERY, "Last drill", recovery.drill),
    Check("objectives", _RECOVERY, "Recovery objectives", recovery.objectives),
)
NAMES = tuple(check.name for check in CHECKS)


def chosen(only: Sequence[str], skip: Sequence[str]) -> tuple[Check, ...]:
    """The checks named in `only` (all, if it is empty), but for those in `skip`; each may hold commas.

    Raises `Failure` for a name that there is not, and where nothing is left.
    """
    wanted, unwanted = _names(only), _names(skip)
    strange = sorted((wanted | unwanted) - set(NAMES))
    if strange:
        message = f"no such check: {', '.join(strange)}. There are: {', '.join(NAMES)}"
        raise Failure(ExitCode.USAGE, "UsageError", message)
    found = tuple(check for check in CHECKS if check.name in (wanted or set(NAMES)) - unwanted)
    if not found:
        raise Failure(ExitCode.USAGE, "UsageError", "--only and --skip leave no check")
    return found


def _names(given: Sequence[str]) -> set[str]:
    return {name.strip() for text in given for name in text.split(",") if name.strip()}
