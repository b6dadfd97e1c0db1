"""What is to be followed, on the command line: masks, boxes, points, or a search for objects."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, cast

import numpy as np
import typer
from annotated_types import Ge

from segue.errors import PromptError
from segue.inputs import whole_number
from segue.masks import resize_mask
from segue.models.dino import FeatureName
from segue.models.segue_prompt import SeguePrompt
from segue.prompts import (
    GrabCut,
    MakePrompter,
    Prompter,
    parse_boxes,
    parse_point,
    read_prompt_masks,
    resolve,
)
from segue.prompts.detectors import Detector, Refinement
from segue.prompts.onnx_prompter import OnnxNetwork, OnnxPrompter
from segue.registry import DETECTORS, PromptKind
from segue.sessions.detecting import DEFAULT, detector
from segue.types import Frame, MaskPrompt, Point, Prompt, RemovePrompt
from segue.weights import load

NAMES = f"What finds the objects: {', '.join(DETECTORS.names)}."


@dataclass(frozen=True, slots=True)
class Finding:
    """What the user wants found.

    Attributes:
        name: what finds the objects.
        weights: weight file of the detector.  [default: downloaded]
        classes: labels that are wanted, such as person,car.
        score: least score of what is found.
        max_objects: most objects that are found in a frame.
        features: for lost: what of the attention is compared.  [default: keys]
        refine: what draws the mask to the edges.  [default: crf, for nanodet network]
        tiles: for nanodet: look at so many parts a side besides, for small objects.
    """

    name: str | None = None
    weights: Path | None = None
    classes: str | None = None
    score: float | None = None
    max_objects: int | None = None
    features: FeatureName | None = None
    refine: Refinement | None = None
    tiles: Annotated[int | None, Ge(1)] = None

    @property
    def asked(self) -> bool:
        return any(value is not None for value in asdict(self).values())

    def detector(self, device: str | None) -> Detector:
        values = asdict(self)
        name = values.pop("name") or DEFAULT
        if self.classes is not None:
            values["classes"] = [name.strip() for name in self.classes.split(",") if name.strip()]
            if not values["classes"]:
                raise PromptError(
                    f"classes {self.classes!r}: give names separated by commas, such as person,car"
                )
        return detector(name, device=device, **values)

    def announce(self) -> None:
        """Say what is looked for where the user did not choose."""
        if self.name is None:
            typer.echo("looking for what moves (detector motion; --with chooses another)", err=True)


@dataclass(slots=True)
class PromptTexts:
    """What was typed for one frame."""

    masks: list[str] = field(default_factory=list)
    boxes: list[str] = field(default_factory=list)
    points: list[str] = field(default_factory=list)
    removals: list[str] = field(default_factory=list)


def to_prompts(
    texts: PromptTexts, size: tuple[int, int], frame_size: tuple[int, int], *, fill: bool, fit: bool
) -> list[Prompt]:
    """Read and check what was typed for one frame, in pixels of ``size``; frames have ``frame_size``."""
    prompts: list[Prompt] = []
    if texts.masks:
        mask = resize_mask(read_prompt_masks(texts.masks, size, fit=fit), frame_size)
        prompts += [MaskPrompt(int(i), mask == i) for i in np.unique(mask) if i]
    scale = frame_size[1] / size[1], frame_size[0] / size[0]
    for prompt in parse_boxes(texts.boxes, fill=fill):
        low, high = _scaled((prompt.box[:2], prompt.box[2:]), scale)
        prompts.append(replace(prompt, box=(*low, *high)))
    for text in texts.points:
        point = parse_point(text)
        prompts.append(
            replace(point, positive=_scaled(point.positive, scale), negative=_scaled(point.negative, scale))
        )
    for text in texts.removals:
        number = whole_number(text)
        if number is None:
            raise PromptError(f"remove '{text}': give FRAME@ID, for example 120@2")
        prompts.append(RemovePrompt(number))
    return prompts


def make_prompter(refine: Refinement | None, files: str | None, device: str | None) -> MakePrompter:
    """What turns boxes and points into masks; ``files`` are weights of segue-prompt or ONNX files."""
    if files is not None and refine not in (None, "network"):
        raise PromptError(f"--prompter brings a network; leave out --refine {refine}")
    if files is not None and ".onnx" in files:
        return partial(OnnxPrompter, network=OnnxNetwork(files))
    if refine in (None, "network"):
        network = None if files is None else cast(SeguePrompt, load("segue-prompt", files))
        return partial(Prompter, network=network, device=device)
    if refine != "grabcut":
        raise PromptError(f"--refine {refine}: boxes and points take network or grabcut")
    return GrabCut


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
