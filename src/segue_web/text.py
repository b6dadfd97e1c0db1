"""Texts that people give, which other programs have to read, and texts about requests."""

from __future__ import annotations

import unicodedata

from pydantic import ValidationError

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


def first_problem(error: ValidationError, whole: str = "") -> str:
    """Place and reason of the first error of a request; ``whole`` is the place of one of all of it."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place + ': ' if place else whole}{first['msg']}"
