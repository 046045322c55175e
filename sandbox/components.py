"""The four processes that a sandbox is made of, and how each tells that it is ready."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sandbox.config import Config, environment
from sandbox.health import answers
from sandbox.processes import MARKER


@dataclass(frozen=True, slots=True)
class Component:
    """One process, `python -m <module> --config <file>`; `health` gives the URL that answers 200."""

    name: str
    module: str
    health: Callable[[Config], str]
    arguments: tuple[str, ...] = ()

    def argv(self, config_path: Path) -> tuple[str, ...]:
        """The command line. `-P` keeps a directory `sandbox` in the working directory from shadowing ours."""
        return (sys.executable, "-P", "-m", self.module, "--config", str(config_path), *self.arguments)

    def is_ready(self, config: Config) -> bool:
        """Whether it answers now."""
        return answers(self.health(config), ca=config.tls_dir / "ca.pem")


COMPONENTS = (
    Component("automation", "sandbox.automation", lambda config: f"{config.automation_url}/_sandbox/health"),
    Component("platform", "sandbox.platform", lambda config: f"{config.platform_url}/_sandbox/health"),
    Component("balancer", "sandbox.balancer", lambda config: f"{config.balancer_admin_url}/health"),
    Component("kubernetes", "sandbox.kubernetes", lambda config: f"{config.kubernetes_url}/readyz"),
)

# Of the caller's environment only what a process needs to run at all: its AWS profile, session token, proxies
# or PYTHONPATH must not decide what the sandbox does.
_INHERITED = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "SANDBOX_POLICY_USE")


def process_environment(config: Config) -> dict[str, str]:
    """The environment of every process of the sandbox, which the Lambda workers and pods inherit.

    `TMPDIR` lies in the sandbox's directory, so that what they leave there goes with it.
    """
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {
        **inherited,
        **environment(config),
        MARKER: str(config.dir),
        "TMPDIR": str(config.dir / "tmp"),
        "NO_PROXY": "127.0.0.1,localhost",
        "PYTHONUNBUFFERED": "1",
    }
