"""The keys of commands and tools that people have chosen, by their names, for all projects of a machine."""

from __future__ import annotations

import json

from segue.errors import SegueError
from segue.utils.cache import settings_folder
from segue.utils.files import changing, write_complete

KEYS = "keys.json"
"""File of the settings folder: the keys by person and command or tool."""

MAX_KEYS = 500
"""Keys of a person."""


def keys_of(person: str) -> dict[str, str]:
    """The keys that a person has chosen, by commands and tools."""
    return _read().get(person, {})


def choose_key(person: str, name: str, key: str) -> None:
    """Give a command or a tool a key of a person."""
    path = settings_folder() / KEYS
    with changing(path):
        keys = _read()
        merged = keys.get(person, {}) | {name: key}
        if len(merged) > MAX_KEYS:
            raise SegueError(f"a person can change at most {MAX_KEYS} keys")
        text = json.dumps(keys | {person: merged}, indent=1, ensure_ascii=False)
        write_complete(path, f"{text}\n".encode())


def _read() -> dict[str, dict[str, str]]:
    path = settings_folder() / KEYS
    try:
        stored = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        people = {
            str(person): {str(name): str(key) for name, key in keys.items()}
            for person, keys in stored.items()
        }
    except (OSError, ValueError, AttributeError) as error:
        raise SegueError(f"{path}: the keys cannot be read ({error}); repair or move the file") from None
    return people
