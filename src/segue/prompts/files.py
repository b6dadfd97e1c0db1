"""First masks from files: one index mask, or one picture for each object."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from segue.errors import PromptError
from segue.masks import read_index_mask, resize_mask
from segue.prompts.checks import check_id, wrong_size

_NAMED = re.compile(r"(\d+)=(.+)")


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
