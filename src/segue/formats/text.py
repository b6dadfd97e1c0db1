"""Texts that people give, which other programs have to read, and texts about requests."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from segue.errors import SegueError


def without_controls(text: str) -> str:
    """Leave out control characters, lone surrogates and what is no character, which XML cannot hold."""
    return "".join(
        one for one in text if unicodedata.category(one) not in ("Cc", "Cs") and one not in "\ufffe\uffff"
    )


def refuse_entities(text: str) -> str:
    """The text of an XML file without a document type, which may define entities that fill the memory."""
    if "<!DOCTYPE" in text:
        raise SegueError("must have no document type, which no annotation needs")
    return text


def first_problem(errors: Sequence[Any]) -> str:
    """Place and reason of the first of the errors that pydantic lists."""
    place = ".".join(str(part) for part in errors[0]["loc"])
    return f"{place}: {errors[0]['msg']}" if place else str(errors[0]["msg"])
