"""`python -m sandbox.automation --config <dir>/config.json`: serve until SIGTERM."""

import argparse
from pathlib import Path

from sandbox.automation.server import serve
from sandbox.config import Config


def main() -> None:
    """Read the config and serve."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.automation", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the sandbox's config.json")
    serve(Config.load(parser.parse_args().config))


if __name__ == "__main__":
    main()
