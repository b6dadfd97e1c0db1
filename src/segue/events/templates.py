"""Titles and texts of messages to people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

FIELDS = ("source", "who", "what", "object", "label", "event", "zone", "seconds", "direction", "at", "link")
"""What stands between braces in a title or text."""

_FIELD = re.compile(r"\{(\w*)\}")


def unknown_fields(template: str) -> list[str]:
    """The fields of a title or text that there are not."""
    return [name for name in _FIELD.findall(template) if name not in FIELDS]


def filled(template: str, values: Mapping[str, Any]) -> str:
    """A title or text with its fields filled in."""
    return _FIELD.sub(lambda match: str(values.get(match[1], "")), template)
