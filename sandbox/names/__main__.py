"""`python -m sandbox.names --config <dir>/config.json`: the forwarders of one sandbox."""

import argparse
import asyncio
import logging
import signal
from pathlib import Path

import boto3
from botocore.config import Config as ClientConfig

from sandbox.config import Config
from sandbox.names.forwarder import Forwarder
from sandbox.names.resolver import Resolver


async def serve(config: Config) -> None:
    """Forward until SIGTERM."""
    route53 = boto3.client(
        "route53",
        endpoint_url=config.automation_url,
        region_name=config.region,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - the sandbox's administrator
        config=ClientConfig(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1}, proxies={}),
    )
    resolver = Resolver(route53, config.zone, config.database_name, ttl_limit_seconds=config.name_ttl_seconds)
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    async with Forwarder(resolver.host, config.database_port):
        logging.info("%s is on 127.0.0.1:%d", config.database_name, config.database_port)
        await end.wait()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="sandbox.names", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the sandbox's config.json")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s names %(message)s")
    asyncio.run(serve(Config.load(parser.parse_args().config)))


if __name__ == "__main__":
    main()
