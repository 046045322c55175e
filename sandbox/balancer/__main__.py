"""`python -m sandbox.balancer --config <dir>/config.json`."""

import argparse
import asyncio
import logging
import signal
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from sandbox.balancer import admin, poller
from sandbox.balancer.checker import Checker
from sandbox.balancer.proxy import Proxy
from sandbox.balancer.publisher import Publisher
from sandbox.balancer.state import Table
from sandbox.config import Config, port_of

log = logging.getLogger("sandbox.balancer")


async def run(config: Config) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    table = Table()
    proxy = Proxy(table, port_of(config.balancer_url))
    publisher = Publisher(
        table,
        endpoint_url=config.automation_url,
        region=config.region,
        period=config.metric_period_seconds,
    )
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        checker = Checker(table, session, config.health_check_interval_seconds)
        table.on_change = checker.follow
        runner = web.AppRunner(admin.application(table), access_log=None)
        await runner.setup()
        await web.TCPSite(
            runner, urlsplit(config.balancer_admin_url).hostname, port_of(config.balancer_admin_url)
        ).start()
        server = await proxy.serve(urlsplit(config.balancer_url).hostname or "127.0.0.1")
        publisher.start()
        log.info("listening on %s, admin on %s", config.balancer_url, config.balancer_admin_url)
        tasks = [
            asyncio.create_task(poller.follow(table, session, f"{config.platform_url}/_sandbox/routing")),
            asyncio.create_task(proxy.sweep()),
            asyncio.create_task(publisher.publish()),
        ]
        stopped = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait({stopped, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        server.close()
        await runner.cleanup()
        for task in done - {stopped}:
            task.result()  # A background task never ends of itself: let its error end the process.


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="sandbox.balancer", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the sandbox's config.json")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    asyncio.run(run(Config.load(parser.parse_args().config)))


if __name__ == "__main__":
    main()
