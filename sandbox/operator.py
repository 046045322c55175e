"""An operator's hands on a running sandbox: what the workflow tests, the demo and the benchmark do with it."""

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from opskit.adapters.balancer import Balancer, Targets
from opskit.adapters.cluster import Cluster
from opskit.clock import SystemClock
from opskit.ledger import Approval, Ledger
from opskit.platform import Platform
from opskit.traffic import Colour, Weights
from sandbox import images
from sandbox.config import Config
from sandbox.provision.clients import Clients

T = TypeVar("T")

POLL_SECONDS = 0.2
ENDED = frozenset({"SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT"})


class StillRunningError(AssertionError):
    """Something did not come about within its time; the message says what was seen last."""


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution as it stands: its status, what came out, and the states that it entered, in order."""

    arn: str
    status: str
    output: dict[str, Any]
    error: str | None
    cause: str | None
    states: tuple[str, ...]

    @property
    def name(self) -> str:
        """The execution's name."""
        return self.arn.rpartition(":")[2]


class Operator:
    """Starts and follows releases, pushes images, and reads what is there, as the sandbox's administrator."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.clients = Clients(config)
        prefix = f"arn:aws:states:{config.region}:{config.account}"
        self.machine = f"{prefix}:stateMachine:{config.name}-release"

    @cached_property
    def platform(self) -> Platform:
        """The platform contract as it was provisioned."""
        return Platform.load(self.config.service, self.config.environment, self.clients["ssm"])

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger that the workflows write."""
        return Ledger(
            f"{self.config.name}-ledger",
            self.config.service,
            self.config.environment,
            clock=SystemClock(),
            client=self.clients["dynamodb"],
        )

    @cached_property
    def balancer(self) -> Balancer:
        """The balancer, through the API."""
        return Balancer(self.platform, self.clients["elbv2"])

    def push(self, version: str, variant: str = "good", **parameters: float) -> str:
        """Push an image of the reference service, tagged with its version; return its digest.

        `parameters` are the variant's, such as `crash_seconds`.
        """
        return images.push(
            self.clients["ecr"], self.config.service, version, version=version, variant=variant, parameters=parameters
        )

    def weights(self) -> Weights:
        """How the live listener splits traffic."""
        return self.balancer.weights()

    def targets(self, colour: Colour) -> Targets:
        """The health of a colour's targets."""
        return self.balancer.targets(colour)

    def start(self, name: str | None = None, **given: Any) -> str:
        """Start the release state machine with an input; return the execution's ARN."""
        started = self.clients["stepfunctions"].start_execution(
            stateMachineArn=self.machine, name=name or f"test-{uuid.uuid4().hex[:12]}", input=json.dumps(given)
        )
        return str(started["executionArn"])

    def execution(self, arn: str) -> Execution:
        """Where an execution stands."""
        client = self.clients["stepfunctions"]
        described = client.describe_execution(executionArn=arn)
        pages = client.get_paginator("get_execution_history").paginate(executionArn=arn)
        events = [event for page in pages for event in page["events"]]
        entered = [e["stateEnteredEventDetails"]["name"] for e in events if "stateEnteredEventDetails" in e]
        return Execution(
            arn=arn,
            status=described["status"],
            output=json.loads(described.get("output") or "{}"),
            error=described.get("error"),
            cause=described.get("cause"),
            states=tuple(entered),
        )

    def wait(self, arn: str, seconds: float = 120.0) -> Execution:
        """Wait until an execution has ended."""
        return self.until(lambda: self.execution(arn), lambda e: e.status in ENDED, f"{arn} to end", seconds=seconds)

    def wait_for_state(self, arn: str, state: str, seconds: float = 60.0) -> Execution:
        """Wait until an execution has entered a state; one that ended without it will never do."""
        seen = self.until(
            lambda: self.execution(arn),
            lambda e: state in e.states or e.status in ENDED,
            f"{arn} to enter {state}",
            seconds=seconds,
        )
        if state not in seen.states:
            raise StillRunningError(f"{seen.name} {seen.status} without entering {state}: {seen.cause}")
        return seen

    def run(self, name: str | None = None, **given: Any) -> Execution:
        """Start an execution and wait until it has ended."""
        return self.wait(self.start(name, **given))

    def until(self, read: Callable[[], T], holds: Callable[[T], bool], what: str, *, seconds: float) -> T:
        """Read until `holds`, for at most `seconds`; raise StillRunningError with what was read last."""
        end = time.monotonic() + seconds
        while True:
            seen = read()
            if holds(seen):
                return seen
            if time.monotonic() > end:
                raise StillRunningError(f"waited {seconds:.0f} s for {what}; saw {seen}")
            time.sleep(POLL_SECONDS)

    def set_weights(self, weights: Weights) -> None:
        """Change the weights by hand, past the workflow."""
        self.balancer.set_weights(weights)

    def fire_alarm(self) -> str:
        """Feed the metric that the first release alarm watches until it fires; return the alarm's name.

        A state set by hand would last until the next evaluation only, as on AWS.
        """
        name = self.platform.release_alarms[0]
        self._feed(name, above=True)
        self.until(self.firing, lambda firing: name in firing, f"{name} to fire", seconds=15)
        return name

    def calm_alarms(self) -> None:
        """Feed good news to what is firing until nothing is: without data an alarm would look back further."""

        def feed() -> set[str]:
            for name in (names := self.firing()):
                self._feed(name, above=False)
            return names

        self.until(feed, lambda firing: not firing, "the alarms to fall silent", seconds=40)

    def _feed(self, name: str, *, above: bool) -> None:
        client = self.clients["cloudwatch"]
        alarm = client.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
        datum = {
            "MetricName": alarm["MetricName"],
            "Dimensions": alarm["Dimensions"],
            "Value": alarm["Threshold"] + 1 if above else 0,
            "StorageResolution": 1,
        }
        client.put_metric_data(Namespace=alarm["Namespace"], MetricData=[datum])

    def firing(self) -> set[str]:
        """The release alarms that are firing."""
        names = list(self.platform.release_alarms)
        found = self.clients["cloudwatch"].describe_alarms(AlarmNames=names)["MetricAlarms"]
        return {alarm["AlarmName"] for alarm in found if alarm["StateValue"] == "ALARM"}

    def deployments(self) -> dict[str, Any]:
        """What each colour's Deployment asks for: image and replicas, and its generation."""
        cluster = Cluster.connect(self.platform, eks=self.clients["eks"], sts=self.clients["sts"])
        states = {colour.value: cluster.deployment(colour) for colour in Colour}
        return {name: s and (s.image, s.replicas, s.generation) for name, s in states.items()}

    def approve(self, asked: Approval, by: str = "a person") -> None:
        """Approve, as `ops approve` does."""
        self.ledger.decide(asked.execution_name, "approved", by, "", digest=asked.digest)
        self.answer(asked, {"approved_by": by, "digest": asked.digest})

    def answer(self, asked: Approval, output: dict[str, Any]) -> None:
        """Wake the execution that waits for an approval."""
        self.clients["stepfunctions"].send_task_success(taskToken=asked.task_token, output=json.dumps(output))

    def reject(self, asked: Approval, reason: str) -> None:
        """Reject, as `ops reject` does."""
        self.ledger.decide(asked.execution_name, "rejected", "a person", reason)
        self.clients["stepfunctions"].send_task_failure(
            taskToken=asked.task_token, error="ApprovalRejectedError", cause=reason
        )

    def invoke(self, step: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Call a step of the release workflow by the end of its function's name; what it returns."""
        name = f"{self.config.name}-release-{step}"
        answer = self.clients["lambda"].invoke(FunctionName=name, Payload=json.dumps(payload).encode())
        result = json.loads(answer["Payload"].read())
        if answer.get("FunctionError"):
            raise AssertionError(f"{name} failed: {result}")
        return dict(result)

    def rule_of(self, function: str) -> str:
        """The name of the rule that starts a function, given its logical name in the template."""
        names = [rule["Name"] for rule in self.clients["events"].list_rules()["Rules"]]
        (found,) = [name for name in names if function in name]
        return str(found)

    def messages(self, queue_url: str) -> list[Mapping[str, Any]]:
        """Take what a queue subscribed to the operations topic holds now; the messages' bodies."""
        found: list[Mapping[str, Any]] = []
        while True:
            got = self.clients["sqs"].receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages", [])
            if not got:
                return found
            for message in got:
                found.append(json.loads(json.loads(message["Body"])["Message"]))
                self.clients["sqs"].delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
