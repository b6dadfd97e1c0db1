"""The backend of all services: masks of prompts on an image, and objects followed through frames."""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import segue
from segue.api.results import Results
from segue.errors import SegueError
from segue.prompts import find_prompter
from segue.prompts.answers import Answer, PicturePrompter, Prompts
from segue.sessions import TrackSession
from segue.types import Image, Prompt
from segue.video import Source
from segue.video.images import decode_image
from segue.weights import load_for

PICTURES = 4
"""Images whose features are kept, so that a further click costs the decoder alone."""

LARGEST_PICTURE = 64 << 20
"""Bytes beyond which no image is decoded."""


class RequestError(SegueError):
    """A request that is not of the tool's form, or cannot be carried out; its text is for the annotator."""

    status = 400


class Assistant:
    """Networks for one service, loaded once; the names are those of the options of ``segue serve``."""

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
        self._prompter = lru_cache(PICTURES)(self._fresh_prompter)
        self._lock = threading.Lock()

    def answer(self, picture: Image, prompts: Prompts) -> Answer:
        """The mask of what prompts point at on an image, RGB (H, W, 3), uint8."""
        with self._lock:
            return self._prompter(picture.shape, picture.tobytes()).answer(prompts)

    def _fresh_prompter(self, shape: tuple[int, ...], pixels: bytes) -> PicturePrompter:
        return self.make_prompter(np.frombuffer(pixels, np.uint8).reshape(shape).copy())

    def session(self) -> TrackSession:
        """A session that follows objects from frame to frame."""
        return TrackSession(self.network, device=self.device, prompter=self.make_prompter)

    def track(self, source: Source | Iterable[Image], prompts: Mapping[int, list[Prompt]]) -> Results[Any]:
        """Objects followed through a clip; see :func:`segue.track`."""
        return segue.track(
            source, dict(prompts), model=self.network, prompter=self.make_prompter, device=self.device
        )


def picture_of(text: str) -> Image:
    """The image in a request, RGB (H, W, 3), uint8: base64, by itself or as a ``data:`` address."""
    return decode_image(picture_file(text), "image")


def picture_file(text: str) -> bytes:
    """The file of an image in a request, not decoded yet."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    if len(text) > LARGEST_PICTURE * 4 // 3:
        raise RequestError(f"image: has more than {LARGEST_PICTURE >> 20} MiB")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise RequestError("image: is no base64") from None
