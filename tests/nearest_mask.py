"""A tracking network whose masks are known in closed form: those of the nearest prompted frame.

Where an object was prompted on several frames, a mask also has a cell for no reason, as those of real
networks change in places that a correction was not about.

An object is a set of cells of an image, which lie so far apart that each is a connected region of its own.
Images stand still, and their first pixel tells the index of the frame.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from segue.models.base import FramePrompts, Schedule, Setup, Tracker, TrackOutput
from segue.prompts import ImagePrompter, ImagePrompts, MaskPrediction
from segue.registry import PromptKind
from segue.state import Checkpointable, checkpointed
from segue.types import Image, Segmentation
from segue.utils.arrays import BoolArray

SIDE, GAP = 10, 14
COLUMNS, ROWS = 5, 2
RESTLESS = COLUMNS - 1  # the cell without a reason
SIZE = ROWS * (SIDE + GAP), COLUMNS * (SIDE + GAP)
_NOISE = np.random.default_rng(3).integers(0, 256, (*SIZE, 3)).astype(np.uint8)

Cells = frozenset[int]
"""Columns of the cells of an object; all are in one row."""


def images(count: int) -> list[Image]:
    """The frames of a video."""
    video = []
    for index in range(count):
        image = _NOISE.copy()
        image[0, 0] = index
        video.append(image)
    return video


def mask_of(cells: Iterable[int], row: int) -> BoolArray:
    """The mask, (H, W), of cells."""
    mask = np.zeros(SIZE, np.bool_)
    for column in cells:
        top, left = row * (SIDE + GAP) + GAP // 2, column * (SIDE + GAP) + GAP // 2
        mask[top : top + SIDE, left : left + SIDE] = True
    return mask


def cells_of(mask: BoolArray, row: int) -> Cells:
    """The cells of a mask; AssertionError where it is no union of cells."""
    cells = frozenset(column for column in range(COLUMNS) if (mask & mask_of([column], row)).any())
    assert np.array_equal(mask, mask_of(cells, row)), "a cell is there in part, or something beside cells"
    return cells


def whole_masks(result: Segmentation) -> dict[int, BoolArray]:
    """The whole masks of a result by object."""
    return dict(zip(result.ids, result.masks, strict=True))


def centre_of(cell: int, row: int) -> tuple[float, float]:
    """x and y of the centre of a cell."""
    return cell * (SIDE + GAP) + (GAP + SIDE) / 2, row * (SIDE + GAP) + (GAP + SIDE) / 2


class CellPrompter(ImagePrompter):
    """Gives the cells of the positive points, and what the mask before has."""

    def _segment(self, prompts: ImagePrompts) -> MaskPrediction:
        mask = np.zeros(self.size, np.bool_) if prompts.mask is None else prompts.mask > 0.5
        for x, y in prompts.positive:
            mask |= mask_of([int(x) // (SIDE + GAP)], int(y) // (SIDE + GAP))
        box = 0, 0, self.size[1], self.size[0]
        return MaskPrediction(self.size, box, np.ones(1, np.float32), mask[None].astype(np.float32))


class NearestTracker(Checkpointable):
    """Gives the mask of the nearest frame that was prompted, the earlier of two."""

    prompts: frozenset[PromptKind] = frozenset()
    requires_update = True
    _memory: dict[int, dict[int, torch.Tensor]] = checkpointed(dict)  # masks by object and frame

    def __init__(self, network: NearestMask, setup: Setup) -> None:
        self._network, self.device = network, setup.device
        self.reset()

    def reset(self) -> None:
        self.restart()

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(sorted(self._memory))

    def step(self, image: Image, given: FramePrompts | None = None, *, predict: bool = True) -> TrackOutput:
        NearestMask.steps += 1
        index = int(image[0, 0, 0])
        if given is not None:
            for number in given.masked:
                plane = given.plane(number).cpu()
                self._memory = {**self._memory, number: {**self._memory.get(number, {}), index: plane}}
        return self._at(index)

    def peek(self, image: Image) -> TrackOutput:
        return self._at(int(image[0, 0, 0]))

    def skip(self) -> None:
        pass

    def forget(self, ids: Collection[int]) -> None:
        self._memory = {i: masks for i, masks in self._memory.items() if i not in ids}

    def _at(self, index: int) -> TrackOutput:
        masks = []
        for number in self.ids:
            frames = self._memory[number]
            mask = frames[min(frames, key=lambda frame: (abs(frame - index), frame))].bool()
            if len(frames) > 1 and index not in frames:
                rows = np.flatnonzero(mask.any(1).numpy())
                mask = mask | torch.from_numpy(mask_of([RESTLESS], int(rows[0]) // (SIDE + GAP)))
            masks.append(mask)
        planes = torch.stack(masks).float() if masks else torch.zeros(0, *SIZE)
        scores = torch.full((len(masks),), 0.9)
        return TrackOutput(
            self.ids, merged(planes), planes, merged, scores=scores, logits=log_odds_of, by_object=True
        )


def merged(planes: torch.Tensor) -> torch.Tensor:
    """Probabilities (K+1, H, W) of masks (K, H, W)."""
    background = torch.where(planes.amax(0) > 0 if len(planes) else torch.zeros(SIZE) > 0, 0.1, 0.9)
    both = torch.cat([background[None], planes * 0.9])
    return both / both.sum(0).clamp(min=1)


def log_odds_of(planes: torch.Tensor) -> torch.Tensor:
    """Log-odds (K, H, W) of masks (K, H, W)."""
    return 4 * (2 * planes - 1)


class NearestMask(nn.Module):
    """The network, which has nothing to learn.

    Attributes:
        steps: frames that all trackers have taken.
    """

    schedule = Schedule(short_side=None)
    tracker: ClassVar[type[Tracker]] = NearestTracker
    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.pace = nn.Parameter(torch.tensor(0.5))
