"""Laying out a graph with graphviz-pure (requirements/terraform.in), whose output is the same everywhere."""

import subprocess
from pathlib import Path

DOT = Path(__file__).parents[1] / ".venv-terraform/bin/graphviz-pure"
_SECONDS = 60


def svg(graph: str) -> str:
    """The picture of a graph in Graphviz's language, as SVG; raises CalledProcessError if it cannot be laid out."""
    done = subprocess.run(  # noqa: S603 - the program of the locked requirements, with fixed arguments
        [str(DOT), "-Tsvg"], input=graph, text=True, capture_output=True, timeout=_SECONDS, check=True
    )
    return done.stdout
