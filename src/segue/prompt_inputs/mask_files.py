"""Prompts from mask files and annotation files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from segue.errors import PromptError, SegueError
from segue.masks import decode_rle
from segue.masks.files import MaskStack, stack_text
from segue.masks.values import warn_of_void
from segue.prompt_types import (
    MaskPrompt,
)
from segue.utils.arrays import IndexMask
from segue.utils.inputs import user_path
from segue.utils.lazy import LazyCallable
from segue.video.sources.kinds import FILM_SUFFIXES

ANNOTATIONS = frozenset({".json", ".xml"})
"""Files of annotation programs, by their suffix."""

_READ_LABELS = LazyCallable("segue.formats.reading:read_labels")
_MASK_OF_MATTE = LazyCallable("segue.formats.mattes:mask_of_matte")
"""Imported late: readers of annotation files and videos are in a higher layer than prompts."""


@dataclass(frozen=True)
class _OneImage:
    """Properties of the prompted frame for readers of annotations."""

    size: tuple[int, int]
    count: int = 1
    names: None = None
    fps: None = None

    def time(self, index: int) -> float:
        return 0.0


def read_masks(
    prompt: MaskPrompt, size: tuple[int, int], frame: int = 0, frames: int | None = 1
) -> list[MaskPrompt]:
    """Read prompts with masks as arrays, (H, W); a file with ids gives one prompt per object.

    ``size`` is height and width of the frame, which polygons of annotations need. Its index ``frame`` and the
    number of ``frames`` of the source choose the page of a stack.
    """
    if isinstance(prompt.mask, np.ndarray):
        return [prompt]
    if prompt.path is None:
        return [replace(prompt, mask=decode_rle(prompt.mask))]
    path = user_path(prompt.path)
    if path.is_dir():
        raise PromptError("is a folder; give the mask of the frame, as FRAME@FILE where it is not the first")
    suffix = path.suffix.lower()
    if suffix in ANNOTATIONS:
        mask_prompts = _annotated(path, size)
    elif suffix in FILM_SUFFIXES:
        mask_prompts = MaskPrompt.each(_MASK_OF_MATTE(path, frame, frames))
    else:
        mask_prompts = MaskPrompt.each(_stored(path, frame, frames))
    if not prompt.id:
        return mask_prompts
    if len(mask_prompts) > 1:
        raise PromptError(
            f"holds {len(mask_prompts)} objects, but one is expected; give it as the only file, without id"
        )
    if not mask_prompts:
        raise PromptError("the mask is empty; draw at least one object")
    return [replace(prompt, mask=mask_prompts[0].mask, label=prompt.label or mask_prompts[0].label)]


def _stored(path: Path, frame: int, frames: int | None) -> IndexMask:
    """Read the index mask of a file, or of the frame's page in a stack."""
    with MaskStack.opened(path) as stack:
        count = len(stack.pages)
        if count > 1 and count != frames:
            source = "" if frames is None else f", the source {frames} frame{'s' if frames > 1 else ''}"
            pages = stack_text(count, stack.axes)
            raise PromptError(f"holds {pages}{source}; give one page, or one for each frame")
        return stack.read(frame if count > 1 else 0, {}, warn_of_void)


def _annotated(path: Path, size: tuple[int, int]) -> list[MaskPrompt]:
    """Read the named objects of a file that annotates one image; they may overlap."""
    try:
        labels = _READ_LABELS(path, _OneImage(size))
    except SegueError as error:
        raise PromptError(str(error).removeprefix(f"{path}: ")) from None
    return [MaskPrompt(id, mask, label=labels.names[id]) for id, mask in labels.planes(0).items()]
