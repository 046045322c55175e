"""What the service has done, as Prometheus reads it.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable

from sandbox.service.detections import Readiness

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds; the longest request takes 10."""


class Metrics:
    """Counts of one process since its start."""

    def __init__(self, version: str) -> None:
        self._build = {"version": version}
        self._requests: Counter[tuple[str, str, int]] = Counter()
        # Of each path: how many requests ended within each bucket and no earlier one (the last: later), and in all.
        self._durations: dict[str, tuple[list[int], float]] = {}
        self._under_way = 0

    def begin(self) -> None:
        """A request has come in."""
        self._under_way += 1

    def end(self, method: str, path: str, status: int, seconds: float) -> None:
        """It was answered. `method` and `path` become labels: pass names out of a fixed set."""
        self._under_way -= 1
        self._requests[method, path, status] += 1
        counts, total = self._durations.get(path) or ([0] * (len(BUCKETS) + 1), 0.0)
        counts[bisect_left(BUCKETS, seconds)] += 1
        self._durations[path] = (counts, total + seconds)

    def text(self, readiness: Readiness) -> str:
        """All of it, and what `readiness` says of the stores."""
        lines = [
            *_family("service_build_info", "gauge", "What runs.", [(self._build, 1)]),
            *_family("http_requests_in_progress", "gauge", "Not answered yet.", [({}, self._under_way)]),
            *_family(
                "http_requests_total",
                "counter",
                "Answered, by method, path and status.",
                (
                    ({"method": method, "path": path, "status": str(status)}, count)
                    for (method, path, status), count in sorted(self._requests.items())
                ),
            ),
            "# HELP http_request_duration_seconds From a request's last byte to its answer.",
            "# TYPE http_request_duration_seconds histogram",
        ]
        for path, (counts, total) in sorted(self._durations.items()):
            lines += _histogram("http_request_duration_seconds", {"path": path}, counts, total)
        stores = {"reads": int(readiness.read), "writes": int(readiness.write == "stored")}
        if readiness.cache is not None:
            stores["cache"] = int(readiness.cache)
        name, help_text = (
            "service_store_up",
            "Whether the database can be read and written, and the cache answers.",
        )
        lines += _family(name, "gauge", help_text, (({"store": store}, up) for store, up in stores.items()))
        if readiness.queued is not None:
            name, help_text = "service_queued", "Detections that wait for the database."
            lines += _family(name, "gauge", help_text, [({}, readiness.queued)])
        return "\n".join(lines) + "\n"


def _family(name: str, kind: str, help_text: str, samples: Iterable[tuple[dict[str, str], float]]) -> list[str]:
    return [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}", *(_sample(name, *sample) for sample in samples)]


def _histogram(name: str, labels: dict[str, str], counts: list[int], total: float) -> list[str]:
    lines, seen = [], 0
    for bound, count in zip([*map(str, BUCKETS), "+Inf"], counts, strict=True):
        seen += count
        lines.append(_sample(f"{name}_bucket", {**labels, "le": bound}, seen))
    return [*lines, _sample(f"{name}_sum", labels, total), _sample(f"{name}_count", labels, seen)]


def _sample(name: str, labels: dict[str, str], value: float) -> str:
    inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{inside}}} {value}" if inside else f"{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
