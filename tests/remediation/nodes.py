"""The node group: most tests let the remediation change it, for its alarm can be fed and a change is seen at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sandbox.operator import Operator

ALARM = "eks-cpu"


class Nodes:
    """The node group that repairs may raise."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self.minimum, self.maximum = self._sizes()["minSize"], self._sizes()["maxSize"]

    def _group(self) -> dict[str, Any]:
        platform = self._operator.platform
        found = self._operator.clients["eks"].describe_nodegroup(
            clusterName=platform.cluster_name, nodegroupName=platform.node_group
        )
        return dict(found["nodegroup"])

    def _sizes(self) -> dict[str, int]:
        return dict(self._group()["scalingConfig"])

    @property
    def desired(self) -> int:
        """How many it is to have."""
        return self._sizes()["desiredSize"]

    @property
    def added(self) -> int:
        """How many more than its fewest."""
        return self.desired - self.minimum

    def resize(self, desired: int) -> None:
        """Change it by hand, and wait until it can be changed again."""
        platform = self._operator.platform
        self._settled()
        if self.desired != desired:
            self._operator.clients["eks"].update_nodegroup_config(
                clusterName=platform.cluster_name,
                nodegroupName=platform.node_group,
                scalingConfig={"desiredSize": desired},
            )
            self._settled()

    def _settled(self) -> None:
        self._operator.until(
            lambda: self._group()["status"], lambda status: status == "ACTIVE", "the node group", seconds=120
        )

    def reset(self) -> None:
        """As few as may be."""
        self.resize(self.minimum)

    @contextmanager
    def full(self) -> Iterator[None]:
        """Their CPU is in use, says the metric."""
        with self._operator.feeding(ALARM, 95):
            self._operator.wait_for_alarm(ALARM)
            yield


@pytest.fixture
def nodes(operator: Operator) -> Iterator[Nodes]:
    """The node group with as few nodes as may be."""
    group = Nodes(operator)
    group.reset()
    yield group
    group.reset()


@contextmanager
def unheard(operator: Operator) -> Iterator[None]:
    """Alarms set nothing off meanwhile, so that a test's own events and requests come first."""
    rule = f"{operator.config.name}-alarm-fired"
    operator.clients["events"].disable_rule(Name=rule)
    try:
        yield
    finally:
        operator.clients["events"].enable_rule(Name=rule)
