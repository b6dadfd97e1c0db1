"""Let the background follow the light: exposure that drifts, and lamps that are switched."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from segue.sessions.backgrounds import Background
from segue.sessions.changes import ALTERED, reduced, structure
from segue.sessions.stages import Change, Stage, WorkFrame
from segue.types import Image

LEAST_LIT = 16  # pixels that must be neither black nor white for a gain to be measured
GAIN = 0.08  # logarithm of the gain beyond which the background follows the exposure


class Exposure(Stage):
    """Makes the background brighter or darker, or replaces its image where the light was switched."""

    name = "exposure"

    def arrive(self, frame: WorkFrame, background: Background) -> None:
        if background.scene is None or frame.pans:
            return
        image = background.scene.image
        if frame.event is Change.light:
            if frame.hidden is not None:
                background.follow_light(relit(image, frame.image, frame.hidden))
        elif frame.event is Change.none:
            gains = exposure(frame.image, image)
            if gains is not None:
                background.apply_gain(gains)


def exposure(image: Image, background: Image) -> tuple[float, float, float] | None:
    """Gain of a frame over the background for red, green and blue."""
    frame, empty = reduced(image), reduced(background)
    _, altered = structure(frame, empty)
    if altered.mean() > ALTERED:
        return None
    lit = (empty > 16) & (frame < 250) & ~altered[..., None]
    shares = frame / np.maximum(empty, 1)
    ratios = [shares[..., channel][lit[..., channel]] for channel in range(3)]
    gains = [float(np.median(found)) if found.size > LEAST_LIT else 1.0 for found in ratios]
    red, green, blue = np.clip(gains, 0.25, 4.0).tolist()
    return None if np.abs(np.log((red, green, blue))).max() < GAIN else (red, green, blue)


def relit(background: Image, image: Image, hidden: npt.NDArray[np.bool_]) -> Image:
    """The background after a frame: the frame itself, and the old background where it is hidden."""
    if not hidden.any() or hidden.all():
        return np.array(image)
    sigma = max(image.shape[:2]) / 16
    seen = (~hidden).astype(np.float32)[..., None]
    now = cv2.GaussianBlur(image * seen, (0, 0), sigma)
    then = cv2.GaussianBlur(background * seen, (0, 0), sigma)
    gain = np.clip(now / np.maximum(then, 1e-3), 0.1, 10.0)
    result: Image = np.array(image)
    result[hidden] = np.clip(np.rint(background * gain), 0, 255)[hidden]
    return result
