"""Prompts as people type them on a command line, and first masks from files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from segue.errors import PromptError
from segue.masks import read_index_mask, resize_mask
from segue.masks.files import MAX_ID
from segue.types import BoxPrompt, PointPrompt


def check_id(id: int) -> int:
    """The id itself, if an index mask can hold it."""
    if not 1 <= id <= MAX_ID:
        raise PromptError(f"object id {id} is out of range; ids go from 1 to {MAX_ID}")
    return int(id)


def wrong_size(shape: Sequence[int], size: tuple[int, int]) -> str:
    """Text that tells both sizes as width x height."""
    return (
        f"the mask is {shape[1]}x{shape[0]} pixels, the frame {size[1]}x{size[0]}; "
        "use --fit (fit=True) to resize the mask"
    )


_NUMBER = r"\s*(-?\d{1,9}(?:\.\d{0,9})?)\s*"
_BOX = re.compile(r"(?:(\d{1,9}):)?" + ",".join([_NUMBER] * 4))
_POINT = re.compile(r"(?:(\d{1,9}):)?\s*([+-]?)\s*(\d{1,9}(?:\.\d{0,9})?)\s*,\s*(\d{1,9}(?:\.\d{0,9})?)\s*")


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
    named = {int(match[1]) for text in texts if (match := re.match(r"\s*(\d{1,9}):", text))}
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


_NAMED = re.compile(r"(\d{1,9})=(.+)")


def read_prompt_masks(
    paths: Sequence[str | Path], size: tuple[int, int], *, fit: bool = False
) -> npt.NDArray[np.int32]:
    """Read the mask files of one frame into one index mask.

    One file is an index mask, or a binary mask whose object gets id 1. Several files hold one object each;
    the objects get the ids 1, 2, ... in the order of the files. ``id=path`` chooses the id of a file, which
    then holds one object too. Where objects overlap, the later file wins.

    Args:
        paths: files, each as ``path`` or ``id=path``.
        size: height and width of the frame, in pixels.
        fit: resize masks of another size (nearest neighbour) instead of refusing them.

    Returns:
        Index mask, (H, W), int32.

    Raises:
        PromptError: a mask is empty or of the wrong size, holds several objects where one belongs, two
            files have the same id, or an id is out of range.
        SourceError: a file is missing or is no mask.
    """
    if not paths:
        raise PromptError("no mask file given")
    entries = [_entry(path) for path in paths]
    if len(entries) == 1 and entries[0][0] is None:
        return _read(entries[0][1], size, fit)
    merged = np.zeros(size, np.int32)
    ids: set[int] = set()
    for position, (named, path) in enumerate(entries, start=1):
        id = position if named is None else named
        if id in ids:
            raise PromptError(f"{path}: object {id} already has a mask file; name ids as id=path")
        ids.add(id)
        merged[_read_object(path, size, fit)] = id
    return merged


def _entry(text: str | Path) -> tuple[int | None, Path]:
    match = _NAMED.fullmatch(str(text))
    return (None, Path(text)) if match is None else (check_id(int(match[1])), Path(match[2]))


def _read(path: Path, size: tuple[int, int], fit: bool) -> npt.NDArray[np.int32]:
    mask = read_index_mask(path)
    if mask.shape != size:
        if not fit:
            raise PromptError(f"{path}: {wrong_size(mask.shape, size)}")
        mask = resize_mask(mask, size)
    if not mask.any():
        raise PromptError(f"{path}: the mask is empty; draw at least one object")
    return mask.astype(np.int32)


def _read_object(path: Path, size: tuple[int, int], fit: bool) -> npt.NDArray[np.bool_]:
    mask = _read(path, size, fit)
    ids = np.unique(mask[mask > 0])
    if len(ids) > 1:
        raise PromptError(
            f"{path}: holds {len(ids)} objects, but one is expected; give an index mask as the only file"
        )
    return mask > 0
