"""Figures of several measurements in few, and what is said while they are made."""

import statistics
import sys
from collections.abc import Sequence


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile (nearest rank) and maximum."""
    ordered = sorted(values)
    rank = max(0, -(-len(ordered) * 95 // 100) - 1)
    return {
        "median": round(statistics.median(ordered), 3),
        "p95": round(ordered[rank], 3),
        "max": round(ordered[-1], 3),
        "count": len(ordered),
    }


def progress(line: str) -> None:
    """Say what is going on, in place of what was said before."""
    sys.stderr.write(f"\r{line}\033[K")
    sys.stderr.flush()
