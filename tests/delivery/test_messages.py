"""scripts/comment.sh and scripts/notify.sh: what is told to people, against stand-ins for GitHub and Slack."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from sandbox.deploy import ROOT

GH = f"""#!{sys.executable}
import json, pathlib, sys
folder, arguments = pathlib.Path(__file__).parent, sys.argv[1:]
with (folder / "calls.jsonl").open("a") as record:
    record.write(json.dumps(arguments) + "\\n")
if "--paginate" in arguments:
    print((folder / "old").read_text() if (folder / "old").exists() else "", end="")
for argument in arguments:
    if argument.startswith("body=@"):
        (folder / "body.md").write_text(pathlib.Path(argument.removeprefix("body=@")).read_text())
sys.exit(int((folder / "status").read_text()) if (folder / "status").exists() else 0)
"""


@pytest.fixture
def comment(tmp_path):
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)

    def run(text, *arguments):
        (tmp_path / "plan.txt").write_text(text)
        return subprocess.run(
            [str(ROOT / "scripts/comment.sh"), *(arguments or ("7", "Plan of dev", str(tmp_path / "plan.txt")))],
            env={
                **os.environ,
                "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
                "GITHUB_REPOSITORY": "owner/repository",
            },
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def said(tmp_path):
    calls = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    return calls[-1], (tmp_path / "body.md").read_text()


class TestComment:
    def test_the_first_is_made(self, comment, tmp_path):
        assert comment("…\nPlan: 3 to add, 0 to change, 0 to destroy.\n").returncode == 0
        call, body = said(tmp_path)
        assert call[:4] == ["api", "--method", "POST", "repos/owner/repository/issues/7/comments"]
        assert body.startswith("<!-- detection-ops: Plan of dev -->\n### Plan of dev\n\nPlan: 3 to add")

    def test_it_is_renewed(self, comment, tmp_path):
        (tmp_path / "old").write_text("41\n")
        assert comment("No changes.\n").returncode == 0
        call, _ = said(tmp_path)
        assert call[:4] == ["api", "--method", "PATCH", "repos/owner/repository/issues/comments/41"]

    def test_what_is_too_long_is_cut_and_says_so(self, comment, tmp_path):
        assert comment("x" * 70_000).returncode == 0
        _, body = said(tmp_path)
        # https://docs.github.com/en/rest/issues/comments: a body has at most 65,536 characters.
        assert len(body) < 65_536
        assert "Cut after 60000 bytes" in body

    def test_a_failure_is_passed_on(self, comment, tmp_path):
        (tmp_path / "status").write_text("4")
        assert comment("x").returncode == 4

    def test_wrong_usage(self, comment):
        assert comment("x", "7").returncode == 2


@pytest.fixture
def slack():
    """A receiver of webhooks: its address, what it got, and the status that it answers with."""
    got, answer = [], {"status": 200}

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(answer["status"])
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/services/T0/B0/secret", got, answer
    server.shutdown()
    thread.join()
    server.server_close()


def notify(url, **results):
    needs = {name.replace("_", "-"): {"result": result, "outputs": {}} for name, result in results.items()}
    return subprocess.run(
        [str(ROOT / "scripts/notify.sh")],
        env={
            **os.environ,
            "SLACK_WEBHOOK_URL": url,
            "RESULTS": json.dumps(needs),
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_REPOSITORY": "owner/repository",
            "GITHUB_RUN_ID": "12",
            "GITHUB_WORKFLOW": "automation",
            "GITHUB_SHA": "0123456789abcdef",
            "GITHUB_ACTOR": "somebody",
        },
        capture_output=True,
        text=True,
        check=False,
    )


class TestNotify:
    def test_success_is_one_message_with_who_what_and_where(self, slack):
        url, got, _ = slack
        done = notify(url, check="success", deploy_dev="success")
        assert done.returncode == 0, done.stderr
        ((path, message),) = got
        assert path == "/services/T0/B0/secret"
        assert message["text"].splitlines() == [
            "automation of owner/repository@0123456789ab by somebody succeeded",
            "done: check, deploy-dev",
            "https://github.com/owner/repository/actions/runs/12",
        ]

    def test_a_failure_says_which_and_what_was_done(self, slack):
        url, got, _ = slack
        notify(url, check="success", deploy_dev="failure", deploy_staging="skipped", test="cancelled")
        ((_, message),) = got
        assert "failed: deploy-dev (failure), test (cancelled)" in message["text"]
        assert "done: check\n" in message["text"]

    def test_the_address_is_not_printed(self, slack):
        url, _, answer = slack
        answer["status"] = 404
        done = notify(url, check="success")
        assert done.returncode == 22
        assert "secret" not in done.stdout + done.stderr

    def test_without_an_address_it_is_only_printed(self):
        done = notify("", check="success")
        assert (done.returncode, "succeeded" in done.stdout) == (0, True)
