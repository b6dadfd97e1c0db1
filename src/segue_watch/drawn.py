"""Save zones, regions and minimum heights from the page in the file of cameras."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from segue.errors import SegueError
from segue.events.rules import EventRules
from segue.events.zones import Zone
from segue.jobs.values import ForegroundJob
from segue.utils.files import rewrite
from segue.utils.inputs import encoding_of
from segue_watch.configuration import for_camera, parse_file, read_text
from segue_web.server.conflicts import ConflictError

DrawnOption = Literal["zone", "ignore", "min-height"]
"""Options that people draw in an image."""


@dataclass(frozen=True, slots=True)
class Change:
    """An added, replaced or removed zone, region or minimum height.

    Attributes:
        option: the option.
        previous: its text before the change; empty for a new one.
        new: its text from now on, as ``--zone``, ``--ignore`` and ``--min-height`` take it; empty where it is
            removed.
    """

    option: DrawnOption
    previous: str = ""
    new: str = ""

    @classmethod
    def parse(cls, option: DrawnOption, values: object) -> Change:
        """Parse ``{"previous": TEXT or null, "new": TEXT or null}``; raises SegueError."""
        if isinstance(values, dict) and {*values} == {"previous", "new"}:
            texts = [values["previous"] or "", values["new"] or ""]
            if any(texts) and all(isinstance(text, str) for text in texts):
                if "${" in texts[1]:  # the page would show it
                    raise SegueError("a name must not contain a secret; remove ${")
                return cls(option, *texts)
        raise SegueError(
            'give {"previous": TEXT, "new": TEXT}, such as door=5%,10% 50%,10% 50%,90%; null for nothing'
        )


def save_change(
    path: Path,
    output: Path,
    name: str,
    change: Change,
    check: Callable[[ForegroundJob], object] = lambda _: None,
) -> ForegroundJob:
    """Change a zone, region or height in a file of cameras; everything else stays.

    Args:
        path: TOML file, which is read again.
        output: as for :func:`segue_watch.configuration.read_file`.
        name: camera in it.
        change: added, replaced or removed item.
        check: refuses a job by SegueError.

    Returns:
        The job of the camera, with the change.

    Raises:
        ConflictError: the item in the file differs from the one that was changed, or its new name is taken.
        SegueError: a text means nothing, or an option of the camera needs one that is gone; the file stays.
    """
    import tomlkit  # late: few runs need it

    data = read_text(path)
    jobs, _ = parse_file(data, path, output)
    if name not in jobs:
        raise ConflictError(f"{path}: no longer has a camera {name}")
    encoding = encoding_of(data)
    if encoding == "utf-8-sig" and not data.startswith(codecs.BOM_UTF8):
        encoding = "utf-8"
    text = data.decode(encoding)
    content: Any = tomlkit.parse(text)
    table, defaults = content["cameras"][name], content.get("defaults", {})
    key = _key_in(table, change.option)
    listed = table.get(key)
    if not isinstance(listed, list):  # one alone, or those of all cameras
        texts = defaults.get(_key_in(defaults, change.option), []) if listed is None else listed
        listed = tomlkit.array()
        listed.extend(texts if isinstance(texts, list) else [texts])
        table[key] = listed.multiline(change.option != "min-height" and len(listed) + bool(change.new) > 1)
    _apply(change, listed, name)
    new = tomlkit.dumps(content)
    if "\r\n" in text and not re.search(r"(?<!\r)\n", text):
        new = re.sub(r"(?<!\r)\n", "\r\n", new)
    encoded = new.encode(encoding)
    job = parse_file(encoded, path, output)[0][name]
    check(job)
    if read_text(path) != data:
        raise ConflictError(f"{path}: was saved at the same time; try again")
    rewrite(path, encoded)
    return job


def _key_in(table: Any, option: DrawnOption) -> str:
    """Name of an option in a table, with ``-`` or ``_``."""
    other = option.replace("-", "_")
    return other if other in table else option


def _apply(change: Change, listed: Any, name: str) -> None:
    """Apply a change to a list of texts in place."""
    values = [_parse(change.option, for_camera(str(text), name)) for text in listed]
    new = _parse(change.option, change.new) if change.new else None
    current = [str(text) for text in listed]
    index = None
    if change.previous:
        previous = _parse(change.option, change.previous)
        if previous not in values:
            raise ConflictError(
                f"{_label(previous)} was changed or removed by another person in the meantime; "
                "check it and try again",
                current,
            )
        index = values.index(previous)
    if new is not None and _identity(new) in [
        _identity(value) for i, value in enumerate(values) if i != index
    ]:
        raise ConflictError(f"{_label(new)} already exists; choose another name or place", current)
    if index is None:
        _append(listed, change.new)
    elif new is None:
        del listed[index]
    else:
        listed[index] = change.new


def _append(listed: Any, text: str) -> None:
    """Append a text to an array; after a comment as a line, since tomlkit would write into the comment."""
    if re.search(r"#[^\n]*\n\s*\]$", listed.as_string()):
        listed.add_line(text)
    else:
        listed.append(text)


Value = Zone | tuple[float, float]
"""A zone or region, or the row and pixels of a minimum height."""


def _parse(option: DrawnOption, text: str) -> Value:
    return (
        EventRules.parse(0.0, (), (text,), ()).min_heights[0] if option == "min-height" else Zone.parse(text)
    )


def _identity(value: Value) -> object:
    """Key of a text within its list."""
    return value.name if isinstance(value, Zone) else value[0]


def _label(value: Value) -> str:
    return (
        value.name
        if isinstance(value, Zone)
        else f"the minimum height of {value[1]:g} px at row {value[0]:g}"
    )
