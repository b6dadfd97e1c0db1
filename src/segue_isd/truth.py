"""Labels of CDnet2014 from rendered maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from segue_isd.parts import UNDECIDED
from segue_isd.pipeline import Maps
from segue_isd.renderer import MIRRORED

BACKGROUND, SHADOW, UNKNOWN, FOREGROUND = 0, 50, 170, 255
"""Labels of CDnet2014 that the generator gives; none is outside of the region of interest."""
SHADOW_SHARE = 0.10
"""Share of the light that a shadow takes at least."""
BORDER = (0.05, 0.95)
"""Shares of coverage between which a pixel is neither foreground nor background."""

Labels = npt.NDArray[np.uint8]
"""(H, W), uint8, labels of CDnet2014."""


def labels(maps: Maps) -> Labels:
    """Ground truth of a frame, (H, W)."""
    truth = np.zeros(maps.ids.shape, np.uint8)
    truth[maps.shadow > SHADOW_SHARE * 255] = SHADOW
    truth[(maps.ids >= UNDECIDED) | (maps.ids >= MIRRORED)] = UNKNOWN
    truth[maps.coverage > BORDER[0] * 255] = UNKNOWN
    truth[maps.coverage >= BORDER[1] * 255] = FOREGROUND
    return truth


def averaged(maps: Maps, others: Sequence[Maps]) -> Maps:
    """The maps of a frame with the light and the shares of further moments of its exposure."""
    moments = [maps, *others]
    light = sum(np.square(moment.image, dtype=np.float32) for moment in moments) / np.float32(len(moments))

    def mean(name: str) -> npt.NDArray[np.uint8]:
        total = sum(getattr(moment, name).astype(np.uint16) for moment in moments)
        return np.asarray(total / len(moments) + 0.5, np.uint8)

    image = np.asarray(np.sqrt(light) + np.float32(0.5), np.uint8)
    return replace(maps, image=image, coverage=mean("coverage"), shadow=mean("shadow"))


def instances(maps: Maps) -> npt.NDArray[np.uint16]:
    """Ids of what is seen, (H, W), uint16, without the marks of mirrors."""
    return np.asarray(maps.ids % MIRRORED, np.uint16)
