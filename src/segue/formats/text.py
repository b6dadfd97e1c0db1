"""Sanitise texts of users for other programs, and format messages of validation."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from segue.errors import SegueError


def without_controls(text: str) -> str:
    """Remove control characters, lone surrogates and noncharacters, which XML cannot hold."""
    return "".join(
        one for one in text if unicodedata.category(one) not in ("Cc", "Cs") and one not in "\ufffe\uffff"
    )


def refuse_entities(text: str) -> str:
    """Refuse an XML text with a document type, whose entities could exhaust memory."""
    if "<!DOCTYPE" in text:
        raise SegueError("must have no document type, which no annotation needs")
    return text


def first_problem(errors: Sequence[Any]) -> str:
    """Place and reason of pydantic's first error."""
    place = ".".join(str(part) for part in errors[0]["loc"])
    return f"{place}: {errors[0]['msg']}" if place else str(errors[0]["msg"])
