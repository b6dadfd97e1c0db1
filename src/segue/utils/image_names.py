"""Sort image names by the dates in them, and detect several series."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from segue.utils.naming import first_few, natural_key

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]

_DAY_FIRST = re.compile(r"(?<![0-9])([0-3]?[0-9])([-._])([01]?[0-9])\2((?:19|20)[0-9]{2})(?![0-9])")
"""30-11-2026; if no first number exceeds 12, it may also be the month."""

_MONTH_NAME = re.compile(
    rf"(?<![0-9])([0-9]{{1,4}})[-._ ]?({'|'.join(_MONTHS)})[a-z]*[-._ ]?([0-9]{{1,4}})(?![0-9])",
    re.IGNORECASE,
)
"""2026-Nov-30, 30 November 2026"""

_HALF_DAY = re.compile(
    r"(?<![0-9])(1[0-2]|0?[1-9])([-.:_][0-5][0-9]){1,2}[-_ \u00a0\u202f]?([ap])\.?m\b\.?", re.IGNORECASE
)
"""9.59.58 PM, as Windows and macOS write times in English"""

_SERIES = re.compile(r"(?<![A-Za-z])([A-Za-z]{1,12}[-_]?)([0-9]{1,4})(?![0-9])")
"""Numbers after letters: cam1, z00, ch2"""

_TIMES = frozenset({"t", "time", "f", "frame", "img", "image"})
"""Letters before the number of a frame."""

MAX_SERIES = 16
"""Largest number of series: more are counters of other kinds."""


def in_order_of_dates(images: list[Path]) -> tuple[list[Path], str]:
    """Sort images by time if their names have day-first dates, month names or 12-hour times.

    Args:
        images: of one folder, in natural order.

    Returns:
        The images, and the origin of the order; empty if names have no such time, or are in its order.
    """
    for read, what in ((_month_first, "names of months"), (_day_first, "days and years")):
        if (ordered := _ordered(images, read)) is not None:
            return ordered, f"the {what} in the names decide the order; {ordered[0].name} is the first frame"
    if (ordered := _ordered(images, _half_days)) is not None:
        return ordered, f"AM and PM in the names decide the order; {ordered[0].name} is the first frame"
    return images, ""


def _ordered(images: list[Path], read: Callable[[str], str | None]) -> list[Path] | None:
    """Images sorted by rewritten names; None if one has none, or the order is the same."""
    rewritten = [read(path.stem) for path in images]
    if len(images) < 2 or None in rewritten or (read is _day_first and not _is_day_first(images)):
        return None
    keys = [natural_key(_half_days(text) or text) for text in rewritten if text is not None]
    ordered = [path for _, path in sorted(zip(keys, images, strict=True), key=lambda pair: pair[0])]
    return None if ordered == images else ordered


def _is_day_first(images: Sequence[Path]) -> bool:
    """Whether some date can only be day-first."""
    dates = [match for path in images if (match := _DAY_FIRST.search(path.stem))]
    return any(int(date[1]) > 12 for date in dates) and all(int(date[3]) <= 12 for date in dates)


def _day_first(name: str) -> str | None:
    """Rewrite the date in a name as year, month, day; None without a date."""

    def year_first(date: re.Match[str]) -> str:
        return f"{date[4]}-{int(date[3]):02d}-{int(date[1]):02d}"

    new, count = _DAY_FIRST.subn(year_first, name, count=1)
    return new if count else None


def _month_first(name: str) -> str | None:
    """Rewrite the name of a month as a number after the year; None without one."""

    def number(date: re.Match[str]) -> str:
        first, last = date[1], date[3]
        year, day = (first, last) if len(first) == 4 or len(last) < len(first) else (last, first)
        return f"{year}-{_MONTHS.index(date[2].lower()) + 1:02d}-{int(day):02d}"

    new, count = _MONTH_NAME.subn(number, name, count=1)
    return new if count else None


def _half_days(name: str) -> str | None:
    """Rewrite a 12-hour time as 24-hour; None without AM or PM."""

    def hours(time: re.Match[str]) -> str:
        hour = int(time[1]) % 12 + 12 * (time[3].lower() == "p")
        rest = re.sub(r"[-_ \u00a0\u202f]?[ap]\.?m\.?\Z", "", time[0][len(time[1]) :], flags=re.IGNORECASE)
        return f"{hour:02d}{rest}"

    new, count = _HALF_DAY.subn(hours, name, count=1)
    return new if count else None


def series_of(images: Sequence[Path]) -> str:
    """Describe several series of images in a folder, such as two cameras; empty for one.

    Two series differ in one number after letters, and have images of the same further numbers.

    Args:
        images: the images of a folder.

    Returns:
        One sentence with a pattern for one of them, or an empty text.
    """
    counts: dict[tuple[str, str], dict[str, set[str]]] = {}
    for path in images:
        for match in _SERIES.finditer(path.stem):
            if match[1].strip("-_").lower() in _TIMES:
                continue
            rest = f"{path.stem[: match.start(2)]}\0{path.stem[match.end(2) :]}"
            counts.setdefault((match[1], str(match.start(2))), {}).setdefault(match[2], set()).add(rest)
    for (letters, _), series in counts.items():
        rests = [*series.values()]
        if (
            1 < len(series) <= MAX_SERIES
            and all(rest == rests[0] for rest in rests)
            and len(rests[0]) > 1
            and len(rests) * len(rests[0]) == len(images)
            and len(rests) <= len(rests[0])
        ):
            names = first_few((f"{letters}{number}" for number in sorted(series)), 4)
            return (
                f"the names have {len(series)} series ({names}), and all are frames; for one of them give a "
                f"pattern such as '*{letters}{min(series)}*{images[0].suffix}'"
            )
    return ""
