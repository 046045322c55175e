"""The pipelines' roles, as terraform/bootstrap makes them, are enough for what their jobs run, and for no more.

The sandbox decides by IAM as AWS does. That the role that verifies is enough is shown in test_disaster_recovery.py.
What `plan` and `apply` may cannot be tried: it is Terraform's to use.
"""

import pytest

pytestmark = pytest.mark.timeout(900)


def test_the_role_that_releases_is_enough_for_a_release(shell, deployed, credentials):
    assert deployed.code == 0, deployed.output
    done = shell.run("release.sh", IMAGE="1.2.0", NAME="role-1", OPS_ENVIRONMENT="dev", **credentials("release-dev"))
    assert done.code == 0, done.output
    done = shell.run("release.sh", IMAGE="1.1.0", NAME="role-2", OPS_ENVIRONMENT="dev", **credentials("release-dev"))
    assert done.code == 0, done.output


@pytest.mark.parametrize(
    ("role", "script", "arguments"),
    [
        ("verify-staging", "release.sh", ()),
        ("plan-dev", "release.sh", ()),
        ("release-dev", "disaster-recovery.sh", ("backup",)),
    ],
)
def test_no_role_may_do_anothers_work(shell, deployed, credentials, role, script, arguments):
    variables = {"IMAGE": "1.2.0", "NAME": f"by-{role}", "OPS_ENVIRONMENT": "dev"}
    done = shell.run(script, *arguments, **variables, **credentials(role))
    assert done.code == 4, done.output
    assert "denied" in done.output.lower()
