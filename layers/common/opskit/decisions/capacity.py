"""How much more a repair may give a resource: the next count or size within its bounds, or why there is none."""

from collections.abc import Sequence


def next_count(current: int, step: int, limits: Sequence[tuple[str, int]]) -> int | str:
    """`current` raised by `step` within all `limits` (name and most); words, if that is no more than now."""
    name, most = min(limits, key=lambda limit: limit[1])
    if current >= most:
        return f"{current} is as many as {name} allows ({most})"
    return min(current + max(1, step), most)


def next_size(current: str, sizes: Sequence[str]) -> str:
    """The size after `current` in `sizes`, smallest first. Raises ValueError with the words for a person."""
    if current not in sizes:
        raise ValueError(f"it is {current}, which is none of the sizes that it may have ({', '.join(sizes)})")
    following = sizes[list(sizes).index(current) + 1 :]
    if not following:
        raise ValueError(f"it is {current}, the largest that it may be")
    return following[0]
