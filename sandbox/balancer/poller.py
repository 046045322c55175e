"""Follows the platform's routing snapshot. While the platform is away, the last snapshot stays in force."""

import asyncio
import logging

import aiohttp

from sandbox.balancer.state import Table

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 0.1
_TIMEOUT = aiohttp.ClientTimeout(total=2.0)


async def follow(table: Table, session: aiohttp.ClientSession, url: str) -> None:
    """Apply each new snapshot at `url` to `table`, forever; asks every 0.1 s with the last one's ETag."""
    etag = ""
    away = False
    while True:
        try:
            async with session.get(url, headers={"If-None-Match": etag}, timeout=_TIMEOUT) as response:
                if response.status == 200:
                    table.apply(await response.json())
                    etag = response.headers.get("ETag", "")
                elif response.status != 304:
                    raise aiohttp.ClientError(f"{url} answered {response.status}")
            if away:
                log.info("the platform is back")
            away = False
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if not away:
                log.warning("no routing from the platform, keeping the last one: %r", error)
            away = True
        except (KeyError, TypeError, ValueError):
            log.exception("a routing snapshot cannot be applied, keeping the last one")
        await asyncio.sleep(INTERVAL_SECONDS)
