"""Personal settings for all projects of a machine: keys, and page settings."""

from __future__ import annotations

import json
from typing import Any, Literal

from segue.errors import SegueError
from segue.utils.cache import settings_folder
from segue.utils.files import changing, write_complete

Kind = Literal["keys", "settings"]
"""Kind of personal settings, and name of its file in the settings folder."""

MAX_CHOICES = 500
"""Maximum number of settings of a person."""

PERSONAL = frozenset(
    {
        "backdrop",
        "brush",
        "guides",
        "hatched",
        "labels",
        "loop",
        "neighbours",
        "opacity",
        "palette",
        "seek",
        "sideFolded",
        "sideWidth",
        "solo",
        "speed",
        "stride",
        "theme",
        "timelineFolded",
        "timelineHeight",
        "view",
    }
)
"""Settings of the page that belong to the person; others belong to the project."""


PLACE = frozenset({"frame", "from", "to"})
"""Settings of a project that each person has separately."""


def choices_of(kind: Kind, person: str) -> dict[str, Any]:
    """Settings of a person by name."""
    return _read(kind).get(person, {})


def choose(kind: Kind, person: str, values: dict[str, Any]) -> None:
    """Save settings of a person; SegueError if they are too large."""
    path = settings_folder() / f"{kind}.json"
    with changing(path):
        everyone = _read(kind)
        merged = everyone.get(person, {}) | values
        if len(merged) > MAX_CHOICES:
            raise SegueError(f"a person can change at most {MAX_CHOICES} {kind}")
        text = json.dumps(everyone | {person: merged}, indent=1, ensure_ascii=False)
        write_complete(path, f"{text}\n".encode())


def _read(kind: Kind) -> dict[str, dict[str, Any]]:
    path = settings_folder() / f"{kind}.json"
    try:
        stored = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        people = {str(person): dict(settings.items()) for person, settings in stored.items()}
        if not all(
            isinstance(value, str | bool | int | float) for each in people.values() for value in each.values()
        ):
            raise ValueError("it holds more than texts and numbers")
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise SegueError(f"{path}: the {kind} cannot be read ({error}); repair or move the file") from None
    return people
