"""Backend of all services: segment prompts on images, and track objects."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator

import segue
from segue.api.results import Results
from segue.errors import SegueError
from segue.prompt_types import ImagePrompts, Prompt
from segue.prompts import find_prompter
from segue.prompts.answers import ImagePrompter, MaskPrediction
from segue.sessions import TrackSession
from segue.types import Image
from segue.video import Source
from segue.weights import load_for

KEPT_IMAGES = 4
"""Images whose features are kept, so that a further click costs the decoder alone."""


class RequestError(SegueError):
    """An invalid or impossible request; its text is for the annotator."""


class Assistant:
    """Networks of a service, loaded once, named as in the options of ``segue serve``."""

    def __init__(
        self,
        *,
        model: str = "stcn-lite",
        weights: Path | None = None,
        prompter: str = "segue-prompt",
        device: str | None = None,
    ) -> None:
        self.name = f"segue {model} {prompter}"
        self.network = load_for("track", model, weights)
        self.device = device
        self.make_prompter = find_prompter(prompter, device=device)
        self._prompter = lru_cache(KEPT_IMAGES)(self._fresh_prompter)
        self._lock = threading.Lock()

    def answer(self, image: Image, prompts: ImagePrompts) -> MaskPrediction:
        """Segment prompts on an image, RGB (H, W, 3), uint8."""
        with self._lock:
            return self._prompter(image.shape, image.tobytes()).answer(prompts)

    def _fresh_prompter(self, shape: tuple[int, ...], pixels: bytes) -> ImagePrompter:
        return self.make_prompter(np.frombuffer(pixels, np.uint8).reshape(shape).copy())

    def session(self) -> TrackSession:
        """Make a session that tracks objects."""
        return TrackSession(self.network, device=self.device, prompter=self.make_prompter)

    def track(self, source: Source | Iterable[Image], prompts: Mapping[int, list[Prompt]]) -> Results[Any]:
        """Track objects through a clip; see :func:`segue.track`."""
        return segue.track(
            source, dict(prompts), model=self.network, prompter=self.make_prompter, device=self.device
        )


def image_file(text: str) -> bytes:
    """Decode the image file of a request from base64 or a ``data:`` URI; ValueError if invalid."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    return base64.b64decode(text, validate=True)


ImageFile = Annotated[bytes, BeforeValidator(image_file)]
"""A field of a request that holds an image file, not decoded yet."""
