"""checkov finds nothing in the planned environments but what has its reason in terraform/policy-exceptions.yaml."""

import dataclasses

import pytest

from scripts.scan_platform import EXCEPTIONS, Finding, excused, sarif, scan
from tests.infrastructure import terraform as tf


@pytest.fixture(scope="module")
def found(platform_of):
    return scan({environment: platform_of(environment) for environment in tf.ENVIRONMENTS})


def test_every_finding_has_its_reason(found):
    assert not [finding for finding in found if not excused(finding)]


def test_every_exception_is_needed(found):
    assert found
    unused = [
        (entry["check"], name)
        for entry in EXCEPTIONS
        for name in entry["resources"]
        if not any(excused(finding, [entry | {"resources": [name]}]) for finding in found)
    ]
    assert not unused


def test_every_exception_says_why():
    assert all(len(entry["reason"].split()) > 3 for entry in EXCEPTIONS)


def test_what_has_no_reason_is_reported_where_it_is_declared(found):
    excuse = next(finding for finding in found if finding.address == 'aws_s3_bucket.main["access-logs"]')
    assert not excused(dataclasses.replace(excuse, check="CKV_AWS_0"))
    report = sarif([excuse, Finding("bootstrap", "CKV_AWS_0", "aws_s3_bucket.state")])
    places = [result["locations"][0]["physicalLocation"] for result in report["runs"][0]["results"]]
    for place, block in zip(places, ['"state" {', '"main" {'], strict=True):
        line = (tf.ROOT / place["artifactLocation"]["uri"]).read_text().splitlines()[place["region"]["startLine"] - 1]
        assert line == f'resource "aws_s3_bucket" {block}'
    assert {rule["id"] for rule in report["runs"][0]["tool"]["driver"]["rules"]} == {"CKV_AWS_0", excuse.check}
