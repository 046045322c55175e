"""Images of the reference service: manifests in ECR whose annotations say what the kubelet is to run."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sandbox.service.variants import Parameters, Variant

MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
VARIANT = "sandbox.variant"
VERSION = "sandbox.version"
PARAMETERS = "sandbox.parameters"

# The empty descriptor: https://github.com/opencontainers/image-spec/blob/main/manifest.md
_EMPTY = {
    "mediaType": "application/vnd.oci.empty.v1+json",
    "digest": "sha256:" + hashlib.sha256(b"{}").hexdigest(),
    "size": 2,
    "data": "e30=",
}


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What an image of the reference service runs as."""

    version: str
    variant: str
    parameters: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PushedImage:
    """One image in a repository."""

    digest: str
    tags: tuple[str, ...]
    config: ImageConfig


def manifest(config: ImageConfig) -> str:
    """The OCI image manifest, as canonical JSON: the same config has the same digest."""
    annotations = {VARIANT: config.variant, VERSION: config.version}
    if config.parameters:
        annotations[PARAMETERS] = json.dumps(config.parameters, sort_keys=True)
    document = {
        "schemaVersion": 2,
        "mediaType": MEDIA_TYPE,
        "artifactType": "application/vnd.detection-ops.sandbox-service",
        "config": _EMPTY,
        "layers": [_EMPTY],
        "annotations": annotations,
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def config_of(document: dict[str, Any]) -> ImageConfig:
    """What a manifest says; raises KeyError or ValueError for one that `push` did not make."""
    annotations = document.get("annotations") or {}
    return _checked(annotations[VERSION], annotations[VARIANT], json.loads(annotations.get(PARAMETERS, "{}")))


def _checked(version: str, variant: str, parameters: Mapping[str, float]) -> ImageConfig:
    if unknown := parameters.keys() - asdict(Parameters()).keys():
        raise ValueError(f"unknown parameters: {', '.join(sorted(unknown))}")
    # As the service's command line wants them: whole numbers where the default is one.
    defaults = asdict(Parameters())
    typed = {name: type(defaults[name])(value) for name, value in parameters.items()}
    return ImageConfig(version, Variant(variant).value, typed)


def push(
    ecr_client: Any,
    repository: str,
    tag: str,
    version: str,
    variant: str = Variant.GOOD,
    *,
    parameters: Mapping[str, float] | None = None,
) -> str:
    """Put an image of the service into `repository` and return its digest (`sha256:…`).

    `parameters` are fields of `sandbox.service.variants.Parameters`. Raises ValueError for an unknown variant
    or parameter, and ClientError as ECR's PutImage does.
    """
    text = manifest(_checked(version, variant, parameters or {}))
    answer = ecr_client.put_image(
        repositoryName=repository,
        imageManifest=text,
        imageManifestMediaType=MEDIA_TYPE,
        imageTag=tag,
        # ECR would compute it; moto would take the config's, which all our images share.
        imageDigest="sha256:" + hashlib.sha256(text.encode()).hexdigest(),
    )
    return str(answer["image"]["imageId"]["imageDigest"])


def images(ecr_client: Any, repository: str) -> list[PushedImage]:
    """The images of the service in `repository`; others are left out."""
    tags: dict[str, list[str]] = {}
    for page in ecr_client.get_paginator("list_images").paginate(repositoryName=repository):
        for each in page["imageIds"]:
            tags.setdefault(each["imageDigest"], [])
            if "imageTag" in each:
                tags[each["imageDigest"]].append(each["imageTag"])
    found: list[PushedImage] = []
    digests = list(tags)
    for start in range(0, len(digests), 100):  # BatchGetImage takes up to 100
        answer = ecr_client.batch_get_image(
            repositoryName=repository,
            imageIds=[{"imageDigest": digest} for digest in digests[start : start + 100]],
            acceptedMediaTypes=[MEDIA_TYPE],
        )
        for image in answer["images"]:
            try:
                config = config_of(json.loads(image["imageManifest"]))
            except (KeyError, ValueError):
                continue
            digest = image["imageId"]["imageDigest"]
            pushed = PushedImage(digest, tuple(sorted(tags.get(digest, []))), config)
            if pushed not in found:
                found.append(pushed)
    return found
