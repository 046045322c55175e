"""scripts/deploy.sh against a sandbox, end to end, and each stage's failure.

SAM, `ops`, curl, the service and its releases are real, Terraform is but for AWS and its backend; see stand_ins.py.
"""

import json
import os
import re
import shlex
import signal
import subprocess
from contextlib import contextmanager

import pytest
import urllib3

from sandbox.deploy import ROOT
from tests.delivery.conftest import OPS
from tests.delivery.stand_ins import FAILED, HANGING, LINGERING

pytestmark = pytest.mark.timeout(900)
STAGES = ["validation", "preparation", "infrastructure", "application", "health", "summary"]


@pytest.fixture
def deploy(shell, deployed, archive):
    """Deploy again, on what was deployed."""
    assert deployed.code == 0, deployed.output
    return lambda **variables: shell.run("deploy.sh", "dev", **{"BUILD": str(archive), **variables})


@pytest.fixture
def only_application(shell, deploy):
    """The quick way to the later stages: what is there is planned once more, and the automation is left alone."""
    planned = shell.run("plan.sh", "dev")
    assert planned.code == 0, planned.output
    return lambda **variables: deploy(PLAN=str(ROOT / "out/plans/dev.tfplan"), SKIP_AUTOMATION="true", **variables)


def version(config):
    return urllib3.request("GET", f"{config.service_url}/version", timeout=10).json()["version"]


def stack(operator):
    (found,) = operator.clients["cloudformation"].describe_stacks(StackName=f"{operator.config.name}-automation")[
        "Stacks"
    ]
    return found


class TestEverything:
    def test_all_six_stages_pass(self, deployed):
        assert deployed.code == 0, deployed.output
        assert deployed.stages == STAGES

    def test_what_was_planned_is_what_was_applied(self, deployed):
        commands = [call.split()[2] for call in deployed.calls if call.startswith("terraform")]
        assert commands[:6] == ["init", "validate", "fmt", "plan", "show", "apply"]
        (planned,) = [call for call in deployed.calls if call.startswith("terraform -chdir=terraform plan ")]
        plan = str(ROOT / "out/plans/dev.tfplan")
        assert f"-out={plan}" in planned
        assert f"terraform -chdir=terraform apply -input=false {plan}" in deployed.calls
        (initialised,) = [call for call in deployed.calls if "-chdir=terraform init" in call]
        assert "-backend-config=bucket=detection-api-terraform-state-000000000000" in initialised
        assert "Apply complete!" in deployed.output

    def test_the_charts_are_those_that_the_values_are_for(self, deployed):
        installed = [call.split() for call in deployed.calls if call.startswith("helm")]
        assert [(call[3], call[call.index("--version") + 1]) for call in installed] == [
            ("aws-load-balancer-controller", "3.6.0"),
            ("cluster-autoscaler", "9.56.0"),
            ("prometheus", "92.20.0"),
        ]

    def test_the_automation_is_deployed_and_works(self, deployed, operator):
        assert deployed.code == 0
        assert stack(operator)["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE")

    def test_the_image_is_live(self, deployed, operator):
        assert "1.1.0 is released" in deployed.output
        live = operator.ledger.live()
        assert live is not None
        assert live.colour == operator.weights().whole

    def test_everything_that_was_said_is_in_the_log(self, deployed, shell):
        assert deployed.output in (shell.folder / "deploy.log").read_text()

    def test_the_kubeconfig_is_its_own_and_nobody_elses_to_read(self, deployed, shell):
        assert deployed.code == 0
        assert (ROOT / "out/kubeconfig/dev").stat().st_mode & 0o077 == 0
        assert not (shell.folder / ".kube").exists()

    def test_no_credentials_are_said(self, deployed, config):
        token = (config.dir / "kubernetes-admin.token").read_text()
        assert token not in deployed.output


