"""Images of the service in ECR: what is pushed is what the kubelet reads back."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from sandbox.images import ImageConfig, PushedImage, images, manifest, push
from sandbox.kubernetes.kubelet.images import Images, PullError

REGISTRY = "000000000000.dkr.ecr.us-east-1.amazonaws.com"


@pytest.fixture
def ecr(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ECR"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        client = boto3.client("ecr", region_name="us-east-1")
        client.create_repository(repositoryName="api")
        yield client


def test_a_pushed_image_is_listed_and_its_digest_is_that_of_its_manifest(ecr: Any) -> None:
    good = push(ecr, "api", "1.0.0", "1.0.0")
    bad = push(ecr, "api", "1.1.0", "1.1.0", "errors", parameters={"after_requests": 10.0})
    config = ImageConfig("1.1.0", "errors", {"after_requests": 10})
    assert bad == "sha256:" + hashlib.sha256(manifest(config).encode()).hexdigest()
    assert images(ecr, "api") == [
        PushedImage(good, ("1.0.0",), ImageConfig("1.0.0", "good")),
        PushedImage(bad, ("1.1.0",), config),
    ]


@pytest.mark.parametrize(
    ("variant", "parameters"), [("perfect", None), ("slow", {"speed": 1.0})], ids=["variant", "parameter"]
)
def test_what_the_service_does_not_know_cannot_be_pushed(ecr: Any, variant: str, parameters: Any) -> None:
    with pytest.raises(ValueError, match=r"perfect|speed"):
        push(ecr, "api", "1", "1", variant, parameters=parameters)
    assert images(ecr, "api") == []


async def test_a_pulled_image_becomes_a_command(ecr: Any) -> None:
    digest = push(ecr, "api", "1.1.0", "1.1.0", "slow", parameters={"delay_seconds": 1})
    for reference in (f"{REGISTRY}/api@{digest}", f"{REGISTRY}/api:1.1.0"):
        image = await Images(ecr).pull(reference)
        assert image.uri == f"{REGISTRY}/api@{digest}"
        options = image.command(port=9, metrics_port=10, colour="green")[3:]
        assert dict(zip(options[::2], options[1::2], strict=True)) == {
            "--port": "9",
            "--metrics-port": "10",
            "--version": "1.1.0",
            "--variant": "slow",
            "--colour": "green",
            "--delay-seconds": "1.0",
        }


@pytest.mark.parametrize(
    "reference",
    [
        "api:1",
        "docker.io/library/nginx:latest",
        f"{REGISTRY}/api",
        f"{REGISTRY}/api@sha256:{'0' * 64}",
        f"{REGISTRY}/api:none",
        f"{REGISTRY}/missing:1",
    ],
)
async def test_what_is_not_there_cannot_be_pulled(ecr: Any, reference: str) -> None:
    with pytest.raises(PullError):
        await Images(ecr).pull(reference)


async def test_an_image_of_another_kind_cannot_be_run(ecr: Any) -> None:
    document = json.loads(manifest(ImageConfig("1", "good")))
    del document["annotations"]
    ecr.put_image(repositoryName="api", imageManifest=json.dumps(document), imageTag="other")
    with pytest.raises(PullError, match="not built by the sandbox"):
        await Images(ecr).pull(f"{REGISTRY}/api:other")
    assert images(ecr, "api") == []
