"""A component for the supervisor's own tests: answers at the address that a field of the config names.

It is a process of its own like the real ones, and can misbehave in the ways that the supervisor must survive.
"""

import argparse
import os
import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from sandbox.config import Config, port_of


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--address", required=True)
    parser.add_argument("--fail", action="store_true", help="end at once")
    parser.add_argument("--never-ready", action="store_true", help="run, but do not answer")
    parser.add_argument("--stubborn", action="store_true", help="ignore SIGTERM")
    parser.add_argument("--child", action="store_true", help="start a child with an empty environment")
    given = parser.parse_args()
    if given.fail:
        sys.exit("told to fail")
    if given.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if given.child:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env={})
        Path(os.environ["TMPDIR"], "child.pid").write_text(str(child.pid), encoding="ascii")
    if given.never_ready:
        signal.pause()
    config = Config.load(given.config)
    HTTPServer(("127.0.0.1", port_of(getattr(config, given.address))), _Handler).serve_forever()


if __name__ == "__main__":
    main()
