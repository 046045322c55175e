"""`python -m sandbox.service --port P --version V --variant X --colour C`: one process of the service."""

import argparse
import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import fields

from sandbox.service.application import Application, Identity
from sandbox.service.detections import DetectionStore, MemoryStore
from sandbox.service.http import Server
from sandbox.service.logs import log
from sandbox.service.settings import Settings, SettingsError
from sandbox.service.variants import Behaviour, Parameters, Variant

KEEP_ALIVE_SECONDS = 75.0
"""Above the 60 s idle timeout of an ALB, so that it is the balancer that closes idle connections."""


def arguments() -> argparse.Namespace:
    """The command line; what it leaves out comes from the pod's environment."""
    parser = argparse.ArgumentParser(prog="sandbox.service", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT", "8000")))
    parser.add_argument(
        "--metrics-port", type=int, default=int(os.environ.get("METRICS_PORT", "0")), help="for Prometheus; 0: none"
    )
    parser.add_argument("--version", default=os.environ.get("VERSION", "0.0.0"))
    parser.add_argument("--variant", type=Variant, default=Variant.GOOD)
    parser.add_argument("--colour", default=os.environ.get("COLOUR", ""))
    parser.add_argument("--pod", default=os.environ.get("POD_NAME", ""))
    parser.add_argument("--linger-seconds", type=float, default=0.5, help="idle connections at SIGTERM")
    parser.add_argument("--drain-seconds", type=float, default=30.0, help="at most, from SIGTERM to exit")
    for field in fields(Parameters):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    Settings.arguments(parser)
    options = parser.parse_args()
    try:
        options.settings = Settings.of(options)
    except SettingsError as error:
        parser.error(str(error))
    return options


async def serve(options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT, then drain."""
    parameters = Parameters(**{field.name: getattr(options, field.name) for field in fields(Parameters)})
    identity = Identity(options.version, options.colour, options.pod)
    store, stop_storing = await _store(options.settings)
    application = Application(identity, Behaviour(options.variant, parameters), store)
    server = Server(application.handle, keep_alive_seconds=KEEP_ALIVE_SECONDS)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    port = await server.start(options.host, options.port)
    metrics = Server(application.metrics, keep_alive_seconds=KEEP_ALIVE_SECONDS)
    if options.metrics_port:
        await metrics.start(options.host, options.metrics_port)
    log("info", "listening", port=port, version=options.version, variant=options.variant.value)
    await stop.wait()
    log("info", "draining", connections=len(server.connections))
    await server.drain(linger_seconds=options.linger_seconds, limit_seconds=options.drain_seconds)
    if options.metrics_port:
        await metrics.drain(linger_seconds=0, limit_seconds=1)
    await stop_storing()
    log("info", "stopped", cut_off=len(server.connections))


async def _store(settings: Settings) -> tuple[DetectionStore, Callable[[], Awaitable[None]]]:
    """Where detections are kept, and what to await at the end."""
    if not settings.has_database:
        return MemoryStore(), _nothing
    # Only who has a database pays for what it takes to load this.
    from sandbox.service.storage import DurableStore  # noqa: PLC0415

    store = DurableStore(settings)
    await store.start()
    return store, store.close


async def _nothing() -> None:
    """There is nothing to give up."""


if __name__ == "__main__":
    asyncio.run(serve(arguments()))
