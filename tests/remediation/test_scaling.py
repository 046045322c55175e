"""Answers grow slow without a release to blame and without a database that is: the live colour gets a pod more."""

from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.autoscaling_v2 import HorizontalPodAutoscaler
from lightkube.types import PatchType

from opskit.traffic import Colour
from sandbox.kubernetes.client import administrator
from sandbox.operator import Operator
from tests.remediation.alarms import altered
from tests.remediation.nodes import unheard
from tests.remediation.repairs import PATIENCE, announced, closed, now

ALARM = "alb-response-time"
# Between a finished release and its rollback by an alarm, at most: a tenth of the runbook's 1800 s.
RELEASE_TO_BLAME = 180.0


def replicas(operator: Operator, colour: Colour) -> int:
    """How many pods a colour is to have."""
    found = administrator(operator.config).get(
        Deployment, f"{operator.config.service}-{colour}", namespace=operator.config.service
    )
    return int(found.to_dict()["spec"]["replicas"])


def fewest(operator: Operator, colour: Colour) -> int:
    """Below how many its autoscaler does not go."""
    name = f"{operator.config.service}-{colour}"
    found = administrator(operator.config).get(HorizontalPodAutoscaler, name, namespace=operator.config.service)
    return int(found.to_dict()["spec"]["minReplicas"])


def put_back(operator: Operator, colour: Colour, pods: int, minimum: int) -> None:
    """As it was."""
    client, name = administrator(operator.config), f"{operator.config.service}-{colour}"
    for kind, spec in ((HorizontalPodAutoscaler, {"minReplicas": minimum}), (Deployment, {"replicas": pods})):
        client.patch(kind, name, {"spec": spec}, namespace=operator.config.service, patch_type=PatchType.MERGE)


def release_to_blame(operator: Operator) -> bool:
    """Whether the alarm would have a release rolled back."""
    live = operator.ledger.live()
    record = operator.ledger.record_of(live.release) if live else None
    if live is None or live.previous is None or (record is not None and record.operation != "release"):
        return False
    return (now() - live.at).total_seconds() < RELEASE_TO_BLAME


def test_slow_answers_without_a_release_to_blame_get_a_pod_more_and_its_autoscaler_keeps_it(operator: Operator) -> None:
    operator.until(lambda: release_to_blame(operator), lambda blamed: not blamed, "no release", seconds=PATIENCE)
    colour = operator.weights().whole or Colour.BLUE
    before, minimum = replicas(operator, colour), fewest(operator, colour)
    try:
        with unheard(operator):
            with altered(operator, ALARM, TreatMissingData="breaching", Threshold=0.0):
                operator.wait_for_alarm(ALARM, seconds=PATIENCE)
                arn = operator.start(workflow="remediate", alarm=ALARM, requested_by="a person")
                operator.until(
                    lambda: replicas(operator, colour), lambda n: n == before + 1, "a pod more", seconds=PATIENCE
                )
            operator.wait(arn, PATIENCE)
        found = operator.ledger.operation_of("remediate", arn.rpartition(":")[2])
        assert found is not None
        record = closed(operator, found)
        assert (record.outcome, record.facts["action"]) == ("RESOLVED", "scale_service"), record.outcome_reason
        told = announced(record)
        assert (told["colour"], told["from"], told["to"]) == (colour.value, before, before + 1)
        assert (replicas(operator, colour), fewest(operator, colour)) == (before + 1, max(minimum, before + 1))
    finally:
        put_back(operator, colour, before, minimum)
