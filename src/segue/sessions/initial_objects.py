"""Objects that a film begins with and that stay in their place: somebody who stands or sits, and sways."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from segue.arrays import BoolArray
from segue.sessions.background import (
    BORDER,
    EVERY,
    SMALLEST,
    STILL_LEVELS,
    STILL_SHARE,
    Part,
    has_clearer_outline,
)
from segue.sessions.base import Checkpointable, checkpointed
from segue.sessions.empty_scene import Scene
from segue.sessions.lights import steepness
from segue.types import Image

FIRST, LAST = 18, 324
"""Frames of a scene between which is looked: later what has come and gone hides what sways."""

CHANGED, NOISES = 12, 2  # levels, and widths of the range of half of the pixels, above which a pixel changes
REACH = 3  # pixels by which what sways moves at most
LIKE = 10  # levels by which a pixel may leave the range of its surroundings
JOIN = 5  # side of the square that closes gaps of an outline
LEAST, MOST = 0.004, 0.35  # shares of the picture between which an object may lie
STILL = 0.45  # share of an object that is still: where it has no edges, swaying changes nothing
ELSEWHERE = 0.02  # share of an object that may show something that comes from elsewhere
EDGE = 8.0  # levels a pixel from which on there is an edge
TREMBLE = 0.08  # share of the edges outside of an object that may move: else the camera or everything moves
AGAIN = 0.8  # share of an object that the look before must have found
KNOWN = 0.5  # share of an object from which on that is foreground already it needs nothing
UNLIKE = 30  # levels above which a pixel does not look like the object that was there ...
LEFT = 0.6  # ... and share of such pixels from which on it has left
INPAINT = 5.0  # pixels around a pixel that its guess is made of

_BORDER = np.ones((2 * BORDER + 1, 2 * BORDER + 1), np.uint8)


class InitialObjectDetector(Checkpointable):
    """Looks for objects that have been there since a scene began, and guesses what is behind them.

    The frames tell nothing of the scene behind such an object, so that it is taken for a part of it. But who
    stands or sits is never quite still: he sways by a pixel or two, so that all of his outline changes and
    the inside of it does not, while all other edges of the picture stay where they are. Leaves change
    inside, too, screens show what was not there before, and where the camera trembles all edges move.
    The scene behind the object is inpainted from its surroundings (Telea, "An image inpainting technique
    based on the fast marching method", 2004).
    """

    _seen: int = checkpointed()
    _before: BoolArray | None = checkpointed()
    _guessed: BoolArray | None = checkpointed()
    _hid: Image | None = checkpointed()
    _last: Image | None = checkpointed()
    _still: BoolArray | None = checkpointed()

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Another scene begins."""
        self._seen = 0
        self._before = None  # what the last look has found
        self._guessed = None  # where the scene is guessed
        self._hid = None  # the objects before it
        self._last = None  # the frame of the last look ...
        self._still = None  # ... and what stood still in it before a guessed scene

    def look(self, image: Image, scene: Scene, mask: BoolArray) -> tuple[Image, BoolArray] | None:
        """What is or may be behind objects that are in the next frame and were in all before it.

        Args:
            image: the frame, RGB (H, W, 3), uint8.
            scene: what is known of the empty scene.
            mask: (H, W), bool, the foreground of the frame.

        Returns:
            A picture of the empty scene, RGB (H, W, 3), uint8, and where it counts, (H, W), bool: guessed
            behind an object, or the frame where an object has left and the guess was wrong; None where
            neither is, and on frames that are not looked at.
        """
        self._seen += 1
        if self._seen % EVERY or (self._guessed is None and not FIRST <= self._seen <= LAST):
            return None
        revealed = self._revealed(image, mask)
        if revealed is not None:
            return image, revealed
        return self._guess(image, scene, mask) if self._seen <= LAST else None

    def _guess(self, image: Image, scene: Scene, mask: BoolArray) -> tuple[Image, BoolArray] | None:
        """The scene behind objects that two looks have found, and where."""
        guessed = np.zeros(mask.shape, bool) if self._guessed is None else self._guessed
        found = initial_objects(image, scene, mask, guessed)
        before, self._before = self._before, found
        if before is None or not found.any():
            return None
        sure = np.zeros(mask.shape, bool)
        for part, piece in _pieces(found):
            if before[part][piece].mean() >= AGAIN:
                sure[part] |= piece
        if not sure.any():
            return None
        fresh = _grown(sure) & ~guessed
        behind = fresh | (guessed & _grown(mask))
        guess = np.asarray(
            cv2.inpaint(scene.picture, behind.view(np.uint8), INPAINT, cv2.INPAINT_TELEA), np.uint8
        )
        result = np.zeros(mask.shape, bool)
        objects = sure | (mask & guessed)
        for part, piece in _pieces(behind):
            if has_clearer_outline(objects[part] & piece, image[part], guess[part]):
                result[part] |= piece
        if not result.any():
            return None
        fresh &= result
        self._guessed = guessed | fresh
        self._hid = np.where(fresh[..., None], image, image if self._hid is None else self._hid)
        return guess, result

    def _revealed(self, image: Image, mask: BoolArray) -> BoolArray | None:
        """Where a piece of foreground is nothing but a wrong guess, (H, W): the object has left.

        The piece lies where the scene was guessed, does not look like the object that was there, and does
        change for two looks.
        """
        if self._guessed is None or self._hid is None:
            return None
        last, still = self._last, self._still
        unlike = cv2.absdiff(image, self._hid).max(axis=2) > UNLIKE
        core = cv2.erode(self._guessed.view(np.uint8), _BORDER) > 0  # the objects without their border
        now, found = np.zeros(mask.shape, bool), np.zeros(mask.shape, bool)
        for part, piece in _pieces(mask, SMALLEST / mask.size):
            own = piece & core[part]
            if last is None or (piece & self._guessed[part]).sum() < STILL_SHARE * piece.sum():
                continue
            if 2 * own.sum() < piece.sum() or unlike[part][own].mean() < LEFT:
                continue
            if (
                cv2.absdiff(image[part], last[part]).max(axis=2)[piece] <= STILL_LEVELS
            ).mean() >= STILL_SHARE:
                now[part] |= piece
                if still is not None and still[part][piece].mean() >= STILL_SHARE:
                    found[part] |= piece
        self._last, self._still = image.copy(), now
        if not found.any():
            return None
        found = _grown(found)
        self._guessed = self._guessed & ~found
        return found


def initial_objects(image: Image, scene: Scene, mask: BoolArray, guessed: BoolArray) -> BoolArray:
    """What has swayed in its place in all frames, and is not foreground.

    Args:
        image: the last frame, RGB (H, W, 3), uint8.
        scene: what is known of the empty scene, with the range of all frames.
        mask: (H, W), bool, the foreground of the frame.
        guessed: (H, W), bool, where the scene is guessed already.

    Returns:
        (H, W), bool.
    """
    low, high = (np.ascontiguousarray(planes.transpose(1, 2, 0)) for planes in scene.range_of_all)
    width = cv2.subtract(high, low).max(axis=2)
    changed = width > CHANGED + NOISES * np.median(width)
    around = np.ones((2 * REACH + 1, 2 * REACH + 1), np.uint8)
    near_low = cv2.subtract(cv2.erode(image, around), np.full_like(image, LIKE))
    near_high = cv2.add(cv2.dilate(image, around), np.full_like(image, LIKE))
    sways = changed & ((low >= near_low) & (high <= near_high)).all(axis=2)
    elsewhere = changed & ~sways
    joined = cv2.morphologyEx((sways | mask).view(np.uint8), cv2.MORPH_CLOSE, np.ones((JOIN, JOIN), np.uint8))
    edges = _edges(image)
    found, size = np.zeros(mask.shape, bool), mask.size
    for part, piece in _pieces(joined > 0):
        whole = filled(piece, part, mask.shape)
        own = whole & ~mask[part] & ~guessed[part]
        area, new = own.sum(), whole & ~guessed[part]
        if area < LEAST * size or whole.sum() > MOST * size or area < (1 - KNOWN) * new.sum():
            continue
        if (own & ~changed[part]).sum() < STILL * area or (own & elsewhere[part]).sum() > ELSEWHERE * area:
            continue
        outside = edges & ~mask
        outside[part] &= ~cv2.dilate(whole.view(np.uint8), around).astype(bool)
        if sways[outside].sum() <= TREMBLE * outside.sum():
            found[part] |= new
    return found


def filled(piece: BoolArray, part: Part, size: tuple[int, ...]) -> BoolArray:
    """A piece with what it encloses, alone or together with a border of the picture that it touches twice."""
    closed = np.pad(piece, 2)
    for rows, side, length in zip((closed, closed.T), part, size, strict=True):
        for touches, beyond, line in ((side.start == 0, 1, 2), (side.stop == length, -2, -3)):
            places = np.flatnonzero(rows[line])
            if touches and len(places):
                rows[beyond, places[0] : places[-1] + 1] = True
    _, labels = cv2.connectedComponents((~closed).view(np.uint8), connectivity=4)
    return np.asarray(closed | (labels != labels[0, 0]))[2:-2, 2:-2]


def _pieces(mask: BoolArray, least: float = LEAST) -> Iterator[tuple[Part, BoolArray]]:
    """Connected pieces from a share of the picture on: the part of it around each, and the piece in it."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    for number in range(1, count):
        left, top, width, height, _ = (int(value) for value in stats[number])
        if width * height >= least * mask.size:
            part = slice(top, top + height), slice(left, left + width)
            yield part, np.asarray(labels[part] == number)


def _grown(mask: BoolArray) -> BoolArray:
    """A mask, (H, W), with a border: what is next to an object is blurred with it."""
    return np.asarray(cv2.dilate(mask.view(np.uint8), _BORDER) > 0)


def _edges(image: Image) -> BoolArray:
    """Where there are edges, (H, W)."""
    grey = np.asarray(cv2.cvtColor(cv2.GaussianBlur(image, (0, 0), 1.0), cv2.COLOR_RGB2GRAY), np.uint8)
    return np.asarray(steepness(grey) > EDGE)
