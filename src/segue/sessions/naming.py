"""The class of an object from the detection at the same place."""

from __future__ import annotations

from segue.errors import PromptError
from segue.prompts.detectors import Detector
from segue.sessions.association import overlaps
from segue.types import Box, Frame, Image

LEAST_OVERLAP = 0.4
"""IoU of boxes from which a detection is the object."""


class ObjectNamer:
    """Names objects of images by a detector that knows classes."""

    def __init__(self, detector: Detector) -> None:
        if not detector.names:
            raise PromptError("objects are named by a detector that knows classes, such as nanodet")
        self._detector = detector

    def __call__(self, image: Image, box: Box) -> tuple[str, float] | None:
        """Label and score of the object in a box, seen with something of its surroundings."""
        found = self._detector(Frame(0, 0.0, image)).objects
        named = [(item.label, item.score, item.box) for item in found if item.label and item.box]
        if not named:
            return None
        shares = overlaps([box], [place for _, _, place in named])[0]
        label, score, _ = named[int(shares.argmax())]
        return (label, score) if shares.max() >= LEAST_OVERLAP else None
