"""`make demo`: start a sandbox, tell the story, take the sandbox down."""

import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from rich.console import Console

from sandbox.demo import release
from sandbox.demo.stage import Stage
from sandbox.demo.story import Story
from sandbox.provision import setup
from sandbox.supervisor import Options, SandboxError, down, up

OUT = Path(__file__).parents[2] / "out" / "demo.json"


def main() -> int:
    """Run the demo; 0 if every chapter passed, 1 if one failed, 130 if interrupted."""
    signal.signal(signal.SIGTERM, _interrupt)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # each line as it happens, also in a pipe
    console = Console()
    story = Story(console)
    stage: list[Stage] = []
    with tempfile.TemporaryDirectory(prefix="ops-demo-") as directory:
        place = Path(directory) / "sandbox"

        def start() -> dict[str, object]:
            config = up(place, Options(setup=setup), progress=lambda line: console.print(f"  {line}", highlight=False))
            stage.append(Stage(config, console))
            return {"service": config.service_url}

        try:
            if story.tell("Everything starts on this machine", start):
                for name, chapter in release.CHAPTERS.items():
                    story.tell(name, lambda chapter=chapter: chapter(stage[0]))  # type: ignore[misc]
            else:
                for name in release.CHAPTERS:
                    story.skip(name, "the sandbox did not start")
        except KeyboardInterrupt:
            console.print("interrupted: taking everything down")
            return 130
        finally:
            if stage:
                stage[0].clients.stop()
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
