"""Terraform, offline: the locked package (or $TERRAFORM), with a provider for tests or, if asked for, the real one."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "terraform"
ENVIRONMENTS = ("dev", "staging", "prod")
PYTHON = ROOT / ".venv-terraform/bin/python"
REAL_PROVIDER = os.environ.get("PROVIDER") == "real"

_PROVIDER = "registry.terraform.io/hashicorp/aws"
_COMMAND_SECONDS = 120


class TerraformError(AssertionError):
    """A command ended with another exit code than it should; the message has its output."""


@dataclass(frozen=True)
class Terraform:
    """The command line; every command runs in the folder it is given and talks to the provider behind `reattach`."""

    reattach: dict[str, Any] = field(default_factory=dict)

    def run(self, folder: Path, *arguments: str, expect: int = 0) -> str:
        """Standard output and error of a command; raises TerraformError unless it exits with `expect`."""
        done = subprocess.run(
            [*self._program(), *arguments],
            cwd=folder,
            env=self._environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        if done.returncode != expect:
            raise TerraformError(f"terraform {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def initialise(self, folder: Path) -> None:
        """Download the provider, if the real one is wanted; the one for tests is there already."""
        if REAL_PROVIDER:
            self.run(folder, "init", "-backend=false", "-input=false")

    def validate(self, folder: Path) -> list[dict[str, Any]]:
        """What `terraform validate` has to say against the configuration; empty if nothing."""
        try:
            text = self.run(folder, "validate", "-json")
        except TerraformError as error:
            text = str(error).partition("\n")[2]
        return list(json.loads(text)["diagnostics"])

    def plan(self, folder: Path, environment: str, *arguments: str) -> dict[str, Any]:
        """The plan of an environment, as `terraform show -json` prints it; it is left in `<environment>.tfplan`."""
        file = f"{environment}.tfplan"
        self.run(
            folder, "plan", "-input=false", f"-var-file=environments/{environment}.tfvars", f"-out={file}", *arguments
        )
        return dict(json.loads(self.run(folder, "show", "-json", file)))

    def _program(self) -> Sequence[str]:
        if binary := os.environ.get("TERRAFORM"):
            return [binary]
        return [str(PYTHON), "-m", "tests.infrastructure.provider.command_line"]

    def _environment(self) -> dict[str, str]:
        own = {
            "PYTHONPATH": str(ROOT),
            "CHECKPOINT_DISABLE": "1",
            "TF_IN_AUTOMATION": "1",
            "TF_CLI_ARGS": "-no-color",
            # Neither the plugin cache nor the credentials of whoever runs this.
            "TF_CLI_CONFIG_FILE": os.devnull,
        }
        if self.reattach:
            own["TF_REATTACH_PROVIDERS"] = json.dumps(self.reattach)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
        return kept | own


@contextmanager
def serving(folder: Path, *, known: bool = False) -> Iterator[Terraform]:
    """Terraform with the provider for tests behind it, for as long as the block lasts; the socket is in `folder`.

    With `known`, plans say what otherwise only an apply does.
    """
    if REAL_PROVIDER:
        yield Terraform()
        return
    socket = folder / "provider.sock"
    command = [str(PYTHON), "-m", "tests.infrastructure.provider.server", str(socket), *(["known"] if known else [])]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin
        assert server.stdout
        try:
            if server.stdout.readline().strip() != "ready":
                raise TerraformError(
                    "the provider for tests did not start: is .venv-terraform there (scripts/setup.sh)?"
                )
            address = {"Network": "unix", "String": str(socket)}
            known = {"Protocol": "grpc", "ProtocolVersion": 6, "Pid": server.pid, "Test": True, "Addr": address}
            yield Terraform({_PROVIDER: known})
        finally:
            server.stdin.close()


def copy_configuration(folder: Path, *, backend: bool = False) -> Path:
    """A copy of terraform/ to work in; without the backend unless asked for, since a plan would read its state."""
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfplan"))
    if not backend:
        (folder / "backend.tf").unlink()
    return folder
