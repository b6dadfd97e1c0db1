"""Templates of titles and texts of messages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

FIELDS = ("source", "who", "what", "object", "label", "event", "zone", "seconds", "direction", "at", "link")
"""Fields in braces in a title or text."""

_FIELD = re.compile(r"\{(\w*)\}")


def unknown_fields(template: str) -> list[str]:
    """Fields of a template that do not exist."""
    return [name for name in _FIELD.findall(template) if name not in FIELDS]


def filled(template: str, values: Mapping[str, Any]) -> str:
    """Fill in the fields of a template."""
    return _FIELD.sub(lambda match: str(values.get(match[1], "")), template)
