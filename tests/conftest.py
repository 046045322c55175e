"""What holds for every test: nothing reaches, or depends on, the AWS account of whoever runs it.

And who runs which, where several run at once.
"""

import os
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# At import, before any test module makes a client: a profile, an endpoint or a session of the caller's shell
# (`eval "$(ops sandbox env)"` included) must not decide where a test's calls go.
for _name in tuple(os.environ):
    if _name.startswith(("AWS_", "OPS_")):
        del os.environ[_name]
os.environ.update(
    AWS_ACCESS_KEY_ID="testing",
    AWS_SECRET_ACCESS_KEY="testing",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_CONFIG_FILE=os.devnull,
    AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    AWS_EC2_METADATA_DISABLED="true",
)
# moto's EC2 would make a thousand images anew for every test.
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")

HERE = Path(__file__).parent
SANDBOXED = frozenset({"delivery", "preflight", "recovery", "remediation", "sandbox", "workflow"})
"""Folders whose tests watch sandboxes."""
SHARED = frozenset({"recovery", "workflow"})
"""Those of them that have one sandbox for all their files, which ends with the last of their tests."""


class OneSandboxEach(LoadScopeScheduling):
    """Files go one by one to whoever is free; the files of a folder that shares a sandbox all go to one."""

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.partition("::")[0])
        return file.parts[1] if file.parts[1] in SHARED else str(file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """For `--dist loadgroup`: xdist 3.8 marks a group in the ids of tests, which pytest 9 does not let it change."""
    return OneSandboxEach(config, log) if config.getoption("dist") == "loadgroup" else None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Workers with tests that only compute step back behind those that watch a sandbox, where time matters."""
    if "PYTEST_XDIST_WORKER" in os.environ and item.path.relative_to(HERE).parts[0] not in SANDBOXED:
        os.nice(max(0, 10 - os.nice(0)))
