"""A new layer is loaded into a template as soon as it is published, so that no function's first call waits for it."""

import asyncio
import logging

from ministack.services import lambda_svc

from sandbox.automation.gaps.lambda_workers import start_template

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.5


def published() -> dict[str, bytes]:
    """The content of every layer version that is there, by its ARN."""
    return {
        version["LayerVersionArn"]: version["_zip_data"]
        for layer in list(lambda_svc._layers.values())
        for version in list(layer["versions"])
        if version.get("_zip_data")
    }


async def preload_forever() -> None:
    """Look for new layers twice a second, on the loop that also serves requests; load them off it."""
    known: set[str] = set()
    while True:
        await asyncio.sleep(TICK_SECONDS)
        for arn, content in published().items():
            if arn not in known:
                known.add(arn)
                try:
                    await asyncio.to_thread(start_template, [content])
                except Exception:
                    logger.exception("%s could not be loaded ahead of its first use", arn)
