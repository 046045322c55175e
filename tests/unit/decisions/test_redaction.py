"""What of a Kubernetes object is kept."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.decisions.redaction import REDACTED, clean, looks_secret


def deployment(**container: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "api",
            "namespace": "n",
            "uid": "u",
            "resourceVersion": "7",
            "generation": 3,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [{"manager": "kubectl"}],
            "labels": {"colour": "blue"},
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": '{"env": "hunter2"}',
                "deployment.kubernetes.io/revision": "4",
                "owner": "us",
            },
        },
        "spec": {"template": {"spec": {"containers": [{"name": "app", **container}]}}},
        "status": {"replicas": 2},
    }


def container_of(kept: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = kept["spec"]["template"]["spec"]["containers"][0]
    return found


def test_what_the_cluster_fills_in_is_left_out_and_the_rest_stays() -> None:
    kept, redacted = clean(deployment(image="i", env=[{"name": "COLOUR", "value": "blue"}]))
    assert kept["metadata"] == {
        "name": "api",
        "namespace": "n",
        "labels": {"colour": "blue"},
        "annotations": {"owner": "us"},
    }
    assert "status" not in kept
    assert container_of(kept) == {"name": "app", "image": "i", "env": [{"name": "COLOUR", "value": "blue"}]}
    assert redacted == 0


@pytest.mark.parametrize(
    "name",
    [
        "DATABASE_PASSWORD",
        "password",
        "PASSPHRASE",
        "api_key",
        "apiKey",
        "AWS_SECRET_ACCESS_KEY",
        "GITHUB_TOKEN",
        "private-key",
        "DB_PWD",
        "SENTRY_DSN",
        "BASIC_AUTH",
        "encryptionKey",
        "DB_CREDENTIALS",
        "ACCESS_KEY",
    ],
)
def test_a_secret_in_the_environment_is_redacted_and_counted(name: str) -> None:
    assert looks_secret(name)
    kept, redacted = clean(deployment(env=[{"name": name, "value": "hunter2"}]))
    assert container_of(kept)["env"] == [{"name": name, "value": REDACTED}]
    assert redacted == 1
    assert "hunter2" not in json.dumps(kept)


@pytest.mark.parametrize(
    "name",
    [
        "PASSWORD_FILE",
        "SECRET_NAME",
        "SECRET_ARN",
        "TOKEN_URL",
        "TOKEN_TTL_SECONDS",
        "AUTHOR",
        "MONKEY",
        "KEYS",
        "COMPASS",
        "BYPASSED",
        "AUTHORITY",
    ],
)
def test_what_only_points_at_a_secret_stays(name: str) -> None:
    assert not looks_secret(name)
    assert clean(deployment(env=[{"name": name, "value": "v"}]))[1] == 0


def test_a_reference_to_a_secret_stays() -> None:
    variable = {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}
    kept, redacted = clean(deployment(env=[variable]))
    assert (container_of(kept)["env"], redacted) == ([variable], 0)


@pytest.mark.parametrize(
    "arguments",
    [["--password=hunter2"], ["--db-password", "hunter2"], ["-token", "hunter2"], ["postgres://me:hunter2@db/x"]],
)
def test_a_secret_among_the_arguments_is_redacted(arguments: list[str]) -> None:
    for place in ("args", "command"):
        kept, redacted = clean(deployment(**{place: ["run", *arguments, "--verbose"]}))
        assert "hunter2" not in json.dumps(kept)
        assert redacted == 1
        assert container_of(kept)[place][-1] == "--verbose"


def test_a_key_and_the_credentials_in_a_url_are_redacted_wherever_they_are() -> None:
    pem = "-----BEGIN RSA PRIVATE KEY-----\nMII…"
    env = [{"name": "CERT", "value": pem}, {"name": "QUEUE", "value": "amqps://me:hunter2@mq:5671/x"}]
    kept, redacted = clean(deployment(env=env))
    assert redacted == 2
    assert container_of(kept)["env"][1]["value"] == f"amqps://me:{REDACTED}@mq:5671/x"
    assert "MII" not in json.dumps(kept)


def test_entries_of_a_config_map_are_judged_by_their_names() -> None:
    data = {"LEVEL": "info", "db.password": "hunter2", "url": "http://me:hunter2@x"}
    kept, redacted = clean(
        {"kind": "ConfigMap", "metadata": {"name": "c"}, "data": data, "binaryData": {"token": "QQ"}}
    )
    assert kept["data"] == {"LEVEL": "info", "db.password": REDACTED, "url": f"http://me:{REDACTED}@x"}
    assert kept["binaryData"] == {"token": REDACTED}
    assert redacted == 3


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
        max_leaves=12,
    )
)
def test_any_spec_is_taken(spec: Any) -> None:
    kept, _ = clean({"kind": "X", "metadata": {"name": "n"}, "spec": spec})
    again, redacted = clean(kept)
    assert again == kept
    assert redacted == 0