class TestOptions:
    def test_a_dry_run_shows_everything_and_changes_nothing(self, deploy, operator, config):
        before, live = stack(operator), version(config)
        seen = deploy(DRY_RUN="true", IMAGE="1.2.0")
        assert seen.code == 0, seen.output
        assert seen.stages == STAGES
        assert "nothing was changed (dry run)" in seen.output
        assert not [call for call in seen.calls if " apply " in call or call.startswith(("helm", "kubectl"))]
        assert stack(operator).get("LastUpdatedTime") == before.get("LastUpdatedTime")
        assert version(config) == live

    def test_health_is_not_waited_for_if_that_is_wished(self, only_application):
        done = only_application(SKIP_VALIDATION="true")
        assert done.code == 0, done.output
        assert not [call for call in done.calls if call.startswith("kubectl wait")]

    def test_a_plan_that_has_become_stale_is_refused(self, deploy, shell):
        """Of the empty state: since then everything has been applied."""
        done = deploy(PLAN=str(shell.folder / "first.tfplan"), SKIP_AUTOMATION="true")
        assert done.code == 1, done.output
        assert "Saved plan is stale" in done.output
        assert "FAILED in stage 3 (infrastructure)" in done.output

    @pytest.mark.parametrize(
        ("arguments", "variables"),
        [
            ((), {}),
            (("production",), {}),
            (("dev", "staging"), {}),
            (("dev",), {"DRY_RUN": "yes"}),
            (("dev",), {"PLAN": "no-such.tfplan"}),
        ],
    )
    def test_wrong_usage(self, shell, arguments, variables):
        done = shell.run("deploy.sh", *arguments, **variables)
        assert done.code == 2, done.output
        assert "deploy: " in done.output
        assert not [call for call in done.calls if not call.startswith("aws sts")]

    def test_help(self, shell):
        done = shell.run("deploy.sh", "--help")
        assert done.code == 0
        assert "DRY_RUN=true" in done.output


class TestFailures:
    @pytest.mark.parametrize(
        ("stage", "fails", "says"),
        [
            (1, "aws sts get-caller-identity", "nothing was changed"),
            (2, "terraform init", "nothing was changed"),
            (2, "terraform plan", "nothing was changed"),
            (3, "terraform apply", "what was applied stays"),
            (3, "aws eks update-kubeconfig", "what was applied stays"),
        ],
    )
    def test_it_stops_there_and_says_what_that_means(self, deploy, stage, fails, says):
        done = deploy(FAIL=fails, IMAGE="1.2.0")
        assert done.code == FAILED, done.output
        assert done.stages == [*STAGES[:stage], "summary"]
        assert f"FAILED in stage {stage} ({STAGES[stage - 1]}) with exit code {FAILED}" in done.output
        assert says in done.output

    @pytest.mark.parametrize(
        "fails", ["helm upgrade --install prometheus", "kubectl apply --server-side --field-manager"]
    )
    def test_charts_and_manifests(self, only_application, fails):
        done = only_application(FAIL=fails)
        assert done.code == FAILED, done.output
        assert "FAILED in stage 4 (application)" in done.output
        assert "infrastructure, charts, manifests stay as applied" in done.output

    def test_a_tool_that_is_not_there(self, deploy):
        done = deploy(HELM="/nowhere/helm")
        assert done.code == 127
        assert done.stages == ["validation", "summary"]
        assert "/nowhere/helm" in done.output

    def test_an_archive_that_was_changed_is_not_deployed(self, shell, deploy, archive, tmp_path):
        changed = tmp_path / archive.name
        changed.write_bytes(archive.read_bytes() + b"\0")
        (tmp_path / f"{archive.name}.sha256").write_text(archive.with_name(f"{archive.name}.sha256").read_text())
        done = shell.run("deploy-automation.sh", "dev", BUILD=str(changed))
        assert done.code == 1, done.output
        assert "automation.tar.gz: FAILED" in done.output

    def test_an_update_that_fails_leaves_the_stack_as_it_was(self, shell, deploy, archive, operator, ops):
        broken = shell.folder / "broken.toml"
        text = (shell.folder / "samconfig.toml").read_text()
        broken.write_text(text.replace("/dev/platform/listener_arn", "/dev/platform/no_such_parameter"))
        before = stack(operator)
        done = shell.run("deploy-automation.sh", "dev", BUILD=str(archive), SAM_CONFIG=str(broken))
        assert done.code == 1, done.output
        after = stack(operator)
        assert {each["ParameterKey"]: each["ParameterValue"] for each in after["Parameters"]} == {
            each["ParameterKey"]: each["ParameterValue"] for each in before["Parameters"]
        }
        assert ops("status").returncode == 0

    def test_a_release_that_fails_has_rolled_itself_back(self, only_application, operator):
        live = operator.ledger.live()
        done = only_application(IMAGE="1.3.0-unhealthy")
        assert done.code == 1, done.output
        assert "FAILED in stage 4 (application) with exit code 1" in done.output
        assert operator.ledger.live().image == live.image
        assert operator.weights().whole == live.colour

    def test_a_release_is_taken_back_if_the_environment_is_not_well_after_it(self, only_application, operator, config):
        live = operator.ledger.live()
        done = only_application(IMAGE="1.2.0", FAIL="kubectl wait")
        assert done.code == FAILED, done.output
        assert "1.2.0 was rolled back" in done.output
        assert operator.ledger.live().image == live.image
        assert version(config) == "1.1.0"

    def test_a_rollback_that_fails_is_said_and_does_not_hide_why_it_was_needed(self, only_application, tmp_path):
        ops = tmp_path / "ops"
        ops.write_text('#!/bin/sh\ncase " $* " in *" rollback "*) exit 3 ;; esac\n')
        ops.chmod(0o755)
        done = only_application(IMAGE="1.2.0", FAIL="kubectl get pods", OPS=str(ops))
        assert done.code == FAILED, done.output
        assert "the rollback FAILED with exit code 3" in done.output
        assert "1.2.0 could NOT be rolled back" in done.output


