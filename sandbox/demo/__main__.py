"""`make demo`: start a sandbox, tell the story, take the sandbox down."""

import argparse
import functools
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

from rich.console import Console

from sandbox.demo import recovery, release, remediation
from sandbox.demo.stage import Stage
from sandbox.demo.story import Story
from sandbox.provision import setup
from sandbox.supervisor import Options, SandboxError, down, up

Meanwhile = Callable[[Stage], None]
Chapter = Callable[[Stage], Mapping[str, object]]

OUT = Path(__file__).parents[2] / "out" / "demo.json"

# A judgement takes the clients' requests of three seconds; there are 200 a second.
SHORTER_WAITS = {"BakeSeconds": "3", "RunbookTimeFactor": "0.025"}
ALARM_PERIOD_SECONDS = 3

# What needs no chapter of its own runs while others are told, as it would in production.
CHAPTERS: dict[str, tuple[Meanwhile | None, Chapter]] = {
    "A release, blue-green, under load": (recovery.begin_snapshot, release.blue_green),
    "An hourly snapshot": (None, recovery.hourly_snapshot),
    "A rollback, with the old colour warm": (recovery.begin_drill, release.roll_back),
    "A canary, and a second release at the same time": (None, release.canary),
    "A drill": (None, recovery.drill),
    "A version that fails its clients": (None, release.bad_under_traffic),
    "An alarm that was firing before": (None, release.firing_alarm),
    "A disaster, and the data of the moment before": (None, recovery.disaster),
    "A pod that hangs, and an alarm that has it replaced": (None, remediation.frozen_pod),
    "The objectives, and the evidence": (None, recovery.objectives),
}
"""What begins in the background, and what is told."""

MORE: dict[str, tuple[Meanwhile | None, Chapter]] = {
    "A version that never gets healthy": (None, release.never_healthy),
    "A release stopped from outside": (None, release.stopped_from_outside),
}
"""What is told with `--all`, after the releases."""


def chapters(every: bool) -> dict[str, tuple[Meanwhile | None, Chapter]]:
    """The story in its order, with or without MORE."""
    if not every:
        return CHAPTERS
    names = list(CHAPTERS)
    place = names.index("A disaster, and the data of the moment before")
    return {name: (CHAPTERS | MORE)[name] for name in (*names[:place], *MORE, *names[place:])}


def main() -> int:
    """Run the demo; 0 if every chapter passed, 1 if one failed, 130 if interrupted."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.demo", description="Tell the whole story on this machine.")
    parser.add_argument("--all", action="store_true", help="two more chapters about releases that end badly")
    told = chapters(parser.parse_args().all)
    signal.signal(signal.SIGTERM, _interrupt)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # each line as it happens, also in a pipe
    console = Console()
    story = Story(console)
    stage: list[Stage] = []
    with tempfile.TemporaryDirectory(prefix="ops-demo-") as directory:
        place = Path(directory) / "sandbox"

        def start() -> dict[str, object]:
            options = Options(
                setup=functools.partial(
                    setup, engines=True, parameters=SHORTER_WAITS, alarm_period_seconds=ALARM_PERIOD_SECONDS
                )
            )
            config = up(place, options, progress=lambda line: console.print(f"  {line}", highlight=False))
            stage.append(Stage(config, console))
            return {"service": config.service_url}

        try:
            if story.tell("Everything starts on this machine", start):
                for name, (meanwhile, chapter) in told.items():
                    if meanwhile:
                        meanwhile(stage[0])
                    story.tell(name, functools.partial(chapter, stage[0]))
            else:
                for name in told:
                    story.skip(name, "the sandbox did not start")
        except KeyboardInterrupt:
            console.print("interrupted: taking everything down")
            return 130
        finally:
            if stage:
                stage[0].close()
            try:
                down(place, progress=lambda line: console.print(line, highlight=False))
            except SandboxError as error:
                console.print(f"[red]{error}[/red]")
    story.summarise(OUT)
    return 0 if story.passed else 1


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
