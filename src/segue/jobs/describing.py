"""Describe Python objects of a program as JSON for the record of a job."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
from PIL import Image as PillowImage
from pydantic import TypeAdapter, ValidationError
from torch import nn

from segue.arrays import as_array
from segue.errors import ArgumentError, PromptError
from segue.jobs.values import AnyPrompt, RuntimeInput, VideoSource, error_text
from segue.types import Frame, Prompt
from segue.video import Source, open_source

Colour = Literal["rgb", "bgr"]


def opened_source(source: Any, colour: Colour) -> Source:
    """The source of a caller, opened; ``colour`` is the order of the channels of its arrays."""
    if not isinstance(source, Source):
        return open_source(source, colour=colour)
    if colour != "rgb":
        raise ArgumentError("colour: the source is open already; give it to open_source")
    return source


def source_value(source: Source) -> tuple[VideoSource, tuple[RuntimeInput, ...]]:
    """An opened source as a value, and as an object where its frames are images in memory."""
    asked = asdict(source.request)
    kind = asked.pop("type")
    value = VideoSource(**asked)
    return value, () if value.place is not None else (RuntimeInput(argument="source", type=kind),)


def given(argument: str, value: Any) -> RuntimeInput:
    """Description of a Python object; for arrays, tensors and images with their digest."""
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if callable(value) and not isinstance(value, nn.Module) and hasattr(value, "__qualname__"):
        name = f"{value.__module__}.{value.__qualname__}"  # of a function or class, itself
    if isinstance(value, PillowImage.Image):
        value = np.asarray(value)
    value = as_array(value)
    array: dict[str, Any] = {}
    if isinstance(value, np.ndarray):
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        array = {"shape": value.shape, "dtype": str(value.dtype), "digest": digest}
    return RuntimeInput(argument=argument, type=name, **array)


def stored_prompts(prompts: Sequence[Prompt], source: Source) -> tuple[AnyPrompt, ...]:
    """Prompts in pixels of the frames of a source as its job has them: in pixels of the source."""
    across = down = 1.0
    if source.size is not None and source.original_size is not None:
        down, across = (of / to for of, to in zip(source.original_size, source.size, strict=True))
    try:
        return _PROMPTS.validate_python(tuple(item.scaled(across, down) for item in prompts))
    except ValidationError as errors:
        raise PromptError(f"prompts: {error_text(errors)}") from None


_PROMPTS: TypeAdapter[tuple[AnyPrompt, ...]] = TypeAdapter(tuple[AnyPrompt, ...])


class FramesDigest:
    """Digest of frames in memory."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._count = 0
        self._shape: tuple[int, ...] = ()

    def add(self, frame: Frame) -> None:
        """Take a frame into account."""
        self._hash.update(np.ascontiguousarray(frame.image).data)
        self._count, self._shape = self._count + 1, frame.image.shape

    def complete(self, item: RuntimeInput) -> RuntimeInput:
        """The description of the frames, with what they were."""
        shape, digest = (self._count, *self._shape), self._hash.hexdigest()
        return item.model_copy(update={"shape": shape, "dtype": "uint8", "digest": digest})
