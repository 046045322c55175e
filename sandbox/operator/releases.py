"""Releases: images, weights, alarms, and what the operations topic says."""

import json
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from opskit.adapters.balancer import Balancer, Targets
from opskit.adapters.cluster import Cluster
from opskit.traffic import Colour, Weights
from sandbox import images
from sandbox.operator.hands import Hands


class Releases(Hands):
    """What a release moves, and what it looks at."""

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

    def rule_of(self, function: str) -> str:
        """The name of the rule that starts a function, given its logical name in the template."""
        events = self.clients["events"]
        # CloudFormation cuts the names of rules short, so their targets are what tells them apart.
        ending = re.sub("(?<=[a-z])(?=[A-Z])", "-", function).lower()
        (found,) = [
            rule["Name"]
            for rule in events.list_rules()["Rules"]
            if any(
                target["Arn"].endswith(f"-{ending}")
                for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
            )
        ]
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
