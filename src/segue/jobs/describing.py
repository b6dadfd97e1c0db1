"""What a program hands to a job as values, so that the record of the job says all that JSON can hold."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from PIL import Image as PillowImage
from pydantic import ValidationError
from torch import nn

from segue.arrays import as_array
from segue.errors import ArgumentError, PromptError
from segue.inputs import kind_of
from segue.jobs.options import error_text
from segue.jobs.parts import (
    BoxValue,
    Given,
    MaskFile,
    MaskValue,
    Model,
    PointValue,
    PromptValue,
    RemoveValue,
    VideoSource,
)
from segue.jobs.prompting import mask_values
from segue.masks.rle import encode_rle
from segue.prompts.given import PromptPlan
from segue.types import BoxPrompt, Frame, MaskPrompt, Point, PointPrompt, Prompt, RemovePrompt
from segue.video import Source, open_source
from segue.weights.identity import WeightsIdentity

Colour = Literal["rgb", "bgr"]


def opened_source(source: Any, colour: Colour) -> Source:
    """The source of a caller, opened; ``colour`` is the order of the channels of its arrays."""
    if not isinstance(source, Source):
        return open_source(source, colour=colour)
    if colour != "rgb":
        raise ArgumentError("colour: the source is open already; give it to open_source")
    return source


def source_value(source: Source) -> tuple[VideoSource, tuple[Given, ...]]:
    """An opened source as a value, and as an object where its frames are pictures in memory."""
    asked = asdict(source.request)
    kind = asked.pop("type")
    value = VideoSource(**asked)
    return value, () if value.place is not None else (Given(argument="source", type=kind),)


def model_value(model: Any, weights: str | os.PathLike[str] | None) -> tuple[Model, tuple[Given, ...]]:
    """A network or method as a value, and as an object where it is none by name."""
    if weights is not None and not isinstance(weights, (str, os.PathLike)):
        raise ArgumentError(f"weights: {kind_of(weights)}; give the path of a file or folder")
    path = None if weights is None else Path(weights)
    if isinstance(model, str):
        return Model(name=model, weights=path), ()
    if path is not None:
        raise ArgumentError(
            f"weights: {path} goes with a network by name; this {type(model).__name__} has its weights "
            "already, as segue.load(NAME, FILE) gives it"
        )
    return Model(name=type(model).__name__), (given("model", model),)


def given(argument: str, value: Any) -> Given:
    """What an object of a program was; of arrays, tensors and pictures also what they hold."""
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if callable(value) and not isinstance(value, nn.Module) and hasattr(value, "__qualname__"):
        name = f"{value.__module__}.{value.__qualname__}"  # of a function or class, itself
    if isinstance(value, PillowImage.Image):
        value = np.asarray(value)
    if isinstance(value, torch.Tensor):
        value = as_array(value)
    if isinstance(value, np.ndarray):
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return Given(argument=argument, type=name, shape=value.shape, dtype=str(value.dtype), digest=digest)
    return Given(argument=argument, type=name)


def described(**objects: Any) -> tuple[Given, ...]:
    """What each of several objects was, by its argument; None is none."""
    return tuple(given(name, value) for name, value in objects.items() if value is not None)


def network_digest(network: Any) -> str | None:
    """SHA-256 over the weights of a network that a program gave; None of what has none."""
    return WeightsIdentity.of(network).digest if isinstance(network, nn.Module) else None


def required_value(
    required: Container[int] | None,
) -> tuple[tuple[int, ...] | None, tuple[Given, ...]]:
    """Indices of wanted frames as a value, or as an object where they cannot be listed."""
    if required is None:
        return None, ()
    if isinstance(required, Iterable):
        return tuple(sorted(int(index) for index in required)), ()
    return None, (given("required", required),)


def prompt_values(plan: PromptPlan, source: Source) -> tuple[PromptValue, ...]:
    """The prompts of the frames of a source, as values in pixels of the source."""
    scale = 1.0, 1.0
    if source.size is not None and source.original_size is not None:
        scale = source.original_size[1] / source.size[1], source.original_size[0] / source.size[0]
    reduced = source.size != source.original_size
    found: list[PromptValue] = []
    try:
        for frame, given, files in plan.statements():
            listed = given if isinstance(given, list) else mask_values(given, frame)
            if not reduced and None in files:
                found.append(MaskFile(frame=frame, path=files[None]))
                continue
            # Of what overlaps the later one wins, and files are read first: one after others is run lengths.
            if not reduced and {item.id for item in listed[: len(files)]} == files.keys():
                found += (MaskFile(frame=frame, id=i, path=path) for i, path in files.items())
                listed = listed[len(files) :]
            found += _values(frame, listed, scale)
    except ValidationError as errors:
        raise PromptError(f"prompts: {error_text(errors)}") from None
    return tuple(found)


def _values(
    frame: int | None, prompts: Sequence[Prompt | MaskValue], scale: tuple[float, float]
) -> Iterator[PromptValue]:
    for item in prompts:
        if isinstance(item, MaskValue):
            yield item
        elif isinstance(item, MaskPrompt):
            mask = np.asarray(item.mask) != 0
            if mask.ndim != 2:
                raise PromptError(f"prompts: the mask of one object is (H, W), not {mask.shape}")
            size = cast(tuple[int, int], mask.shape)
            counts = encode_rle(mask)["counts"]
            yield MaskValue(frame=frame, id=item.id, size=size, counts=counts, iou=item.iou, label=item.label)
        elif isinstance(item, BoxPrompt):
            low, high = _scaled((item.box[:2], item.box[2:]), scale)
            yield BoxValue(frame=frame, id=item.id, box=(*low, *high), fill=item.fill, label=item.label)
        elif isinstance(item, PointPrompt):
            on, off = _scaled(item.positive, scale), _scaled(item.negative, scale)
            yield PointValue(frame=frame, id=item.id, positive=on, negative=off, label=item.label)
        elif isinstance(item, RemovePrompt):
            yield RemoveValue(frame=frame, id=item.id)


def _scaled(points: Sequence[Point], scale: tuple[float, float]) -> tuple[Point, ...]:
    return tuple((float(x) * scale[0], float(y) * scale[1]) for x, y in points)


class FramesDigest:
    """Digest of frames in memory, of which there is no file."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._count = 0
        self._shape: tuple[int, ...] = ()

    def add(self, frame: Frame) -> None:
        """Take a frame into account."""
        self._hash.update(np.ascontiguousarray(frame.image).data)
        self._count, self._shape = self._count + 1, frame.image.shape

    def complete(self, item: Given) -> Given:
        """The description of the frames, with what they were."""
        shape, digest = (self._count, *self._shape), self._hash.hexdigest()
        return item.model_copy(update={"shape": shape, "dtype": "uint8", "digest": digest})
