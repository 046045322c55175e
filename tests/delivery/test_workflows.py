"""The workflows: what they run can be run here, and they may do no more than they must.

Every command is a make target, a script or `ops`. What they are, and how each is shown to work:

- QUICK: run by these tests.
- MINUTES: run by these tests where there is time for it (`make test-delivery`).
- IN_CI: what .ci/run runs; running it inside itself would show nothing more.
- LONG: targets of their own, for they take many minutes.
- ACCOUNT: need an AWS account, GitHub or Slack. Their scripts are run against the sandbox or a local stand-in by
  test_deploy.py, test_disaster_recovery.py and test_messages.py.
"""

import itertools
import os
import re
import subprocess

import pytest
import typer.main

from cli.main import app
from tests.delivery.pipeline import FILES, ROOT, Command, commands, jobs, steps, workflow

QUICK = {"lint-terraform", "check-workflows", "check-shell"}
MINUTES = {"scan-terraform", "check-platform-docs", "cost-delta", "build-automation"}
IN_CI = {"setup", "check", "test", "test-sandbox", "terraform-test"}
LONG = {"test-recovery", "demo"}
ACCOUNT = {"plan", "deploy", "deploy-automation"}
SCRIPTS = {"scripts/disaster-recovery.sh", "scripts/release.sh", "scripts/comment.sh", "scripts/notify.sh"}

ALL = list(commands())
ENVIRONMENTS = ("dev", "staging", "prod")


def targets(command: Command) -> list[str]:
    return [word for word in command.words[1:] if "=" not in word] if command.words[0] == "make" else []


def of(word: str) -> list[Command]:
    return [command for command in ALL if command.words[0] == word]


def make(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],  # noqa: S607
        cwd=ROOT,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )


