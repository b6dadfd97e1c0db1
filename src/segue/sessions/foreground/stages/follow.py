"""Warp earlier frames onto the current one, for networks on panning or hand-held cameras."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.background.median import MASK_ABOVE
from segue.sessions.foreground.background.quantiles import Scene, scene_planes
from segue.sessions.foreground.camera.registration import Matrix, difference, normalised, warped
from segue.sessions.foreground.segmenters.base import Segmenter, SegmenterInput
from segue.sessions.foreground.stages.base import Stage, WorkFrame
from segue.state import checkpointed
from segue.types import Image
from segue.utils.arrays import Float32Array, UInt8Array

PAST = (4, 6, 8, 10, 12, 14, 16, 18)
"""Distances of the earlier frames whose median is the background."""

GROW = np.ones((9, 9), np.uint8)  # by which masks grow before they hide the scene

Homography = npt.NDArray[np.float64]  # (3, 3): a point of one image, in pixels, to that of the other
Mask = npt.NDArray[np.generic]
MaskedImage = tuple[Image, Mask]  # an image, RGB (H, W, 3), and where objects are, (H, W): they do not count

MIN_CORRELATION = 0.6
"""Minimum correlation of two images after ECC."""

MIN_ALIGNED = 2
"""Frames that a background needs while the camera pans; with fewer the background is
that of a still camera. A single frame also shows objects that its mask lacks."""

MAX_SHIFT = 0.3
"""Maximum shift of a corner in image sides; beyond it images have too little in common."""

_STEPS = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-4)
_SMOOTHING = 5
_EDGE = 4
"""Margin in pixels."""


def camera_motion(first: MaskedImage, second: MaskedImage, step: Matrix) -> Homography | None:
    """Motion from the first image to the second; None if they cannot be matched.

    The step of the camera, or none, is the initial value, and the result if the refinement (ECC: Evangelidis
    and Psarakis, PAMI 2008) is unclear.
    """
    one, other = normalised(first[0]), normalised(second[0])
    inverse_step = np.vstack([cv2.invertAffineTransform(step), (0, 0, 1)]).astype(np.float32)
    begin = min(inverse_step, np.eye(3, dtype=np.float32), key=lambda matrix: difference(other, one, matrix))
    visible = np.asarray(first[1] == 0).astype(np.uint8)
    try:
        # From the second to the first, because the mask is of the image that is warped.
        correlation, estimated = cv2.findTransformECC(
            other, one, begin.copy(), cv2.MOTION_HOMOGRAPHY, _STEPS, visible, _SMOOTHING
        )
    except cv2.error:
        return None
    homography = np.asarray(estimated, np.float32)
    if correlation < MIN_CORRELATION or difference(other, one, homography) >= difference(other, one, begin):
        homography = begin
    return np.asarray(np.linalg.inv(homography.astype(np.float64)))


def is_moderate(matrix: Homography, size: tuple[int, int]) -> bool:
    """Whether no corner of images of this height and width moves far."""
    height, width = size
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float64)
    moved_corners = cv2.perspectiveTransform(corners[None], matrix)[0]
    return bool((np.abs(moved_corners - corners) < MAX_SHIFT * np.array([width, height])).all())


def warp_onto(image: Image, homography: Homography, background: Image) -> Image:
    """Warp an image onto a copy of a background of its size."""
    return warped(image, homography, cv2.BORDER_TRANSPARENT, flags=cv2.INTER_LINEAR, onto=background.copy())


def motion_between(
    step_to: Callable[[int], Homography | None], start: int, end: int, size: tuple[int, int]
) -> Homography | None:
    """Motion from one frame of a video to another, chained."""
    low, high = sorted((start, end))
    total: Homography = np.eye(3)
    for index in range(low + 1, high + 1):
        step = step_to(index)
        if step is None:
            return None
        total = step @ total
    if start > end:
        total = np.asarray(np.linalg.inv(total))
    return total if is_moderate(total, size) else None


def scene_around(current: Image, others: Sequence[tuple[Image, Mask, Homography]]) -> Scene:
    """Estimate the background of a frame from nearby frames; the frame itself fills gaps.

    ``others``: frames in order of time with foreground masks, (H, W), and motion to ``current``.
    """
    if not others:
        return Scene.of(current, 1)
    nowhere = np.zeros(current.shape[:2], np.uint8)
    # Pixels at the very border are often dark or torn; they tell nothing of what lies there.
    border = nowhere + 1
    border[_EDGE:-_EDGE, _EDGE:-_EDGE] = 0
    frames, hidden, unseen = [], [], nowhere + 1 > 0
    for image, mask, matrix in others:
        outside = warp_onto(border, matrix, nowhere + 1) > 0
        frame = np.where(outside[..., None], current, warp_onto(image, matrix, current))
        frames.append(frame.transpose(2, 0, 1))
        hidden.append(outside | (warp_onto(mask.astype(np.uint8), matrix, nowhere) > 0))
        unseen &= outside
    # What no frame shows was never foreground: the network takes what always was for foreground again.
    covered = np.stack(hidden) & ~unseen
    return Scene(scene_planes(np.ascontiguousarray(np.stack(frames)), covered, min_frames=1))


class CameraFollower(Stage):
    """Warps context and background onto the current frame while the camera pans.

    Args:
        offsets: distances of the frames in the context.
        always: warp also with fewer than :data:`MIN_ALIGNED` frames.
        segmenter: segments the frames after each one, which are known in two passes.
    """

    name = "follow"
    _steps: dict[int, Homography | None] = checkpointed(dict)
    _masks: dict[int, UInt8Array] = checkpointed(dict)
    _taken: dict[int, Image] = checkpointed(dict)
    _begins: dict[int, Matrix] = checkpointed(dict)  # steps to each frame, as the session has found them
    _due: int = checkpointed(0)

    def __init__(
        self,
        offsets: Sequence[int],
        *,
        always: bool = False,
        segmenter: Segmenter | None = None,
    ) -> None:
        self._offsets, self._always = tuple(offsets), always
        self._segmenter, self.ahead = segmenter, 0 if segmenter is None else 2 * max(PAST)
        self.restart()

    def on_frame(self, frame: WorkFrame, background: Background) -> None:
        index = max(self._taken, default=-1) + 1
        self._taken[index] = frame.image
        self._begins[index] = frame.step.matrix(frame.image.shape[:2])

    def before_segment(self, frame: WorkFrame, background: Background) -> None:
        if frame.pans:
            self._look_ahead()
            scene = self._scene(self._due, self._masks)
            frame.context, frame.scene = self._context(self._due), scene or frame.scene
            frame.input.recurrence = None  # kept frames lie elsewhere

    def after_segment(self, frame: WorkFrame, background: Background) -> None:
        # With a matrix, the mask lies elsewhere than the frame as it was taken. Where frames after each one
        # are known, what was found in one frame must not decide what is found in the next ones.
        if frame.matrix is None and self._segmenter is None:
            self._masks[self._due] = _grown(frame.foreground)
        self._due += 1
        last_forgotten = self._due + min(-max(PAST), *self._offsets, 0) - 1
        self._taken.pop(last_forgotten, None)
        self._begins.pop(last_forgotten, None)
        self._steps.pop(last_forgotten, None)
        self._masks.pop(last_forgotten, None)

    def _look_ahead(self) -> None:
        """Segment the later frames that show the background of the next one."""
        if self._segmenter is None:
            return
        end = min(self._due + max(PAST), max(self._taken)) + 1
        for place in (place for place in range(self._due, end) if place not in self._masks):
            image = self._taken[place]
            scene = self._scene(place, {}) or Scene.of(image, 1)
            maps = self._segmenter.step(SegmenterInput(image), self._context(place), scene)
            self._masks[place] = _grown(maps[0])

    def _step_to(self, index: int) -> Homography | None:
        """Motion from the previous frame."""
        if index not in self._steps:
            previous, current = self._taken[index - 1], self._taken[index]
            nothing = np.zeros(current.shape[:2], np.uint8)
            self._steps[index] = camera_motion(
                (previous, self._masks.get(index - 1, nothing)), (current, nothing), self._begins[index]
            )
        return self._steps[index]

    def _motion(self, start: int, end: int) -> Homography | None:
        """Motion between two frames; None if it is large or a link between them is missing."""
        height, width = self._taken[end].shape[:2]
        return motion_between(self._step_to, start, end, (height, width))

    def _context(self, place: int) -> dict[int, SegmenterInput]:
        """Context frames, warped onto the frame."""
        current, last, context = self._taken[place], max(self._taken), {}
        for offset in self._offsets:
            neighbour = place + offset
            if neighbour not in self._taken and self.ahead:  # of the first frames, as far after them
                neighbour = place - offset
            neighbour = min(max(neighbour, 0), last)
            matrix = self._motion(neighbour, place)
            image = current if matrix is None else warp_onto(self._taken[neighbour], matrix, current)
            context[offset] = SegmenterInput(image)
        return context

    def _scene(self, place: int, masks: Mapping[int, UInt8Array]) -> Scene | None:
        """Background of a frame's view; None if too little is known."""
        current = self._taken[place]
        nothing = np.zeros(current.shape[:2], np.uint8)
        aligned = [
            (self._taken[index], masks.get(index, nothing), matrix)
            for index in (place + way for way in sorted((*PAST, *(-steps for steps in PAST))))
            if index in self._taken and (matrix := self._motion(index, place)) is not None
        ]
        return scene_around(current, aligned) if self._always or len(aligned) >= MIN_ALIGNED else None


def _grown(foreground: Float32Array) -> UInt8Array:
    """Dilated mask of what hides the background, (h, w)."""
    return np.asarray(cv2.dilate((foreground > MASK_ABOVE).view(np.uint8), GROW), np.uint8)
