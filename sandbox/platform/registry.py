"""ECR: digests are those of the manifests, pushes announce themselves on the event bus."""

import hashlib
import json
import threading
from typing import Any

from moto.ecr.models import ecr_backends

from sandbox.platform.application import Forward
from sandbox.platform.automation import Automation
from sandbox.platform.calls import Answer, Call
from sandbox.platform.errors import AwsError


class Registry:
    """The concern for ECR."""

    service = "ecr"

    def __init__(self, *, account: str, automation: Automation, lock: threading.RLock) -> None:
        self._account = account
        self._lock = lock
        self._automation = automation

    def handle(self, call: Call, forward: Forward) -> Answer:
        """Answer one ECR call."""
        if call.operation == "PutImage":
            return self._put_image(call, forward)
        if call.operation == "BatchGetImage":
            return self._batch_get_image(call, forward)
        return forward()

    def _put_image(self, call: Call, forward: Forward) -> Answer:
        repository, manifest = call.params.get("repositoryName", ""), call.params.get("imageManifest", "")
        if repository not in ecr_backends[self._account][call.region].repositories:
            raise AwsError(
                "RepositoryNotFoundException",
                f"The repository with name '{repository}' does not exist in the registry with id '{self._account}'",
            )
        try:
            json.loads(manifest)
        except ValueError:
            raise AwsError(
                "InvalidParameterException",
                "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'",
            ) from None
        digest = f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"
        if call.params.get("imageDigest") not in (None, digest):
            raise AwsError(
                "ImageDigestDoesNotMatchException",
                "The image digest in the request does not match the digest calculated by ECR",
            )
        with self._lock:
            self._move_tag(call, repository, manifest)
            answer = forward()
            if not answer.ok:
                return answer
            for image in ecr_backends[self._account][call.region].repositories[repository].images:
                if image.image_manifest == manifest:
                    # moto makes digests up.
                    image._image_digest = digest
        document = json.loads(answer.body)
        document["image"]["imageId"]["imageDigest"] = digest
        self._automation.emit("aws.ecr", "ECR Image Action", push_event(repository, document["image"]["imageId"]))
        return Answer(answer.status, json.dumps(document).encode(), answer.headers)

    def _move_tag(self, call: Call, name: str, manifest: str) -> None:
        """Take a tag that can move from the image that has it; moto would delete that image.

        On AWS it stays, untagged ("Image tag mutability", ECR user guide), and a rollback by digest finds it.
        """
        repository, tag = ecr_backends[self._account][call.region].repositories[name], call.params.get("imageTag")
        if tag is None or repository.is_tag_immutable():
            return
        for image in repository.images:
            if tag in image.image_tags and image.image_manifest != manifest:
                image.image_tags.remove(tag)
                # An untagged image has None there, as moto's own constructor allows.
                image.image_tag = image.image_tags[-1] if image.image_tags else None  # type: ignore[assignment]

    def _batch_get_image(self, call: Call, forward: Forward) -> Answer:
        answer = forward()
        if not answer.ok:
            return answer
        document = json.loads(answer.body)
        found = [image["imageId"] for image in document["images"]]
        images = {image.get("imageDigest") for image in found} | {image.get("imageTag") for image in found}
        missing = [
            one
            for one in call.params.get("imageIds", ())
            if (one.get("imageDigest") or one.get("imageTag")) not in images
        ]
        if document.get("failures"):
            # moto names a missing digest `imageTag: null`.
            document["failures"] = [
                {
                    "imageId": one,
                    "failureCode": "ImageNotFound",
                    "failureReason": "Requested image not found",
                }
                for one in missing
            ]
            return Answer(answer.status, json.dumps(document).encode(), answer.headers)
        return answer


def push_event(repository: str, image: dict[str, Any]) -> dict[str, Any]:
    """`detail` of the event for a completed push ("Amazon ECR events and EventBridge", ECR user guide)."""
    return {
        "result": "SUCCESS",
        "repository-name": repository,
        "image-digest": image["imageDigest"],
        "action-type": "PUSH",
        # A push by digest alone has no tag.
        **({"image-tag": image["imageTag"]} if image.get("imageTag") else {}),
    }