class TestCommands:
    def test_there_are_some(self):
        assert len(ALL) > 20
        assert {command.workflow for command in ALL} == {file.stem for file in FILES}

    @pytest.mark.parametrize("command", ALL, ids=str)
    def test_each_is_one_that_can_be_run_by_hand(self, command):
        assert command.words[0] in {"make", ".venv/bin/ops", *SCRIPTS}

    def test_every_target_has_its_way_of_being_shown(self):
        named = {target for command in ALL for target in targets(command)}
        assert named == QUICK | MINUTES | IN_CI | LONG | ACCOUNT

    @pytest.mark.parametrize("command", of("make"), ids=str)
    def test_every_target_exists(self, command):
        planned = make("--dry-run", *command.words[1:], **dict(command.variables))
        assert planned.returncode == 0, planned.stdout

    @pytest.mark.parametrize("command", of(".venv/bin/ops"), ids=str)
    def test_every_ops_command_is_understood(self, command):
        understood(command.words[1:])

    def test_an_ops_command_that_is_wrong_is_found(self):
        with pytest.raises(Exception, match="--no-such-option"):
            understood(("--environment", "staging", "drill", "--no-such-option"))

    @pytest.mark.parametrize("script", sorted(SCRIPTS))
    def test_every_script_is_there_and_is_called(self, script):
        assert os.access(ROOT / script, os.X_OK)
        assert of(script)

    @pytest.mark.parametrize("command", of("scripts/disaster-recovery.sh"), ids=str)
    def test_every_subcommand_is_understood(self, command):
        done = subprocess.run(
            list(command.words),
            cwd=ROOT,
            env={**os.environ, "OPS": "true"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    @pytest.mark.parametrize("target", sorted(QUICK))
    def test_what_is_quick_passes(self, target):
        done = make(target)
        assert done.returncode == 0, done.stdout

    def test_ci_runs_what_is_said_to_be_run_there(self):
        planned = make("--dry-run", *(ROOT / ".ci/run").read_text().rpartition("exec make ")[2].split()[:-1]).stdout
        for part in ("ruff check", "zizmor", "tests/sandbox", "tests/delivery", "tests/infrastructure"):
            assert part in planned
        # `make terraform-test` is a file of tests/infrastructure, with the real provider in place of the one for tests.
        assert "tests/infrastructure/test_deployment_automation.py" in make("--dry-run", "terraform-test").stdout


class TestSafety:
    @pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
    def test_every_action_is_pinned_by_commit_and_says_its_version(self, file):
        used = re.findall(r"uses: (.+)", re.sub(r"^#.*$", "", file.read_text(), flags=re.MULTILINE))
        assert used
        for each in used:
            if each.startswith("$/"):
                assert (ROOT / each.removeprefix("$/")).is_file()
            else:
                assert re.fullmatch(r"[\w-]+/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each), each

    def test_the_same_action_is_the_same_commit_everywhere(self):
        used = set(re.findall(r"uses: (\w.+)@(\w{40} # v.+)", "".join(file.read_text() for file in FILES)))
        assert len({action for action, _ in used}) == len(used) == 6

    @pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
    def test_nothing_is_permitted_but_by_the_job(self, file):
        document = workflow(file)
        assert document["permissions"] == {}
        for name, job in document["jobs"].items():
            assert job["permissions"].items() <= {
                ("contents", "read"),
                ("id-token", "write"),
                ("pull-requests", "write"),
                ("security-events", "write"),
            }, name

    def test_each_permission_is_used(self):
        for file, name, job in jobs():
            text, permissions = str(steps(job)), job["permissions"]
            calls = str(job.get("uses", ""))
            assert ("id-token" in permissions) == ("configure-aws-credentials" in text or bool(calls)), (file, name)
            assert ("pull-requests" in permissions) == ("scripts/comment.sh" in text), (file, name)
            assert ("security-events" in permissions) == ("upload-sarif" in text), (file, name)

    def test_credentials_are_of_oidc_and_come_after_other_peoples_code_is_installed(self):
        for _, name, job in jobs():
            kinds = [step.get("uses", step.get("run", "")).partition("@")[0] for step in steps(job)]
            if "aws-actions/configure-aws-credentials" in kinds:
                at = kinds.index("aws-actions/configure-aws-credentials")
                given = steps(job)[at]["with"]
                assert set(given) <= {"role-to-assume", "aws-region", "role-duration-seconds", "mask-aws-account-id"}
                assert given["role-to-assume"].startswith("${{ vars.")
                assert "make setup" not in kinds[at:], name
                assert job["environment"], name

    def test_no_secret_is_used_but_the_webhook_and_none_on_a_command_line(self):
        for file in FILES:
            text = file.read_text()
            assert set(re.findall(r"secrets\.(\w+)", text)) <= {"SLACK_WEBHOOK_URL"}
            assert "inherit" not in text
        for _, _, job in jobs():
            for step in steps(job):
                assert "${{" not in step.get("run", "")
                if step.get("uses", "").startswith("actions/checkout@"):
                    assert step["with"]["persist-credentials"] is False

    def test_every_job_ends(self):
        assert all("timeout-minutes" in job for _, _, job in jobs() if "uses" not in job)


class TestOrder:
    @pytest.mark.parametrize(("name", "verb"), [("terraform-iac", "apply"), ("automation", "deploy")])
    def test_environments_are_changed_one_after_the_other(self, name, verb):
        of_workflow = workflow(ROOT / f".github/workflows/{name}.yml")["jobs"]
        for earlier, later in itertools.pairwise(ENVIRONMENTS):
            assert f"{verb}-{earlier}" in before(of_workflow, f"{verb}-{later}")
        assert of_workflow[f"{verb}-dev"]["if"] == "github.event_name == 'push'"
        for environment in ENVIRONMENTS:
            assert of_workflow[f"{verb}-{environment}"]["with"] == {"environment": environment}

    @pytest.mark.parametrize("name", ["apply-platform", "deploy-automation", "release"])
    def test_an_environment_is_approved_and_changed_by_one_at_a_time(self, name):
        (job,) = workflow(ROOT / f".github/workflows/{name}.yml")["jobs"].values()
        assert job["environment"] == {"name": "${{ inputs.environment }}"}
        assert job["concurrency"] == {"group": "deploy-${{ inputs.environment }}", "cancel-in-progress": False}

    def test_the_platform_goes_through_all_eight_stages(self):
        names = [job["name"] for job in workflow(ROOT / ".github/workflows/terraform-iac.yml")["jobs"].values()]
        assert sorted({int(name[0]) for name in names}) == list(range(1, 9))

    def test_production_gets_what_staging_has_proven(self):
        of_automation = workflow(ROOT / ".github/workflows/automation.yml")["jobs"]
        assert {"check", "test", "build", "verify-staging"} <= before(of_automation, "deploy-prod")
        proven = [shell.words[3] for shell in ALL if shell.job == "verify-staging" and shell.words[0].endswith("ops")]
        assert proven == ["drill", "objectives"]

    def test_the_automation_is_built_once(self):
        assert [str(command) for command in ALL if "build-automation" in command.words] == [
            "automation/build: make build-automation"
        ]

    @pytest.mark.parametrize("name", ["terraform-iac", "automation"])
    def test_whatever_happens_is_told(self, name):
        of_workflow = workflow(ROOT / f".github/workflows/{name}.yml")["jobs"]
        assert of_workflow["notify"]["if"].startswith("${{ always()")
        pull_requests_only = {"cost"}
        assert set(of_workflow["notify"]["needs"]) == set(of_workflow) - {"notify"} - pull_requests_only


def before(of_workflow, name):
    """Every job that must have succeeded before a job begins."""
    needs = of_workflow[name].get("needs", [])
    needs = [needs] if isinstance(needs, str) else needs
    return set(needs).union(*(before(of_workflow, each) for each in needs))


def understood(words):
    """Parse the words of an `ops` command as `ops` would, without doing anything."""
    group = typer.main.get_command(app)
    context = group.make_context("ops", list(words))
    while left := [*context._protected_args, *context.args]:
        name, command, rest = group.resolve_command(context, left)
        context = command.make_context(name, rest, parent=context)
        if not hasattr(command, "resolve_command"):
            return
        group = command
