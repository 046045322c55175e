"""`ops --help`: the commands in sections, in the order in which one comes to need them."""

from typing import Any

from typer.core import TyperGroup

SECTIONS = {
    "Look and stop": ("status", "watch", "history", "abort"),
    "Release": ("release", "approve", "reject", "rollback"),
    "Back up and recover": ("snapshot", "backups", "restore"),
    "Repair": ("remediate", "remediations", "pause", "resume"),
    "Prove": ("preflight", "drill", "drills", "objectives", "evidence"),
    "On this machine": ("sandbox",),
}


class Sections(TyperGroup):
    """A group of commands that lists them in `SECTIONS`; what is in none of them comes last."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - click's own signature
        """Every command's name, in the order of the help text."""
        known = [name for names in SECTIONS.values() for name in names if name in self.commands]
        return known + [name for name in self.commands if name not in known]

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - click's own signature
        """Write one section after the other, with their texts aligned and cut to the line."""
        width = max(map(len, self.commands), default=0)
        rest = tuple(name for name in self.commands if not any(name in names for names in SECTIONS.values()))
        for title, names in ({**SECTIONS, "Other": rest} if rest else SECTIONS).items():
            found = [(name, self.commands[name]) for name in names if name in self.commands]
            shown = [(name, command) for name, command in found if not command.hidden]
            room = formatter.width - width - 6
            if shown:
                with formatter.section(title):
                    formatter.write_dl(
                        [(f"{name:<{width}}", command.get_short_help_str(room)) for name, command in shown]
                    )
