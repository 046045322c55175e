import hashlib
import json
from typing import Any

import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from opskit.adapters.registry import Image, Reference, Registry, parse
from opskit.errors import PlatformContractError, UnknownImageError
from opskit.platform import Platform

from .conftest import aws_client, make_platform

HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
REPOSITORY = "detection-api"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
ELSEWHERE = "sha256:" + "f" * 64


@pytest.fixture
def ecr() -> Any:
    client = aws_client("ecr")
    client.create_repository(repositoryName=REPOSITORY)
    return client


def push(ecr: Any, *tags: str) -> str:
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "annotations": {"tags": " ".join(tags)}})
    # Given, as moto does not derive it from the whole manifest.
    digest = "sha256:" + hashlib.sha256(manifest.encode()).hexdigest()
    for tag in tags:
        ecr.put_image(repositoryName=REPOSITORY, imageManifest=manifest, imageTag=tag, imageDigest=digest)
    return digest


@pytest.mark.parametrize(
    "form",
    [
        "1.2.3",
        "{repository}:1.2.3",
        "{host}/{repository}:1.2.3",
        "{digest}",
        "{repository}@{digest}",
        "{host}/{repository}@{digest}",
        "{host}/{repository}:1.2.3@{digest}",
    ],
)
def test_every_way_to_name_an_image_ends_at_its_digest(platform: Platform, ecr: Any, form: str) -> None:
    push(ecr, "1.2.2")
    digest = push(ecr, "1.2.3")
    image = Registry(platform, ecr).resolve(form.format(host=HOST, repository=REPOSITORY, digest=digest))
    assert image == Image(REPOSITORY, "1.2.3", digest, f"{HOST}/{REPOSITORY}@{digest}")
    assert Image.from_dict(image.as_dict()) == image


def test_a_tag_means_what_it_points_to_now(platform: Platform, ecr: Any) -> None:
    push(ecr, "1.2.2", "latest")
    digest = push(ecr, "1.2.3", "latest")
    assert Registry(platform, ecr).resolve("latest").digest == digest


def test_a_digest_with_several_tags_is_given_none(platform: Platform, ecr: Any) -> None:
    digest = push(ecr, "1.2.3", "latest")
    assert Registry(platform, ecr).resolve(digest).tag is None


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("docker.io/detection-api:1.2.3", "registry docker.io; only 123456789012.dkr"),
        (f"999999999999.dkr.ecr.us-east-1.amazonaws.com/{REPOSITORY}:1", "registry 999999999999"),
        (f"{HOST}/other:1.2.3", "repository other; only detection-api"),
        ("other:1.2.3", "repository other"),
        ("team/detection-api:1.2.3", "repository team/detection-api"),
        ("detection-api", "neither a tag nor a digest"),
        (f"{HOST}/{REPOSITORY}", "neither a tag nor a digest"),
        ("detection-api@sha256:abc", "not an image"),
        ("", "not an image"),
        ("1.2.3 ", "not an image"),
        ("-x", "not an image"),
        ("v1\n", "not an image"),
        ("a" * 129 + ":", "not an image"),
    ],
)
def test_refuses_what_is_not_an_image_of_the_service(platform: Platform, ecr: Any, image: str, message: str) -> None:
    with pytest.raises(UnknownImageError, match=message):
        Registry(platform, ecr).resolve(image)


@pytest.mark.parametrize("image", ["9.9.9", f"{REPOSITORY}@{ELSEWHERE}", f"{REPOSITORY}:1.2.3@{ELSEWHERE}"])
def test_an_image_that_is_not_there_is_unknown(platform: Platform, ecr: Any, image: str) -> None:
    push(ecr, "1.2.3")
    with pytest.raises(UnknownImageError, match=r"is not in 123456789012.* Newest tags: 1\.2\.3\."):
        Registry(platform, ecr).resolve(image)


def test_hints_at_the_five_newest_tags(platform: Platform) -> None:
    client = aws_client("ecr")
    details = [
        {"imageDigest": f"sha256:{n:064}", "imageTags": [f"1.0.{n}"], "imagePushedAt": 1_700_000_000 + n}
        for n in (3, 1, 7, 5, 2, 6, 4)
    ]
    with Stubber(client) as stub:
        stub.add_client_error("describe_images", "ImageNotFoundException")
        stub.add_response("describe_images", {"imageDetails": details})
        with pytest.raises(UnknownImageError, match=r"tags: 1\.0\.7, 1\.0\.6, 1\.0\.5, 1\.0\.4, 1\.0\.3\."):
            Registry(platform, client).resolve("9.9.9")


def test_gives_no_hint_where_listing_is_refused(platform: Platform) -> None:
    client = aws_client("ecr")
    with Stubber(client) as stub:
        stub.add_client_error("describe_images", "ImageNotFoundException")
        stub.add_client_error("describe_images", "AccessDeniedException")
        with pytest.raises(UnknownImageError, match=r"amazonaws\.com\.$"):
            Registry(platform, client).resolve("9.9.9")


def test_an_archived_image_cannot_be_released(platform: Platform) -> None:
    client = aws_client("ecr")
    with Stubber(client) as stub:
        stub.add_response("describe_images", {"imageDetails": [{"imageDigest": ELSEWHERE, "imageStatus": "ARCHIVED"}]})
        with pytest.raises(UnknownImageError, match="ARCHIVED"):
            Registry(platform, client).resolve("1.2.3")


def test_a_repository_that_is_not_there_is_unknown(platform: Platform) -> None:
    with pytest.raises(UnknownImageError, match=f"no repository {REPOSITORY} in {HOST}"):
        Registry(platform, aws_client("ecr")).resolve("1.2.3")


def test_a_contract_that_contradicts_itself_is_refused(ecr: Any) -> None:
    platform = make_platform(image_repository="another")
    with pytest.raises(PlatformContractError, match="image_repository_arn"):
        Registry(platform, ecr)


tags = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}", fullmatch=True).filter(lambda tag: tag != REPOSITORY)
digests = st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)


@given(tags)
def test_parses_every_tag(tag: str) -> None:
    for form in (tag, f"{REPOSITORY}:{tag}", f"{HOST}/{REPOSITORY}:{tag}"):
        assert parse(form, REPOSITORY, HOST) == Reference(tag, None)


@given(tags, digests)
def test_parses_every_digest(tag: str, digest: str) -> None:
    assert parse(f"{REPOSITORY}@{digest}", REPOSITORY, HOST) == Reference(None, digest)
    assert parse(f"{HOST}/{REPOSITORY}:{tag}@{digest}", REPOSITORY, HOST) == Reference(tag, digest)


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        reference = parse(text, REPOSITORY, HOST)
    except UnknownImageError:
        return
    assert reference.tag or reference.digest
