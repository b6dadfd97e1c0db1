"""Let the background follow the light."""

from __future__ import annotations

import numpy as np

from segue.sessions.backgrounds import Background
from segue.sessions.changes import ALTERED, reduced, structure
from segue.sessions.stages import Stage, WorkFrame
from segue.types import Image

LEAST_LIT = 16  # pixels that must be neither black nor white for a gain to be measured
GAIN = 0.08  # logarithm of the gain beyond which the background follows the exposure


class Exposure(Stage):
    """Makes the background brighter or darker like the frames."""

    name = "exposure"

    def arrive(self, frame: WorkFrame, background: Background) -> None:
        if background.scene is None or frame.pans:
            return
        gains = exposure(frame.image, background.scene.image)
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
