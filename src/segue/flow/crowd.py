"""Hundreds of small objects, such as cells: each keeps its shape and moves with the flow around it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from segue.flow import DIS
from segue.masks import measure
from segue.models.base import FramePrompts
from segue.models.geometry import reduced_to
from segue.state import Checkpointable, checkpointed
from segue.types import Image
from segue.utils.arrays import Float32Array, FloatingArray, IndexMask

CROWD = 64
"""Maximum number of objects that the network tracks itself."""

SPECK = 20
"""Longer side of an object, in pixels of the network, up to which it belongs to a crowd. Such an object fills
about one position of its features: its mask there is worse than the one of the frame before."""

FLOW_SIDE = 960
"""Longer side to which images are reduced for the flow."""


class CrowdWarning(UserWarning):
    """A frame has more objects than plausible or fast; the message names the frame."""


@dataclass(frozen=True, slots=True)
class CrowdPlan:
    """Changes of a crowd on a frame.

    Attributes:
        added: places of the prompted objects that belong to it from now on, by id.
        places: places of all its objects on the frame.
        prompts: the prompts that remain for the tracker; None where none do.
    """

    added: dict[int, Float32Array]
    places: dict[int, Float32Array]
    prompts: FramePrompts | None


NO_PLAN = CrowdPlan({}, {}, None)
"""Plan of a frame without a crowd."""


class Crowd(Checkpointable):
    """Small objects of a crowded session; the median flow over each moves it as a whole.

    Attributes:
        places: rows and columns of the pixels of each object, (n, 2), in pixels of the image.
    """

    places: dict[int, Float32Array] = checkpointed(dict)
    _image: Image | None = checkpointed(None)  # the last one, reduced

    def __init__(self) -> None:
        super().__init__()
        self._flow = DIS()

    def plan(
        self, image: Image, prompts: FramePrompts, tracked_ids: Collection[int], short_side: int | None
    ) -> CrowdPlan:
        """Plan the changes of the next image; ``tracked_ids`` are the tracker's. Nothing changes yet."""
        if not (prompts.masked or prompts.prompts or self.places):
            return NO_PLAN
        added = self.select(prompts, tracked_ids, short_side) if prompts.masked else {}
        places = added
        if self.places:
            replaced = {*prompts.removed, *prompts.ids}
            places = {i: each for i, each in self.warped(image).items() if i not in replaced} | added
        remaining = prompts.without(added) if added else prompts
        return CrowdPlan(added, places, remaining if remaining.masked or remaining.prompts else None)

    def select(
        self, prompts: FramePrompts, tracked_ids: Collection[int], short_side: int | None
    ) -> dict[int, Float32Array]:
        """Select the prompted objects that belong to the crowd."""
        if len({*tracked_ids, *self.places, *prompts.ids}) <= CROWD:
            return {}
        mask = prompts.mask.cpu().numpy()
        shorter = min(mask.shape)
        largest = SPECK * max(1.0, shorter / (short_side or shorter))
        extents = measure(mask)
        small = {}
        for i in prompts.masked:
            plane, extent = mask, extents.get(i)
            if i in prompts.whole:
                plane = i * prompts.plane(i).cpu().numpy()
                extent = measure(plane)[i]
            assert extent is not None
            x0, y0, x1, y1 = map(int, extent.box)
            if max(x1 - x0, y1 - y0) <= largest:
                inside = np.argwhere(plane[y0:y1, x0:x1] == i)
                small[i] = (inside + np.array((y0, x0))).astype(np.float32)
        return small

    def warped(self, image: Image) -> dict[int, Float32Array]:
        """Predict the objects on the next image; nothing changes."""
        if not self.places or self._image is None:
            return {}
        small = reduced_to(image, FLOW_SIDE)
        if self._image.shape != small.shape:
            return dict(self.places)
        flow, scale = self._flow(self._image, small), np.array(image.shape[:2]) / small.shape[:2]
        warped = {}
        for i, pixels in self.places.items():
            rows, columns = inside_of(pixels / scale, small.shape[:2])
            warped[i] = pixels
            if len(rows):
                step = np.median(flow[rows, columns], axis=0)[::-1] * scale
                warped[i] = (pixels + step).astype(np.float32)
        return warped

    def take(self, places: dict[int, Float32Array], image: Image) -> None:
        """Store the objects of an image; without objects nothing changes."""
        if not places and not self.places:
            return
        self.places = places
        self._image = reduced_to(image, FLOW_SIDE) if places else None


def inside_of(pixels: FloatingArray, size: tuple[int, ...]) -> tuple[IndexMask, IndexMask]:
    """Rows and columns of the nearest pixels inside an image of a height and width."""
    nearest = np.rint(pixels).astype(np.intp)
    rows, columns = nearest[((nearest >= 0) & (nearest < size)).all(1)].T
    return rows, columns


def draw(mask: IndexMask, places: Mapping[int, Float32Array]) -> None:
    """Draw objects over an index mask, (H, W), in place."""
    for i, pixels in places.items():
        mask[inside_of(pixels, mask.shape)] = i
