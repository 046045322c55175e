"""The service's log: JSON lines on standard output."""

import json
import sys


def log(level: str, message: str, **facts: object) -> None:
    """One line."""
    sys.stdout.write(json.dumps({"level": level, "message": message, **facts}) + "\n")
    sys.stdout.flush()
