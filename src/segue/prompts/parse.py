"""Prompts as people type them on a command line."""

from __future__ import annotations

import re
from collections.abc import Iterable

from segue.errors import PromptError
from segue.prompts.checks import check_id
from segue.types import BoxPrompt, PointPrompt

_NUMBER = r"\s*(-?\d+(?:\.\d*)?)\s*"
_BOX = re.compile(r"(?:(\d+):)?" + ",".join([_NUMBER] * 4))
_POINT = re.compile(r"(?:(\d+):)?\s*([+-]?)\s*(\d+(?:\.\d*)?)\s*,\s*(\d+(?:\.\d*)?)\s*")


def parse_box(text: str, *, id: int = 1, fill: bool = False) -> BoxPrompt:
    """Parse ``x0,y0,x1,y1`` or ``id:x0,y0,x1,y1``, in pixels.

    Args:
        text: what was typed.
        id: id of the object where the text names none.
        fill: carried into the prompt.

    Raises:
        PromptError: the text has another form or the id is out of range.
    """
    match = _BOX.fullmatch(text.strip())
    if match is None:
        raise PromptError(f"box '{text}' is not of the form x0,y0,x1,y1 or id:x0,y0,x1,y1")
    x0, y0, x1, y1 = (float(number) for number in match.groups()[1:])
    return BoxPrompt(_id(match[1], id), (x0, y0, x1, y1), fill)


def parse_boxes(texts: Iterable[str], *, fill: bool = False) -> list[BoxPrompt]:
    """Parse several boxes; those without an id get the smallest ids that are free, in their order.

    >>> [box.id for box in parse_boxes(["5,5,9,9", "1:0,0,4,4", "7,7,8,8"])]
    [2, 1, 3]
    """
    texts = list(texts)
    named = {int(match[1]) for text in texts if (match := re.match(r"\s*(\d+):", text))}
    free = (number for number in range(1, len(texts) + len(named) + 1) if number not in named)
    return [
        parse_box(text, fill=fill) if ":" in text else parse_box(text, id=next(free), fill=fill)
        for text in texts
    ]


def parse_point(text: str, *, id: int = 1) -> PointPrompt:
    """Parse ``x,y`` or ``+x,y`` (on the object), ``-x,y`` (not on it), or with ``id:`` before.

    :func:`segue.prompts.resolve` joins the points of one id, so each may be parsed alone.

    Raises:
        PromptError: the text has another form or the id is out of range.
    """
    match = _POINT.fullmatch(text.strip())
    if match is None:
        raise PromptError(f"point '{text}' is not of the form x,y, +x,y, -x,y or id:+x,y")
    point = ((float(match[3]), float(match[4])),)
    number = _id(match[1], id)
    return PointPrompt(number, (), point) if match[2] == "-" else PointPrompt(number, point)


def _id(text: str | None, default: int) -> int:
    return check_id(default if text is None else int(text))