BEFORE = ("credentials", "state-bucket", "state-lock", "quota-database-instances", "quota-functions")
AFTER = ("contract", "state", "stack", "cluster", "pods", "weights", "targets", "health", "release-alarms")


def passed(output):
    """The checks of preflight that passed, in the order in which they are said."""
    return tuple(re.findall(r"^  PASS +([\w-]+) ", output, re.MULTILINE))


@contextmanager
def locked(operator):
    """Somebody works on the state, or died at it."""
    platform = operator.platform
    key, bucket = f"{platform.terraform_state_key}.tflock", platform.terraform_state_bucket
    operator.write(key, b'{"ID": "6f1c", "Who": "ana@laptop", "Operation": "OperationTypeApply"}', bucket)
    yield
    operator.remove(key, bucket)


def ops_with_preflight(folder, code):
    """`ops`, whose preflight ends with `code` after a deployment."""
    command = folder / "ops"
    then = f'exec {shlex.quote(str(OPS))} "$@"'
    command.write_text(f'#!/bin/sh\ncase " $* " in *" preflight "*" --wait "*) exit {code} ;; esac\n{then}\n')
    command.chmod(0o755)
    return str(command)


class TestPreflight:
    """The checklist is asked before anything is done, and when everything is."""

    def test_what_is_needed_is_looked_at_before_and_what_runs_afterwards(self, deployed):
        before, _, rest = deployed.output.partition("== 2/6 preparation ==")
        assert passed(before) == BEFORE
        assert passed(rest.partition("== 5/6 health ==")[2]) == AFTER

    def test_the_automation_is_not_asked_about_if_it_is_left_alone(self, only_application):
        done = only_application()
        assert done.code == 0, done.output
        after = done.output.partition("== 5/6 health ==")[2]
        assert passed(after) == tuple(name for name in AFTER if name not in ("stack", "weights"))

    def test_a_lock_that_is_held_stops_it_before_terraform_is_called(self, deploy, operator):
        with locked(operator):
            done = deploy()
            wilful = deploy(SKIP_CHECKS="state-lock", DRY_RUN="true", SKIP_AUTOMATION="true")
        assert done.code == 1, done.output
        assert done.stages == ["validation", "summary"]
        assert "held by ana@laptop" in done.output
        assert "→ wait for it to end" in done.output
        assert "deploy: preflight FAILED" in done.output
        assert "nothing was changed" in done.output
        assert not [call for call in done.calls if call.startswith("terraform")]
        assert wilful.code == 0, wilful.output

    def test_what_cannot_be_read_stops_it_too(self, deploy, operator):
        operator.engine_fault(
            "rds", operation="DescribeAccountAttributes", error="AccessDenied", message="told to refuse"
        )
        try:
            done = deploy()
        finally:
            operator.calm_engines()
        assert done.code == 6, done.output
        assert done.stages == ["validation", "summary"]
        assert "told to refuse" in done.output
        assert "deploy: preflight is INCONCLUSIVE" in done.output

    def test_an_environment_that_is_not_there_yet_can_be_deployed(self, shell, deployed):
        """It has no contract, no cluster, no stack."""
        done = shell.run("deploy.sh", "staging", DRY_RUN="true", SKIP_AUTOMATION="true")
        assert done.code == 0, done.output
        assert passed(done.output) == BEFORE

    def test_an_account_that_was_not_prepared_cannot(self, shell, deployed):
        done = shell.run("deploy.sh", "dev", SERVICE="orders-api")
        assert done.code == 1, done.output
        assert "there is no bucket orders-api-terraform-state-000000000000" in done.output
        assert "→ apply terraform/bootstrap" in done.output

    def test_what_is_not_well_afterwards_is_a_failure(self, only_application, operator):
        """The state that the apply should have left."""
        bucket, key = operator.platform.terraform_state_bucket, operator.platform.terraform_state_key
        before = operator.read(key, bucket)
        operator.write(key, b"", bucket)
        try:
            done = only_application(HEALTH_TIMEOUT="1")
        finally:
            operator.write(key, before, bucket)
        assert done.code == 1, done.output
        assert "FAILED in stage 5 (health) with exit code 1" in done.output
        assert "not yet: state FAIL; looking again" in done.output
        assert "cannot be used" in done.output
        assert "deploy: preflight FAILED" in done.output

    def test_a_release_is_taken_back_if_preflight_fails_after_it(self, only_application, operator, config, tmp_path):
        live = operator.ledger.live()
        done = only_application(IMAGE="1.2.0", OPS=ops_with_preflight(tmp_path, 1))
        assert done.code == 1, done.output
        assert "1.2.0 was rolled back" in done.output
        assert operator.ledger.live().image == live.image
        assert version(config) == "1.1.0"

    def test_it_stays_if_preflight_only_does_not_know(self, only_application, config, tmp_path, ops):
        done = only_application(IMAGE="1.2.0", OPS=ops_with_preflight(tmp_path, 6))
        try:
            assert done.code == 6, done.output
            assert "1.2.0 stays released" in done.output
            assert version(config) == "1.2.0"
        finally:
            assert ops("rollback", "--reason", "the test is over").returncode == 0
        assert version(config) == "1.1.0"


