"""Start ministack on loopback with its gaps closed, and stop it with all its Lambda workers."""

import asyncio
import logging
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

from sandbox.config import Config, environment, port_of

REMOVED = ("AWS_SESSION_TOKEN", "AWS_PROFILE", "SERVICES", "LOCALSTACK_PERSISTENCE", "SFN_MOCK_CONFIG")
"""Variables of the caller's shell that would change what ministack does."""

SHUTDOWN_SECONDS = 2.0
"""How long requests in flight may take to end after SIGTERM."""


def settings(config: Config, work: Path) -> dict[str, str]:
    """The environment ministack reads when it is imported; `work` is its directory for temporary files."""
    return {
        **environment(config),
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "DOCKER_HOST": f"unix://{work}/no-docker.sock",
        "GATEWAY_PORT": str(port_of(config.automation_url)),
        "IOT_MTLS_ENABLED": "0",
        "LAMBDA_EXECUTOR": "local",
        "LOG_LEVEL": os.environ.get("LOG_LEVEL", "WARNING"),
        "MINISTACK_ACCOUNT_ID": config.account,
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": config.region,
        "PERSIST_STATE": "0",
        "S3_DATA_DIR": str(work / "s3"),
        "S3_PERSIST": "0",
        "SFN_WAIT_SCALE": "1",
        "SFTP_ENABLED": "0",
        "STATE_DIR": str(work / "state"),
        "TMPDIR": str(work),
        "USE_SSL": "0",
    }


def prepare(config: Config) -> None:
    """Set this process's environment and an empty work directory; before ministack is imported."""
    work = config.dir / "automation"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for name in REMOVED:
        os.environ.pop(name, None)
    os.environ.update(settings(config, work))
    tempfile.tempdir = str(work)


def serve(config: Config) -> None:
    """Serve until SIGTERM or SIGINT, then end the Lambda workers; raises `GapError` on an unknown ministack."""
    prepare(config)
    # ministack reads its environment when it is imported.
    from hypercorn.asyncio import serve as serve_asgi  # noqa: PLC0415
    from hypercorn.config import Config as ServerConfig  # noqa: PLC0415
    from ministack.core import lambda_runtime  # noqa: PLC0415

    from sandbox.automation.endpoints import application  # noqa: PLC0415
    from sandbox.automation.gaps import apply_all, start_all  # noqa: PLC0415
    from sandbox.automation.layer_preloading import preload_forever  # noqa: PLC0415

    # It warns about metrics of its own that nobody publishes, on every transform.
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    apply_all()
    server = ServerConfig()
    server.bind = [f"127.0.0.1:{port_of(config.automation_url)}"]
    server.keep_alive_timeout = 75
    server.graceful_timeout = SHUTDOWN_SECONDS
    server.loglevel = "WARNING"
    server.backlog = 512

    async def run() -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        tasks = [*start_all(), loop.create_task(preload_forever())]
        app: Any = application
        await serve_asgi(app, server, shutdown_trigger=stopping.wait)
        for task in tasks:
            task.cancel()

    try:
        asyncio.run(run())
    finally:
        lambda_runtime.reset()
        # Threads of running executions are daemons, but the executor's are joined at exit; do not wait.
        os._exit(0)
