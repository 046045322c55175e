"""Pulls images: asks ECR what is behind a reference, and makes it a command line."""

import asyncio
import json
import re
import sys
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.images import MEDIA_TYPE, ImageConfig, config_of

_REFERENCE = re.compile(
    r"^(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com/(?P<repository>[a-z0-9._/-]+?)"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64})|:(?P<tag>[A-Za-z0-9._-]{1,128}))$"
)


class PullError(Exception):
    """The image cannot be had; the message is for the pod's status."""


@dataclass(frozen=True, slots=True)
class Image:
    """A pulled image."""

    digest: str
    uri: str
    config: ImageConfig

    def command(self, *, port: int, metrics_port: int, colour: str) -> list[str]:
        """The command line of its process; `metrics_port` is 0 where the container has no port of that name."""
        return [
            sys.executable,
            "-m",
            "sandbox.service",
            *("--port", str(port), "--metrics-port", str(metrics_port), "--version", self.config.version),
            *("--variant", self.config.variant, "--colour", colour),
            *(
                part
                for name, value in self.config.parameters.items()
                for part in (f"--{name.replace('_', '-')}", str(value))
            ),
        ]


class Images:
    """Images by reference; one that was pulled by digest is never asked for again."""

    def __init__(self, ecr: Any) -> None:
        self._ecr = ecr
        self._pulled: dict[str, Image] = {}

    async def pull(self, reference: str) -> Image:
        """The image behind `<account>.dkr.ecr.<region>.amazonaws.com/<repository>@<digest>` (or `:<tag>`).

        Raises `PullError`.
        """
        found = _REFERENCE.match(reference)
        if not found:
            raise PullError(f'couldn\'t parse image name "{reference}": not an ECR reference')
        if reference in self._pulled:
            return self._pulled[reference]
        image = await asyncio.to_thread(self._fetch, reference, found)
        if found["digest"]:
            self._pulled[reference] = image
        return image

    def _fetch(self, reference: str, found: re.Match[str]) -> Image:
        identifier = {"imageDigest": found["digest"]} if found["digest"] else {"imageTag": found["tag"]}
        try:
            answer = self._ecr.batch_get_image(
                registryId=found["account"],
                repositoryName=found["repository"],
                imageIds=[identifier],
                acceptedMediaTypes=[MEDIA_TYPE],
            )
        except (ClientError, BotoCoreError) as error:
            raise PullError(f'failed to pull image "{reference}": {error}') from error
        if not answer["images"]:
            raise PullError(f'failed to pull image "{reference}": not found')
        image = answer["images"][0]
        try:
            config = config_of(json.loads(image["imageManifest"]))
        except (ValueError, KeyError) as error:
            raise PullError(f'failed to run image "{reference}": not built by the sandbox ({error})') from error
        digest = image["imageId"]["imageDigest"]
        base = reference.partition("@")[0] if found["digest"] else reference.rpartition(":")[0]
        return Image(digest, f"{base}@{digest}", config)
