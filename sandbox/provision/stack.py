"""The automation stack, with waits that suit a machine where everything takes a tenth of the time."""

from collections.abc import Mapping
from typing import Any

import yaml

from opskit.platform import path_of
from sandbox import deploy as sam
from sandbox.config import Config

SHORT_WAITS: Mapping[str, str] = {
    "PollSeconds": "1",
    "RolloutTimeoutSeconds": "20",
    "BakeSeconds": "5",
    "BakePollSeconds": "1",
    "InconclusiveWaitSeconds": "4",
    "BaselineSeconds": "20",
    "MetricPeriodSeconds": "1",
    "MetricDelaySeconds": "1",
    "DrainSeconds": "3",
    "DrainTimeoutSeconds": "20",
    "LeaseSeconds": "30",
    "ApprovalSeconds": "60",
    "RestorePollSeconds": "1",
    "RestoreTimeoutSeconds": "40",
    "RestoreServicePollSeconds": "1",
    "RestoreServiceTimeoutSeconds": "20",
    "DrillPollSeconds": "1",
    "DrillRestoreSeconds": "30",
    "DrillTeardownSeconds": "30",
    "DrillLeaseSeconds": "60",
    "SnapshotPollSeconds": "1",
    "SnapshotSourceWaitSeconds": "8",
    "SnapshotTimeoutSeconds": "60",
    "SnapshotLeaseSeconds": "60",
    "ObjectivesPeriodSeconds": "10",
    "RunbookTimeFactor": "0.05",
    "RemediationPollSeconds": "1",
    "RemediationRollbackSeconds": "120",
    "Remediation": "DISABLED",
    "Schedules": "DISABLED",
}
"""Stack parameters in place of the template's defaults, in seconds; and nothing starts by itself."""

_CONTRACT_PARAMETER = "AWS::SSM::Parameter::Value"


class _Tolerant(yaml.CSafeLoader):
    """Reads a template without knowing CloudFormation's tags."""


_Tolerant.add_multi_constructor("!", lambda _loader, _suffix, _node: None)


def deploy(config: Config, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Build and deploy with the SAM CLI; what it says goes to `logs/sam.log`. Raises `sam.DeployError`."""
    with (config.dir / "logs" / "sam.log").open("a", encoding="utf-8") as log:
        done = sam.deploy(
            config,
            {**_identity(config), **SHORT_WAITS, **parameters},
            progress=lambda line: print(line, file=log, flush=True),
        )
    return {
        "name": done.stack,
        "outputs": done.outputs,
        "build_seconds": round(done.build_seconds, 1),
        "deploy_seconds": round(done.deploy_seconds, 1),
    }


def _identity(config: Config) -> dict[str, str]:
    """Service, environment, and the paths of the contract's parameters, which the template takes one by one."""
    template = yaml.load((sam.ROOT / "template.yaml").read_text(encoding="utf-8"), _Tolerant)  # noqa: S506
    path = path_of(config.service, config.environment)
    paths = {
        name: path + parameter["Default"].rpartition("/")[2]
        for name, parameter in template["Parameters"].items()
        if parameter["Type"].startswith(_CONTRACT_PARAMETER)
    }
    return {"Service": config.service, "Environment": config.environment, **paths}
