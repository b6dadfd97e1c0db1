"""Prompts of jobs: from what is typed to values, and from values to what a session takes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence

import numpy as np

from segue.errors import PromptError
from segue.inputs import whole_number
from segue.jobs.parts import BoxValue, Finding, MaskFile, MaskValue, PointValue, PromptValue, RemoveValue
from segue.masks import Rle, decode_rle, encode_rle, resize_mask
from segue.prompts import (
    MakePrompter,
    find_prompter,
    parse_boxes,
    parse_point,
    prompter_of,
    read_prompt_masks,
    resolve,
)
from segue.prompts.detectors import Detector, Refinement
from segue.prompts.parse import fit_mask, split_mask
from segue.registry import PromptKind
from segue.sessions.detecting import DEFAULT, detector
from segue.types import (
    BoxPrompt,
    Frame,
    IndexMask,
    MaskPrompt,
    Point,
    PointPrompt,
    Prompt,
    RemovePrompt,
)

DEFAULT_NOTICE = f"looking for what moves (detector {DEFAULT}; --with chooses another)"
"""Notice where no detector was named."""

_AT = re.compile(r"([0-9]{1,15})@(.+)", re.DOTALL)


def typed_prompts(
    masks: Iterable[str],
    boxes: Iterable[str],
    points: Iterable[str],
    removals: Iterable[str],
    *,
    fill: bool = False,
) -> tuple[PromptValue, ...]:
    """Prompts as they are typed, as values; what names no frame is for the first one."""
    found: list[PromptValue] = []
    for frame, text in map(_at, masks):
        number, path = split_mask(text)
        found.append(MaskFile(frame=frame, id=number, path=path))
    by_frame: dict[int | None, list[str]] = defaultdict(list)
    for frame, text in map(_at, boxes):
        by_frame[frame].append(text)
    for frame, texts in by_frame.items():
        found += (
            BoxValue(frame=frame, id=box.id, box=box.box, fill=box.fill)
            for box in parse_boxes(texts, fill=fill)
        )
    for frame, text in map(_at, points):
        point = parse_point(text)
        found.append(PointValue(frame=frame, id=point.id, positive=point.positive, negative=point.negative))
    for frame, text in map(_at, removals):
        number = whole_number(text, 65535)
        if not number:
            raise PromptError(f"remove '{text}': give FRAME@ID, for example 120@2")
        found.append(RemoveValue(frame=frame, id=number))
    return tuple(found)


def mask_values(mask: IndexMask, frame: int | None = None) -> tuple[MaskValue, ...]:
    """The objects of an index mask, (H, W), as values.

    Args:
        mask: index mask, (H, W), of an integer type: 0 background, 1..65535 ids of objects.
        frame: index of the frame that the mask is for, at least 0; None is the first frame of the source.

    Returns:
        One value for each id in the mask, ids ascending, without labels; empty where there is no object.
    """
    height, width = mask.shape
    return tuple(
        MaskValue(frame=frame, id=int(i), size=(height, width), counts=encode_rle(mask == i)["counts"])
        for i in np.unique(mask)
        if i
    )


def plan_prompts(
    values: Sequence[PromptValue], first: Frame, size: tuple[int, int], stride: int, *, fit: bool
) -> dict[int, list[Prompt]]:
    """The prompts of each frame, as a session takes them."""
    by_frame: dict[int, list[PromptValue]] = defaultdict(list)
    for value in values:
        by_frame[first.index if value.frame is None else value.frame].append(value)
    for index in by_frame:
        if index < first.index or (index - first.index) % stride:
            steps = f"in steps of {stride} from {first.index} on"
            raise PromptError(f"there is a prompt for frame {index}, but the frames go {steps}")
    return {index: list(_prompts(given, size, first.size, fit)) for index, given in by_frame.items()}


def _prompts(
    values: Sequence[PromptValue], size: tuple[int, int], frame_size: tuple[int, int], fit: bool
) -> Iterator[Prompt]:
    """Read and check the prompts of one frame in pixels of ``size``; frames have ``frame_size``."""
    files = [value for value in values if isinstance(value, MaskFile)]
    if files:
        texts = [value.path if value.id is None else f"{value.id}={value.path}" for value in files]
        mask = resize_mask(read_prompt_masks(texts, size, fit=fit), frame_size)
        yield from (MaskPrompt(int(i), mask == i) for i in np.unique(mask) if i)
    scale = frame_size[1] / size[1], frame_size[0] / size[0]
    for value in values:  # in their order: where they overlap, the later one wins
        if isinstance(value, MaskValue):
            inside = decode_rle(Rle(size=list(value.size), counts=value.counts))
            if value.size != frame_size:  # else it is a mask of the reduced frames
                inside = resize_mask(fit_mask(inside, size, fit), frame_size)
            if inside.any():
                yield MaskPrompt(value.id, inside, value.iou, label=value.label)
        elif isinstance(value, BoxValue):
            low, high = _scaled((value.box[:2], value.box[2:]), scale)
            yield BoxPrompt(value.id, (*low, *high), value.fill, label=value.label)
        elif isinstance(value, PointValue):
            positive, negative = _scaled(value.positive, scale), _scaled(value.negative, scale)
            yield PointPrompt(value.id, positive, negative, label=value.label)
        elif isinstance(value, RemoveValue):
            yield RemovePrompt(value.id)


def make_prompter(
    refine: Refinement | None, name: str | None, model: str, device: str | None
) -> MakePrompter | None:
    """What turns boxes and points into masks, by name or weight file; None leaves it to the session."""
    if name is not None:
        if refine not in (None, "network"):
            raise PromptError(f"--prompter says what makes masks; leave out --refine {refine}")
        return find_prompter(name, device=device)
    if refine is None:
        return None
    if refine not in ("network", "grabcut"):
        raise PromptError(f"--refine {refine}: boxes and points take network or grabcut")
    return prompter_of(model, device=device) if refine == "network" else find_prompter("grabcut")


def settled(
    frame: Frame, prompts: Sequence[Prompt], prompter: MakePrompter | None, native: Collection[PromptKind]
) -> list[Prompt]:
    """The same prompts with objects as masks: what is wrong with them shows now, and they are found once.

    Boxes and points of the kinds ``native``, which the network takes itself, stay as they are.
    """
    found = resolve(frame, prompts, prompter=prompter, native=native)
    labels = {item.id: item.label for item in prompts if item.label is not None}
    masks = [
        MaskPrompt(i, found.mask == i, found.expected.get(i), label=labels.get(i))
        for i in found.ids
        if i not in found.native_ids
    ]
    return [*masks, *found.prompts, *(RemovePrompt(i) for i in found.removed)]


def make_detector(finding: Finding, device: str | None) -> Detector:
    """The detector of a job."""
    wanted = finding.model_dump(exclude={"every", "name"})
    return detector(finding.name or DEFAULT, **wanted, device=device)


def _at(text: str) -> tuple[int | None, str]:
    match = _AT.fullmatch(text)
    return (None, text) if match is None else (int(match[1]), match[2])


def _scaled(points: tuple[Point, ...], scale: tuple[float, float]) -> tuple[Point, ...]:
    return tuple((x * scale[0], y * scale[1]) for x, y in points)
