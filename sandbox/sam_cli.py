"""The real SAM CLI, in an environment of its own; nothing of the user's AWS or SAM configuration is read."""

import os
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
SAM = ROOT / ".venv-sam" / "bin" / "sam"
TAIL_LINES = 40
TIMEOUT_SECONDS = 600.0
"""For one command of the SAM CLI; then it is ended, which is an error."""

Progress = Callable[[str], None]


class DeployError(RuntimeError):
    """The build or the deployment failed; the message has the end of the output and what CloudFormation said."""


def stream(command: list[str], environ: Mapping[str, str], progress: Progress) -> None:
    """Run a command, passing on its lines; raises `DeployError` with the last of them."""
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    with subprocess.Popen(  # noqa: S603 - the SAM CLI, with arguments made here
        command,
        cwd=ROOT,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        limit = threading.Timer(TIMEOUT_SECONDS, process.kill)
        limit.daemon = True  # or an interrupted deployment would be waited for
        limit.start()
        try:
            for line in process.stdout:
                text = line.rstrip()
                if text:
                    tail.append(text)
                    progress(text)
        finally:
            limit.cancel()
    if process.returncode != 0:
        said = "\n".join(tail)
        raise DeployError(f"{' '.join(command[:2])} failed with status {process.returncode}:\n{said}")


def environ(home: Path, **more: str) -> dict[str, str]:
    """The variables of the SAM CLI: its own home, no telemetry, no AWS settings of the user's."""
    home.mkdir(parents=True, exist_ok=True)
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "SAM_", "PYTHON"))}
    nowhere = {name: str(home / name.lower()) for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")}
    return {
        **inherited,
        **nowhere,
        "HOME": str(home),
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": "0.2",
        "SAM_CLI_CHECK_UPDATES": "0",
        **more,
    }


def no_settings(home: Path) -> list[str]:
    """Options that keep the SAM CLI from reading the samconfig.toml beside the template."""
    home.mkdir(parents=True, exist_ok=True)
    file = home / "samconfig.toml"
    file.write_text("version = 0.1\n", encoding="utf-8")
    return ["--config-file", str(file)]
