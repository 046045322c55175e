"""AWS clients: made when first needed, kept for the life of the process."""

from functools import cache
from typing import Any


@cache
def client(service: str) -> Any:
    """The process's client for `service`, with the region and endpoint that the environment names.

    Throttling and server errors are retried in botocore's standard mode: four attempts in all, with backoff.
    A connection that takes longer than 3 s, or a silence of 10 s, counts as a failure, because the botocore
    defaults of 60 s would outlast a step's own timeout.
    """
    # Here and not above: the command line and the pure modules import the ledger's data classes without AWS.
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    config = Config(
        connect_timeout=3,
        read_timeout=10,
        retries={"mode": "standard", "total_max_attempts": 4},
        tcp_keepalive=True,
    )
    return boto3.client(service, config=config)  # type: ignore[call-overload]  # any service's name will do
