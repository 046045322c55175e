"""The machine on which figures were measured."""

import os
import platform
from pathlib import Path
from typing import Any

from sandbox.postgres import binaries


def facts() -> dict[str, Any]:
    """Cores that may be used, processor, memory, kernel, versions, and how busy it is now."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "memory_gib": round(memory / 1024**3, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "postgresql": binaries.version(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
