"""SQL as it may be kept: without its literals, which may be anybody's data, and cut to a length."""

import re

# In this order: what is quoted may contain anything of what comes after it. PostgreSQL cuts the text that it shows
# (track_activity_query_size), so whatever opens may not be closed.
_PARTS = re.compile(
    r"""
      (?P<comment> /\*.*?(?:\*/|\Z) | --[^\n]*)
    | (?P<name> "(?:[^"]|"")*(?:"|\Z))
    | (?P<literal>
          [eE]'(?:[^'\\]|\\.|'')*(?:'|\Z)
        | (?:[bBxXnN]|[uU]&)?'(?:[^']|'')*(?:'|\Z)
        | \$(?P<tag>[A-Za-z_]\w*)\$.*?(?:\$(?P=tag)\$|\Z)
        | \$\$.*?(?:\$\$|\Z)
      )
    | (?P<parameter> \$\d+)
    | (?P<word> [A-Za-z_]\w*)
    | (?P<number> \d[\d_]*(?:\.\d*)?(?:[eE][+-]?\d+)? | \.\d+)
    """,
    re.VERBOSE | re.DOTALL,
)


def redacted(statement: str, length: int) -> str:
    """`statement` on one line with `?` for every literal and without comments, at most `length` characters."""

    def replaced(match: re.Match[str]) -> str:
        if match["comment"] is not None:
            return " "
        return "?" if match["literal"] is not None or match["number"] is not None else match[0]

    text = " ".join(_PARTS.sub(replaced, statement).split())
    return text if len(text) <= length else text[: max(0, length - 1)] + "…"
