"""Record options and data of a training, which must not change when it is resumed."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segue.errors import CheckpointError
from segue.utils.inputs import exists
from segue.video.sources.identity import SourceIdentity

STARTS = frozenset(
    "start init init_value backbone scaling pool validation_data measure validate_on".split()  # noqa: SIM905
)
"""Options of the start and of validation, which do not affect a resumed run."""

Origin = dict[str, str]
"""Options by name, as text; data and files as digests."""


def origin_of(*options: Mapping[str, Any]) -> Origin:
    """Options of a training that affect its result, with digests of the files in them."""
    values = {name: value for group in options for name, value in group.items() if name not in STARTS}
    return {name: _text(value) for name, value in values.items()}


def require_same(
    recorded: Mapping[str, str], now: Mapping[str, str], defaults: Mapping[str, str] | None = None
) -> None:
    """Raise an error unless a run is resumed with the options of its start.

    Options that are no more do not count; one that the version of the start did not have had its default.
    """
    recorded = {**(defaults or {}), **recorded}
    for name, value in sorted(now.items()):
        if recorded.get(name) != value:
            raise CheckpointError(
                f"it was started with {name} {recorded.get(name)}, not {value}; "
                "give --overwrite to start again"
            )


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    if not isinstance(value, (str, Path)):
        return str(value)
    text = str(value)
    # An option may be FOLDER, 5@FOLDER, LAYOUT=FOLDER or IMAGES:MASKS.
    for part in [text] if exists(Path(text)) else re.split("[@=:]", text):
        if part and exists(Path(part)):
            text = text.replace(part, _digest(Path(part)))
    return text


def _digest(path: Path) -> str:
    if path.is_file():
        identity = SourceIdentity.of(path)
        return f"({identity.size} bytes {str(identity.digest)[:12]})"
    total, count = hashlib.sha256(), 0
    for place, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            file = Path(place) / name
            size = file.stat().st_size if file.exists() else -1  # a link may lead nowhere
            total.update(os.fsencode(file.relative_to(path)) + b"\0%d\n" % size)
            count += 1
    return f"({count} files {total.hexdigest()[:12]})"
