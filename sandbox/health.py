"""Is a component of the sandbox up? One GET, without proxies, bounded in time."""

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit


def answers(url: str, ca: Path | None = None, timeout_seconds: float = 1.0) -> bool:
    """Whether a GET of `url` gets a 2xx answer in time; `ca` is the authority that https is held to."""
    if urlsplit(url).scheme not in {"http", "https"}:
        raise ValueError(f"{url} is not an HTTP URL")
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if url.startswith("https:"):
        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca)))
    try:
        with urllib.request.build_opener(*handlers).open(url, timeout=timeout_seconds) as response:
            return bool(200 <= response.status < 300)
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return False


def wait_until(
    checks: Mapping[str, Callable[[], bool]],
    *,
    timeout_seconds: float,
    on_ready: Callable[[str], None] = lambda _: None,
    while_waiting: Callable[[], None] = lambda: None,
) -> None:
    """Poll all `checks` until each has been true once; `on_ready` gets the name of each as it becomes so.

    `while_waiting` runs between polls and may raise to end the wait. Raises `TimeoutError` with the names of
    those that are still false after `timeout_seconds`.
    """
    pending = dict(checks)
    deadline = time.monotonic() + timeout_seconds
    while pending:
        for name, check in tuple(pending.items()):
            if check():
                del pending[name]
                on_ready(name)
        if not pending:
            return
        while_waiting()
        if time.monotonic() > deadline:
            raise TimeoutError(f"not ready after {timeout_seconds:.0f} s: {', '.join(pending)}")
        time.sleep(0.05)