class TestInterrupted:
    """Ctrl-C, and what a runner sends when its job is cancelled: both reach everything that runs."""

    @pytest.mark.parametrize(
        ("number", "code", "stage", "hangs", "says"),
        [
            (signal.SIGINT, 130, 1, "aws sts get-caller-identity", "nothing was changed"),
            (signal.SIGTERM, 143, 2, "terraform plan", "nothing was changed"),
            (signal.SIGINT, 130, 3, "terraform apply", "what was applied stays"),
            (signal.SIGTERM, 143, 3, "terraform apply", "what was applied stays"),
            (signal.SIGINT, 130, 4, "helm upgrade --install prometheus", "infrastructure, charts, manifests stay"),
            (signal.SIGTERM, 143, 4, "kubectl apply --server-side --field", "infrastructure, charts, manifests stay"),
            (signal.SIGINT, 130, 5, "kubectl wait", "stay as applied"),
        ],
    )
    def test_it_stops_says_where_and_leaves_nothing_running(self, shell, deploy, number, code, stage, hangs, says):
        log = shell.folder / f"interrupted-{number}-{stage}.log"
        done = shell.interrupt(
            *("deploy.sh", "dev"),
            number=number,
            once=lambda said: HANGING in said,
            HANG=hangs,
            SKIP_AUTOMATION="true",
            LOG=str(log),
        )
        assert done.code == code, done.output
        assert done.stages == [*STAGES[:stage], "summary"]
        assert f"FAILED in stage {stage} ({STAGES[stage - 1]}) with exit code {code}" in done.output
        assert says in done.output
        assert done.output.rstrip().endswith(f"log: {log}")
        assert log.read_text() == done.output

    def test_it_can_be_run_again(self, only_application):
        done = only_application()
        assert done.code == 0, done.output

    def test_a_release_goes_on_by_itself_and_the_next_run_finds_it_done(self, shell, deploy, operator, config):
        def begun(said):
            return "== 4/6 application ==" in said and operator.ledger.holder() is not None

        done = shell.interrupt(
            *("deploy.sh", "dev"),
            number=signal.SIGINT,
            once=begun,
            IMAGE="1.2.0",
            SKIP_AUTOMATION="true",
        )
        assert done.code == 130, done.output
        assert "goes on by itself" in done.output
        operator.until(operator.ledger.holder, lambda holder: holder is None, "the end of the release", seconds=120)
        (record,) = operator.ledger.history(1)
        assert record.outcome == "SUCCEEDED", record
        assert version(config) == "1.2.0"
        again = deploy(IMAGE="1.1.0", SKIP_AUTOMATION="true")
        assert again.code == 0, again.output
        assert "1.1.0 is released" in again.output

    def test_a_release_that_is_done_is_not_taken_back(self, shell, deploy, tmp_path):
        """Nobody has said that it is bad."""
        log, ops = tmp_path / "calls", tmp_path / "ops"
        ops.write_text(f'#!/bin/sh\necho "$*" >>{shlex.quote(str(log))}\n')
        ops.chmod(0o755)
        done = shell.interrupt(
            *("deploy.sh", "dev"),
            number=signal.SIGINT,
            once=lambda said: HANGING in said,
            HANG="kubectl wait",
            IMAGE="1.2.0",
            OPS=str(ops),
            SKIP_AUTOMATION="true",
        )
        assert done.code == 130, done.output
        assert "1.2.0 stays released" in done.output
        assert not [line for line in log.read_text().splitlines() if "rollback" in line]

    def test_a_signal_to_the_script_alone_lets_its_command_finish(self, shell, deploy):
        """Terraform is not cut off in the middle."""
        done = shell.interrupt(
            *("deploy.sh", "dev"),
            number=signal.SIGTERM,
            alone=True,
            once=lambda said: LINGERING in said,
            LINGER="terraform apply",
            SKIP_AUTOMATION="true",
        )
        assert done.code == 143, done.output
        assert "Apply complete!" in done.output
        assert "FAILED in stage 3 (infrastructure) with exit code 143" in done.output


