"""`python -m sandbox.kubernetes --config <dir>/config.json`: the cluster of one sandbox."""

import argparse
import asyncio
import signal
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config as ClientConfig

from sandbox.config import Config
from sandbox.kubernetes.cluster import Clients, Cluster


def clients(config: Config) -> Clients:
    """Clients of the platform plane, as the sandbox's administrator."""
    session = boto3.Session(
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - the sandbox's published credentials
        region_name=config.region,
    )
    patience = ClientConfig(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 3})

    def client(service: Any) -> Any:
        return session.client(service, endpoint_url=config.platform_url, config=patience)

    return Clients(ecr=client("ecr"), eks=client("eks"), elbv2=client("elbv2"))


async def serve(config: Config) -> None:
    """Run until SIGTERM or SIGINT; raises if a part of the cluster ends by itself."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    cluster = Cluster(config, clients(config))
    await cluster.start()
    print(f"serving on {config.kubernetes_url}", flush=True)  # noqa: T201
    stopping = asyncio.ensure_future(stop.wait())
    try:
        done, _ = await asyncio.wait({stopping, *cluster.tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopping}:
            task.result()
    finally:
        await cluster.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="sandbox.kubernetes", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    asyncio.run(serve(Config.load(parser.parse_args().config)))
