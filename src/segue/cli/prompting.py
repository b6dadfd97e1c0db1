"""What is to be followed, on the command line: masks, boxes, points, or a search for objects."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from annotated_types import Ge

from segue.cli.options import Options, Values
from segue.errors import PromptError
from segue.inputs import whole_number
from segue.masks import resize_mask
from segue.prompts import (
    MakePrompter,
    find_prompter,
    parse_boxes,
    parse_point,
    read_prompt_masks,
    resolve,
)
from segue.prompts.detectors import Detector, Refinement
from segue.registry import DETECTORS, PromptKind
from segue.sessions.detecting import DEFAULT, detector
from segue.types import Frame, MaskPrompt, Point, Prompt, RemovePrompt

FINDING = Options(
    detector,
    "name:with weights classes score max_objects features refine tiles",
    {"name": None},
    {
        "name": str | None,
        "weights": Path | None,
        "classes": str | None,
        "tiles": Annotated[int | None, Ge(1)],
    },
    {
        "name": f"What finds the objects: {', '.join(DETECTORS.names)}.",
        "classes": "Labels that are wanted, such as person,car.",
        "refine": "What draws the mask to the edges.  [default: crf, for nanodet network]",
    },
)
"""How objects are found; for :func:`chosen_detector`."""


def chosen_detector(found: Values, device: str | None, *, quiet: bool = False) -> Detector:
    """The detector that was asked for; where none was named, it is told which one looks."""
    wanted = {**found, "name": found["name"] or DEFAULT}
    if found["classes"] is not None:
        wanted["classes"] = [name.strip() for name in found["classes"].split(",") if name.strip()]
        if not wanted["classes"]:
            raise PromptError(
                f"classes {found['classes']!r}: give names separated by commas, such as person,car"
            )
    made = detector(**wanted, device=device)
    if found["name"] is None and not quiet:
        typer.echo("looking for what moves (detector motion; --with chooses another)", err=True)
    return made


Texts = Mapping[str, list[str]]
"""What was typed for one frame: masks, boxes, points, removals."""


def to_prompts(
    texts: Texts, size: tuple[int, int], frame_size: tuple[int, int], *, fill: bool, fit: bool
) -> list[Prompt]:
    """Read and check what was typed for one frame, in pixels of ``size``; frames have ``frame_size``."""
    prompts: list[Prompt] = []
    if texts["masks"]:
        mask = resize_mask(read_prompt_masks(texts["masks"], size, fit=fit), frame_size)
        prompts += [MaskPrompt(int(i), mask == i) for i in np.unique(mask) if i]
    scale = frame_size[1] / size[1], frame_size[0] / size[0]
    for prompt in parse_boxes(texts["boxes"], fill=fill):
        low, high = _scaled((prompt.box[:2], prompt.box[2:]), scale)
        prompts.append(replace(prompt, box=(*low, *high)))
    for text in texts["points"]:
        point = parse_point(text)
        prompts.append(
            replace(point, positive=_scaled(point.positive, scale), negative=_scaled(point.negative, scale))
        )
    for text in texts["removals"]:
        number = whole_number(text)
        if number is None:
            raise PromptError(f"remove '{text}': give FRAME@ID, for example 120@2")
        prompts.append(RemovePrompt(number))
    return prompts


def make_prompter(refine: Refinement | None, name: str | None, device: str | None) -> MakePrompter | None:
    """What turns boxes and points into masks, by name or weight file; None leaves it to the session."""
    if name is not None:
        if refine not in (None, "network"):
            raise PromptError(f"--prompter says what makes masks; leave out --refine {refine}")
        return find_prompter(name, device=device)
    if refine is None:
        return None
    if refine not in ("network", "grabcut"):
        raise PromptError(f"--refine {refine}: boxes and points take network or grabcut")
    return find_prompter("segue-prompt" if refine == "network" else "grabcut", device=device)


def settled(
    frame: Frame, prompts: Sequence[Prompt], prompter: MakePrompter | None, native: Collection[PromptKind]
) -> list[Prompt]:
    """The same prompts with objects as masks: what is wrong with them shows now, and they are found once.

    Boxes and points of the kinds ``native``, which the network takes itself, stay as they are.
    """
    found = resolve(frame, prompts, prompter=prompter, native=native)
    masks = [MaskPrompt(i, found.mask == i) for i in found.ids if i not in found.native_ids]
    return [*masks, *found.prompts, *(RemovePrompt(i) for i in found.removed)]


def _scaled(points: tuple[Point, ...], scale: tuple[float, float]) -> tuple[Point, ...]:
    return tuple((x * scale[0], y * scale[1]) for x, y in points)