class TestRelease:
    """scripts/release.sh, which the workflow release.yml runs."""

    @pytest.mark.parametrize(
        ("image", "code", "outcome"),
        [("1.2.0", 0, "released"), ("1.3.0-unhealthy", 1, "failed"), ("no-such", 2, "failed")],
    )
    def test_its_outcome_is_passed_on(self, shell, deployed, tmp_path, image, code, outcome):
        assert deployed.code == 0
        out = tmp_path / "output"
        name = f"ci-{image.replace('.', '-')}"
        done = shell.run("release.sh", IMAGE=image, NAME=name, STRATEGY="blue-green", GITHUB_OUTPUT=str(out))
        assert done.code == code, done.output
        assert out.read_text().splitlines() == [f"execution={name}", f"outcome={outcome}", f"exit-code={code}"]

    def test_nothing_to_release_is_wrong_usage(self, shell):
        assert shell.run("release.sh").code != 0


def test_the_steps_that_take_minutes_pass_too():
    """Those of the pipeline that need no account, see test_workflows.py."""
    from tests.delivery.test_workflows import MINUTES, make

    for target in sorted(MINUTES):
        done = make(target, BASE="HEAD")
        assert done.returncode == 0, f"make {target}\n{done.stdout}"
    scanned = json.loads((ROOT / "out/security/platform.sarif").read_text())
    assert scanned["version"] == "2.1.0"
    assert (ROOT / "out/cost-delta.txt").read_text()
    subprocess.run(
        ["sha256sum", "--check", "--quiet", "automation.tar.gz.sha256"],  # noqa: S607
        cwd=ROOT / "out/build",
        env=dict(os.environ),
        check=True,
    )
