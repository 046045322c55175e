"""`python -m sandbox.platform --config <dir>/config.json`."""

import argparse
import logging
import os
import signal
import threading
from base64 import b64encode
from pathlib import Path
from urllib.parse import urlsplit

from sandbox.config import Config, port_of

log = logging.getLogger("sandbox.platform")


def main() -> None:
    """Entry point: serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="sandbox.platform", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the sandbox's config.json")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    config = Config.load(parser.parse_args().config)
    # moto reads its account id when it is imported, therefore not before.
    os.environ["MOTO_ACCOUNT_ID"] = config.account
    from sandbox.platform.server import make_application, make_server  # noqa: PLC0415

    application = make_application(config, b64encode((config.tls_dir / "ca.pem").read_bytes()).decode())
    server = make_server(
        urlsplit(config.platform_url).hostname or "127.0.0.1", port_of(config.platform_url), application
    )

    def stop(*_: object) -> None:
        # shutdown() waits for serve_forever, which runs in this very thread.
        threading.Thread(target=server.shutdown, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    log.info("serving %s", config.platform_url)
    server.serve_forever(poll_interval=0.2)
    server.server_close()
    application.close()
    logging.shutdown()
    # The state dies with the process; taking moto's modules down in order would only take seconds.
    os._exit(0)


if __name__ == "__main__":
    main()
