"""What the cluster needs besides the service: values of Helm charts that fit Terraform's roles, versions pinned."""

import re

import pytest
import yaml

from tests.infrastructure.manifests import ROOT

FOLDER = ROOT / "kubernetes/system"
CHARTS = ("aws-load-balancer-controller", "cluster-autoscaler")


@pytest.mark.parametrize("chart", CHARTS)
def test_the_version_is_pinned_and_stated_the_same(chart: str) -> None:
    text = (FOLDER / f"{chart}.yaml").read_text()
    (installed,) = re.findall(r"--version (\d+\.\d+\.\d+)", text)
    assert re.findall(rf"Helm chart {chart} (\d+\.\d+\.\d+)", text) == [installed]


@pytest.mark.parametrize("chart", CHARTS)
def test_the_service_account_is_the_one_that_may_take_the_role(chart: str) -> None:
    values = yaml.safe_load((FOLDER / f"{chart}.yaml").read_text())
    account = values.get("rbac", values)["serviceAccount"]["name"]
    assert account == chart
    trust = ROOT / "terraform/irsa.tf"
    if trust.exists():
        assert f'"kube-system:{account}"' in trust.read_text()


@pytest.mark.parametrize("chart", CHARTS)
def test_it_is_bounded(chart: str) -> None:
    resources = yaml.safe_load((FOLDER / f"{chart}.yaml").read_text())["resources"]
    assert {"cpu", "memory"} <= resources["requests"].keys()
    assert "memory" in resources["limits"]


def test_no_pod_of_the_service_is_made_without_its_gate() -> None:
    values = yaml.safe_load((FOLDER / "aws-load-balancer-controller.yaml").read_text())
    assert values["podMutatorWebhookConfig"]["failurePolicy"] == "Fail"
    assert values["replicaCount"] >= 2
