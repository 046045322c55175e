"""The container registry (ECR): from what a person calls an image to what a Deployment must run.

Whatever name it is given, `resolve` answers with a digest, so that a tag moved later changes nothing that was
approved, tested or recorded. `latest` is taken like any other tag: it means what it points to now.
"""

import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from opskit import clients
from opskit.errors import PlatformContractError, UnknownImageError

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_ecr.type_defs import ImageDetailTypeDef, ImageIdentifierTypeDef

    from opskit.platform import Platform

HINTS = 5
HINT_IMAGES = 1000

# https://github.com/distribution/reference/blob/main/reference.go; a registry has a dot, or is localhost.
_REFERENCE = re.compile(
    r"(?:(?P<registry>(?:localhost|[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)+)(?::[0-9]+)?)/)?"
    r"(?P<repository>[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):ecr:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):repository/(?P<name>.+)"
)


@dataclass(frozen=True, slots=True)
class Image:
    """An image in the service's repository.

    `uri` names it by digest. `tag` is the one it was asked for by, or else its only one, or else None.
    """

    repository: str
    tag: str | None
    digest: str
    uri: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Reference:
    """An image as someone wrote it: a tag, a digest, or both."""

    tag: str | None
    digest: str | None

    def __str__(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


class Registry:
    """The service's repository, as the platform contract names it."""

    def __init__(self, platform: "Platform", client: "ECRClient | None" = None) -> None:
        arn = _ARN.fullmatch(platform.image_repository_arn)
        if arn is None or arn["name"] != platform.image_repository:
            raise PlatformContractError(
                f"image_repository_arn {platform.image_repository_arn!r} is not the ARN of the ECR "
                f"repository {platform.image_repository!r}"
            )
        self._repository = platform.image_repository
        self._account = arn["account"]
        suffix = "amazonaws.com.cn" if arn["partition"] == "aws-cn" else "amazonaws.com"
        self._host = f"{self._account}.dkr.ecr.{arn['region']}.{suffix}"
        self._client: ECRClient = client or clients.client("ecr")

    def resolve(self, image: str) -> Image:
        """The image that `image` names now.

        Takes a tag (`1.2.3`), a digest (`sha256:…`), `repository:tag`, `repository@sha256:…`, and either of
        the last two after the registry's host. Raises `UnknownImageError` if it is malformed, of another
        registry or repository, not there, or archived; where ECR allows, the message lists the newest tags.
        """
        reference = parse(image, self._repository, self._host)
        identifier: ImageIdentifierTypeDef = {}
        if reference.tag:
            identifier["imageTag"] = reference.tag
        if reference.digest:
            identifier["imageDigest"] = reference.digest
        errors = self._client.exceptions
        try:
            found = self._client.describe_images(
                registryId=self._account, repositoryName=self._repository, imageIds=[identifier]
            )["imageDetails"]
        except errors.RepositoryNotFoundException as error:
            raise UnknownImageError(f"There is no repository {self._repository} in {self._host}.") from error
        except (errors.ImageNotFoundException, errors.InvalidParameterException) as error:
            raise self._unknown(reference) from error
        if not found or "imageDigest" not in found[0]:
            raise self._unknown(reference)
        status = found[0].get("imageStatus", "ACTIVE")
        if status != "ACTIVE":
            raise UnknownImageError(
                f"{self._repository}{reference} is {status} and cannot be pulled; restore it in ECR first."
            )
        digest = found[0]["imageDigest"]
        tags = found[0].get("imageTags", [])
        return Image(
            repository=self._repository,
            tag=reference.tag or (tags[0] if len(tags) == 1 else None),
            digest=digest,
            uri=f"{self._host}/{self._repository}@{digest}",
        )

    def _unknown(self, reference: Reference) -> UnknownImageError:
        tags = self._newest_tags()
        hint = f" Newest tags: {', '.join(tags)}." if tags else ""
        return UnknownImageError(f"{self._repository}{reference} is not in {self._host}.{hint}")

    def _newest_tags(self) -> list[str]:
        details: list[ImageDetailTypeDef] = []
        try:
            pages = self._client.get_paginator("describe_images").paginate(
                registryId=self._account,
                repositoryName=self._repository,
                filter={"tagStatus": "TAGGED"},
                PaginationConfig={"MaxItems": HINT_IMAGES},
            )
            for page in pages:
                details += page["imageDetails"]
        except (ClientError, BotoCoreError):
            return []  # a hint is not worth an error of its own
        details.sort(key=lambda detail: detail.get("imagePushedAt") or datetime.min.replace(tzinfo=UTC), reverse=True)
        return [tag for detail in details for tag in detail.get("imageTags", [])][:HINTS]


def parse(image: str, repository: str, host: str) -> Reference:
    """What `image` names in `repository` of the registry `host`; see `Registry.resolve`.

    Raises `UnknownImageError` if it is malformed, names neither tag nor digest, or another registry or
    repository.
    """
    if _DIGEST.fullmatch(image):
        return Reference(None, image)
    if _TAG.fullmatch(image) and image != repository:
        return Reference(image, None)
    match = _REFERENCE.fullmatch(image)
    if match is None:
        raise UnknownImageError(
            f"{image!r} is not an image: give a tag (1.2.3), {repository}:<tag> or {repository}@sha256:<64 hex digits>."
        )
    if match["registry"] not in (None, host):
        raise UnknownImageError(f"{image} is in the registry {match['registry']}; only {host} is allowed.")
    if match["repository"] != repository:
        raise UnknownImageError(f"{image} is of the repository {match['repository']}; only {repository} is allowed.")
    if not match["tag"] and not match["digest"]:
        raise UnknownImageError(f"{image} names neither a tag nor a digest; add one ({repository}:1.2.3).")
    return Reference(match["tag"], match["digest"])
