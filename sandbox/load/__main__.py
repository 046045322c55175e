"""`python -m sandbox.load`: put load on the service of the running sandbox (or at --url), then report.

SIGTERM or SIGINT ends it early: what is under way is answered, then the report is written. The exit code is 0
however many requests failed; it is the report that says so.
"""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from sandbox.config import Config, ConfigError, default_dir
from sandbox.load.generator import run
from sandbox.load.plan import Plan


def main() -> None:
    """Read the plan from the command line and carry it out."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.load", description=__doc__)
    parser.add_argument("--url", help="base URL on loopback (default: the service of the running sandbox)")
    parser.add_argument("--rate", type=float, default=200.0, help="requests per second (%(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long (%(default)s)")
    parser.add_argument("--connections", type=int, default=20, help="kept-alive connections (%(default)s)")
    parser.add_argument("--slow-share", type=float, default=0.01, help="share of slow GETs (%(default)s)")
    parser.add_argument("--slow-seconds", type=float, default=2.0, help="how long these take (%(default)s)")
    parser.add_argument("--write-share", type=float, default=0.2, help="share of POSTs (%(default)s)")
    parser.add_argument("--version-share", type=float, default=0.1, help="share of GET /version (%(default)s)")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds for one request (%(default)s)")
    parser.add_argument("--report", type=Path, help="file for the report (default: standard output)")
    parser.add_argument("--writes", type=Path, help="file for the acknowledged writes, one JSON object a line")
    given = parser.parse_args()
    try:
        plan = Plan(
            url=given.url or Config.load(default_dir() / "config.json").service_url,
            rate=given.rate,
            seconds=given.seconds,
            connections=given.connections,
            slow_share=given.slow_share,
            slow_seconds=given.slow_seconds,
            write_share=given.write_share,
            version_share=given.version_share,
            timeout_seconds=given.timeout,
        )
    except (ValueError, ConfigError) as error:
        parser.error(str(error))
    asyncio.run(_carry_out(plan, given.report, given.writes))


async def _carry_out(plan: Plan, report_path: Path | None, writes_path: Path | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    report = await run(plan, stop, report_path, writes_path)
    if report_path is None:
        sys.stdout.write(json.dumps(report.as_dict(), indent=2) + "\n")


if __name__ == "__main__":
    main()
