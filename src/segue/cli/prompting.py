"""Prompts of the command line: masks, boxes and points, each for any frame."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from segue.errors import PromptError
from segue.masks import resize_mask
from segue.prompts import parse_boxes, parse_point, read_prompt_masks, resolve
from segue.types import Box, Frame, MaskPrompt, Point, Prompt, RemovePrompt

_AT = re.compile(r"(\d+)@(.+)", re.DOTALL)


@dataclass(slots=True)
class PromptTexts:
    """What was typed for one frame."""

    masks: list[str] = field(default_factory=list)
    boxes: list[str] = field(default_factory=list)
    points: list[str] = field(default_factory=list)
    removals: list[str] = field(default_factory=list)


def by_frame(
    first: int, masks: Iterable[str], boxes: Iterable[str], points: Iterable[str], removals: Iterable[str]
) -> dict[int, PromptTexts]:
    """Sort texts of the form ``[FRAME@]TEXT`` by frame; those without a frame belong to ``first``."""
    texts: dict[int, PromptTexts] = defaultdict(PromptTexts)
    for kind, values in (("masks", masks), ("boxes", boxes), ("points", points), ("removals", removals)):
        for value in values:
            match = _AT.fullmatch(value)
            index, rest = (int(match[1]), match[2]) if match else (first, value)
            getattr(texts[index], kind).append(rest)
    return dict(texts)


def to_prompts(
    texts: PromptTexts, size: tuple[int, int], frame_size: tuple[int, int], *, fill: bool, fit: bool
) -> list[Prompt]:
    """Read and check what was typed for one frame.

    Args:
        size: height and width of the source, in whose pixels people speak.
        frame_size: height and width of the frames that the session sees.
        fill: take whole boxes.
        fit: resize masks of another size.

    Raises:
        PromptError: something cannot be read or does not fit the picture.
    """
    prompts: list[Prompt] = []
    if texts.masks:
        mask = resize_mask(read_prompt_masks(texts.masks, size, fit=fit), frame_size)
        prompts += [MaskPrompt(int(i), mask == i) for i in np.unique(mask) if i]
    scale = frame_size[1] / size[1], frame_size[0] / size[0]
    for prompt in parse_boxes(texts.boxes, fill=fill):
        prompts.append(replace(prompt, box=_scaled_box(prompt.box, scale)))
    for text in texts.points:
        point = parse_point(text)
        prompts.append(
            replace(point, positive=_scaled(point.positive, scale), negative=_scaled(point.negative, scale))
        )
    for text in texts.removals:
        if not text.isdecimal():
            raise PromptError(f"remove '{text}': give FRAME@ID, for example 120@2")
        prompts.append(RemovePrompt(int(text)))
    return prompts


def settled(frame: Frame, prompts: Sequence[Prompt]) -> list[Prompt]:
    """The same prompts with all objects as masks: what is wrong with them shows now, GrabCut runs once.

    Raises:
        PromptError: the prompts do not fit the frame or each other.
    """
    found = resolve(frame, prompts)
    masks = [MaskPrompt(i, found.mask == i) for i in found.ids]
    return [*masks, *(RemovePrompt(i) for i in found.removed)]


def _scaled(points: tuple[Point, ...], scale: tuple[float, float]) -> tuple[Point, ...]:
    return tuple((x * scale[0], y * scale[1]) for x, y in points)


def _scaled_box(box: Box, scale: tuple[float, float]) -> Box:
    x0, y0, x1, y1 = box
    return x0 * scale[0], y0 * scale[1], x1 * scale[0], y1 * scale[1]
