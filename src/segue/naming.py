"""Names of files and sequences: their order, and lists of them in messages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path


def natural_key(name: str) -> tuple[tuple[int, int, str, str], ...]:
    """Sorting key under which ``frame10`` comes after ``frame9``; different names have different keys."""
    return tuple(map(_part_key, re.findall(r"[0-9]+|[^0-9]+", name)))


def _part_key(part: str) -> tuple[int, int, str, str]:
    if part[0] not in "0123456789":
        return (1, 0, part, "")
    # Compared as text of known length: int() refuses the thousands of digits that a hostile name can have.
    digits = part.lstrip("0")
    return (0, len(digits), digits, part)


def first_few(names: Iterable[str], few: int = 5) -> str:
    """The first few names and how many follow."""
    listed = list(names)
    more = f" and {len(listed) - few} more" if len(listed) > few else ""
    return ", ".join(listed[:few]) + more


def distinct_ends(one: Path, other: Path) -> tuple[str, str]:
    """Short names of two files or folders that differ, where the paths do."""
    ways = [path.resolve().parts for path in (one, other)]
    if ways[0] == ways[1]:
        return ways[0][-1], ways[1][-1]
    for depth in range(1, min(map(len, ways)) + 1):
        if ways[0][-depth] != ways[1][-depth]:
            break
    between = "/…/" if depth > 2 else "/"
    names = [parts[-1] if depth == 1 else f"{parts[-depth]}{between}{parts[-1]}" for parts in ways]
    return names[0], names[1]
