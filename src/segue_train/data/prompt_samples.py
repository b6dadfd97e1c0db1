"""Samples for interactive segmentation: crops of labelled images with simulated prompts."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from segue.datasets.davis import ImageMaskFolder
from segue.datasets.foreground.labels import read_grey
from segue.errors import DatasetError
from segue.models.segue_prompt import BOX, NEGATIVE, PLANES, POSITIVE, PREVIOUS
from segue.prompts.planes import box_window, draw_disk, draw_stroke, tight_box
from segue.types import Box, Image
from segue.utils.arrays import BoolArray, Float32Array
from segue_train.data import warp
from segue_train.data.footage import VOID, Footage, object_ids
from segue_train.data.warp import Kinds, Pair, Rng, picked
from segue_train.recipe import Batch, Batches, stacked

LEFT_OUT = 10  # every so-manieth still image, by the hash of its name, is not trained on
MIN_DEPTH = 2.0  # pixels of an error that a correction clicks
MIN_PIXELS = 60  # smaller objects are not asked for


def is_held_out(name: str) -> bool:
    """Whether a still image is used only for validation."""
    return zlib.crc32(name.encode()) % LEFT_OUT == 0


def read_sources(groups: Sequence[tuple[float, Sequence[Footage]]]) -> Kinds[Pair]:
    """Decode all images with objects, with masks as uint8, about 0.5 MB per image."""
    sources = []
    for share, footage in groups:
        pairs = (item.read(i) for item in footage for i in range(len(item)))
        sources.append((share, [pair for pair in pairs if object_ids(pair[1], MIN_PIXELS)]))
    if not any(pairs for _, pairs in sources):
        raise DatasetError("no image with an object of 60 pixels or more; see --data")
    return Kinds(sources)


Sample = tuple[Image, Image, Image, Image]
"""A crop (S, S, 3), its target (S, S) of 0, 1 and void, prompt planes (4, S, S), and how much each pixel
counts (S, S), in parts of :data:`ONCE`; all uint8."""

UNIT_WEIGHT = 64
HARD = 0.4  # how often the probability of a tracked mask is not known, as where it was saved or imported
RETAINED_WEIGHT = 2.0  # how much a pixel counts that was right in the mask so far
MENDED = 2.5  # the same in the error that is clicked
ELSEWHERE = 0.5  # the same in other errors, which a click is not about


class PromptSampler:
    """Draws crops with a first prompt."""

    def __init__(self, sources: Kinds[Pair]) -> None:
        self.sources = sources

    def draw(self, rng: Rng, side: int) -> Sample:
        """Draw a sample of ``side`` pixels that shows some pixels of its object."""
        for _ in range(20):
            sample = self._attempt(rng, side)
            if sample is not None:
                return sample
        raise DatasetError("20 crops in a row show nothing of their object; are the masks empty?")

    def _attempt(self, rng: Rng, side: int) -> Sample | None:
        image, mask = self.sources.draw(rng)
        label = _any_object(rng, mask)
        kind = rng.random()
        wide = 0.4 <= kind < 0.8 and rng.random() < 0.55
        window = _window(rng, label > 0, wide)
        matrix = _placed(rng, window, side)
        crop = _shrunk_warp(image, matrix, side)
        target = _warped_mask(label, matrix, side)
        if (mask == VOID).any():
            target[warp.apply(mask, matrix, side, mask=True) == VOID] = VOID
        if rng.random() < 0.3:
            crop, target = self._on_other_ground(rng, crop, target, side)
        if rng.random() < 0.28:
            crop, target = self._with_other(rng, crop, target, side)
        inside = target == 1
        if inside.sum() < 16:
            return None
        unit_weights = np.full(target.shape, UNIT_WEIGHT, np.uint8)
        return _photographed(rng, crop), target, _prompts(rng, inside, kind), unit_weights

    def _on_other_ground(self, rng: Rng, crop: Image, target: Image, side: int) -> Pair:
        """Paste the object on a part of another image."""
        other, _ = self.sources.draw(rng)
        height, width = other.shape[:2]
        part = min(height, width) * float(rng.uniform(0.4, 1))
        x, y = rng.uniform(0, width - part), rng.uniform(0, height - part)
        centre = (x + part / 2, y + part / 2)
        matrix = warp.crop_matrix(centre, side / part, side, bool(rng.integers(2)))
        alone = target == 1
        return _blended(rng, _shrunk_warp(other, matrix, side), crop, alone), alone.astype(np.uint8)

    def _with_other(self, rng: Rng, crop: Image, target: Image, side: int) -> Pair:
        """Paste another object before or behind the object."""
        other, mask = self.sources.draw(rng)
        alone = _any_object(rng, mask)
        reach = warp.log_uniform(rng, 0.2, 1.2) * side
        x0, y0, x1, y1 = tight_box(alone)
        scale = reach / max(x1 - x0, y1 - y0)
        place = rng.uniform(0, side, 2)
        matrix = warp.crop_matrix(((x0 + x1) / 2, (y0 + y1) / 2), scale, side, bool(rng.integers(2)))
        matrix[:2, 2] += place - side / 2
        pasted = _warped_mask(alone, matrix, side) == 1
        if rng.random() < 0.5:
            pasted &= target != 1
        if (target == 1)[~pasted].sum() < 0.4 * (target == 1).sum():
            return crop, target
        changed = _blended(rng, crop, _shrunk_warp(other, matrix, side), pasted)
        return changed, np.where(pasted, np.uint8(0), target)


class CorrectionSampler:
    """Draws crops of tracker errors, with clicks on them.

    Args:
        folder: ``images``, ``masks`` (0, 1, void) and ``tracked`` (probability, 0 to 255), whose files have
            the same names, as ``tools/tracked_errors.py`` writes them.
    """

    def __init__(self, folder: Path) -> None:
        self.frames = ImageMaskFolder(folder / "images", folder / "masks")
        self.tracked = [folder / "tracked" / path.name for path in self.frames.masks]
        if missing := [path.name for path in self.tracked if not path.is_file()]:
            raise DatasetError(f"{folder / 'tracked'}: lacks {missing[0]} and {len(missing) - 1} others")

    def draw(self, rng: Rng, side: int) -> Sample:
        """Draw a sample of ``side`` pixels with a clicked error."""
        for _ in range(20):
            sample = self._attempt(rng, side)
            if sample is not None:
                return sample
        raise DatasetError("20 frames in a row have no error that can be clicked; are the masks right?")

    def _attempt(self, rng: Rng, side: int) -> Sample | None:
        number = int(rng.integers(len(self.frames)))
        truth = self.frames.read_mask(number)
        previous_mask, is_labelled = read_grey(self.tracked[number]), truth != VOID
        if rng.random() < HARD:
            previous_mask = np.where(previous_mask > 127, np.uint8(255), np.uint8(0))
        clicks: list[tuple[int, int, bool]] = []
        error, missing = largest_error(previous_mask > 127, truth)
        for _ in range(1 + int(rng.choice(3, p=(0.6, 0.25, 0.15)))):
            if clicks:  # the one before has done what it was meant for
                previous_mask = np.where(
                    piece_at(error, clicks[-1][:2]), np.uint8(255 * missing), previous_mask
                )
                error, missing = largest_error(previous_mask > 127, truth)
            if _depth(error).max() < MIN_DEPTH:
                return None
            clicks.append((*click_on(error, rng, 0.6), missing))
        clicked_piece = piece_at(error, clicks[-1][:2])
        depth = float(_depth(error)[clicks[-1][1], clicks[-1][0]])
        window = _around_click(rng, (previous_mask > 127) | (truth == 1), clicks[-1][:2], depth)
        matrix = _placed(rng, window, side)
        crop = _shrunk_warp(self.frames.read_image(number), matrix, side)
        target = _warped_mask((truth == 1).astype(np.uint8), matrix, side)
        if not is_labelled.all():
            target[warp.apply(truth, matrix, side, mask=True) == VOID] = VOID
        planes = np.zeros((PLANES, side, side), np.uint8)
        planes[PREVIOUS] = cv2.warpAffine(_blurred_for(previous_mask, matrix), matrix[:2], (side, side))
        for x, y, inside in clicks:
            at = matrix @ (x + 0.5, y + 0.5, 1)
            if 0 <= at[0] < side and 0 <= at[1] < side:
                draw_disk(planes[POSITIVE if inside else NEGATIVE], (float(at[0]), float(at[1])))
        clicked = _warped_mask(clicked_piece.astype(np.uint8), matrix, side) == 1
        return _photographed(rng, crop), target, planes, counted(planes[PREVIOUS], target, clicked)


def counted(previous_mask: Image, target: Image, clicked: BoolArray) -> Image:
    """Weight of each pixel of a correction, in units of :data:`ONCE`.

    Args:
        previous_mask: the mask so far (S, S), 0 to 255.
        target: (S, S) of 0, 1 and void.
        clicked: the error that was clicked, (S, S).

    Returns:
        (S, S), uint8.
    """
    right = (previous_mask > 127) == (target == 1)
    counts = np.where(right, np.uint8(RETAINED_WEIGHT * UNIT_WEIGHT), np.uint8(ELSEWHERE * UNIT_WEIGHT))
    counts[clicked & ~right] = MENDED * UNIT_WEIGHT
    return counts


def piece_at(mask: BoolArray, place: tuple[int, int]) -> BoolArray:
    """Connected component of a mask at a pixel (x, y)."""
    labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[1]
    label = labels[place[1], place[0]]
    return np.asarray((labels == label) & (label > 0))


def _around_click(rng: Rng, object: BoolArray, click: tuple[int, int], depth: float) -> Box:
    """Crop around the object and the click, or around the click, like :meth:`Prompter.near`."""
    x, y = click
    x0, y0, x1, y1 = tight_box(object)
    kind = rng.random()
    if kind < 0.5:
        x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x + 1.0), max(y1, y + 1.0)
        w, h = x1 - x0, y1 - y0
        left, top, right, bottom = rng.uniform(0.05, 0.45, 4)
        return box_window((x0 - w * left, y0 - h * top, x1 + w * right, y1 + h * bottom), object.shape)
    reach = warp.log_uniform(rng, 5, 20) * depth
    if kind < 0.75:
        reach = warp.log_uniform(rng, 0.15, 0.6) * max(x1 - x0, y1 - y0)
    reach = float(np.clip(reach, 24.0, max(object.shape)))
    dx, dy = rng.uniform(-0.25, 0.25, 2) * reach
    return box_window((x + dx - reach, y + dy - reach, x + dx + reach, y + dy + reach), object.shape)


def _blurred_for(mask: Image, matrix: warp.Matrix) -> Image:
    """Blur a mask so that a shrinking warp gives no steps."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
    return mask if scale > 0.7 else np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.4 / scale), np.uint8)


@dataclass(frozen=True)
class PromptBatches(Batches):
    """Batches of new samples; the objective adds those kept for a correction.

    Items hold ``images`` (B, 3, S, S), ``targets`` (B, S, S), ``planes`` (B, 4, S, S) and ``counts``
    (B, S, S), uint8.
    """

    sampler: PromptSampler
    shape: Callable[[float], tuple[int, int]]  # side and number of samples at a point of training in [0, 1]
    corrections: Sequence[CorrectionSampler] = ()
    corrected: float = 0.0  # share of the samples that are corrections of a tracker

    def batch_of(self, number: int) -> Batch:
        rng = np.random.default_rng((self.seed, number))
        side, num_new = self.shape(number / self.count)
        samples = (self._draw(rng, side) for _ in range(num_new))
        images, targets, planes, counts = map(stacked, zip(*samples, strict=True))
        return {"images": images.movedim(-1, 1), "targets": targets, "planes": planes, "counts": counts}

    def _draw(self, rng: Rng, side: int) -> Sample:
        if self.corrections and rng.random() < self.corrected:
            return picked(rng, self.corrections).draw(rng, side)
        return self.sampler.draw(rng, side)


def _any_object(rng: Rng, mask: Image) -> Image:
    """Mask of a random object, 0 or 1."""
    return np.asarray(mask == picked(rng, object_ids(mask, MIN_PIXELS)), np.uint8)


def click_on(error: BoolArray, rng: Rng, sharp: float = 0.4) -> tuple[int, int]:
    """Click on an error: its deepest pixel, or a random deep one."""
    depth = _depth(error)
    if rng.random() < sharp:
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        return int(x), int(y)
    rows, columns = np.nonzero(depth > rng.uniform(0, 0.7) * depth.max())
    k = int(rng.integers(len(rows)))
    return int(columns[k]), int(rows[k])


def _depth(mask: BoolArray) -> Float32Array:
    """Distance of each pixel to the nearest one outside the mask, which ends at the image border."""
    padded = np.pad(mask.astype(np.uint8), 1)
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1], np.float32)


def largest_error(predicted: BoolArray, target: Image) -> tuple[BoolArray, bool]:
    """Larger of the missing and the excess region."""
    missing, extra = (target == 1) & ~predicted, (target == 0) & predicted
    return (missing, True) if _depth(missing).max() >= _depth(extra).max() else (extra, False)


def _window(rng: Rng, inside: BoolArray, wide: bool) -> Box:
    """Draw a crop region: the object with a margin, up to the whole image."""
    height, width = inside.shape
    x0, y0, x1, y1 = tight_box(inside)
    if wide:
        share = float(rng.uniform(0, 1)) if rng.random() < 0.6 else 1.0
        return x0 * (1 - share), y0 * (1 - share), x1 + (width - x1) * share, y1 + (height - y1) * share
    w, h = x1 - x0, y1 - y0
    left, top, right, bottom = rng.uniform(0.08, 0.42, 4)
    return box_window((x0 - w * left, y0 - h * top, x1 + w * right, y1 + h * bottom), (height, width))


def _placed(rng: Rng, window: Box, side: int) -> warp.Matrix:
    """Map from the image to the crop: stretched, rotated by up to 15 degrees, mirrored."""
    x0, y0, x1, y1 = window
    sx, sy = side / max(x1 - x0, 2), side / max(y1 - y0, 2)
    base = np.array([[sx, 0, -sx * x0], [0, sy, -sy * y0], [0, 0, 1.0]])
    if rng.random() < 0.5:
        base = np.array([[-1, 0, side], [0, 1, 0], [0, 0, 1.0]]) @ base
    angle = rng.uniform(-15, 15) if rng.random() < 0.5 else 0.0
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), -angle, 1)
    return np.asarray(np.vstack([turn, [0, 0, 1]]) @ base)


def _shrunk_warp(image: Image, matrix: warp.Matrix, side: int) -> Image:
    """Warp an image, halved beforehand as often as needed against aliasing."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
    while scale < 0.6 and min(image.shape[:2]) > 16:
        h, w = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
        image = np.asarray(cv2.resize(image[:h, :w], (w // 2, h // 2), interpolation=cv2.INTER_AREA))
        matrix = matrix @ np.diag([2.0, 2.0, 1.0])
        scale *= 2
    return warp.apply(image, matrix, side)


def _warped_mask(mask: Image, matrix: warp.Matrix, side: int) -> Image:
    """Warp a mask of 0 and 1 with smooth edges."""
    soft = cv2.warpAffine(mask * np.uint8(255), matrix[:2], (side, side), flags=cv2.INTER_LINEAR)
    return np.asarray(soft > 127).astype(np.uint8)


def _blended(rng: Rng, below: Image, above: Image, where: BoolArray) -> Image:
    """Blend ``above`` over ``below`` by the mask, with soft edges and sometimes other light."""
    alpha = cv2.GaussianBlur(where.astype(np.float32), (3, 3), float(rng.uniform(0.4, 1)))[..., None]
    if rng.random() < 0.5:
        above = warp.apply_colour(above, warp.colour_jitter(rng, 0.2))
    return np.asarray(below + alpha * (above.astype(np.float32) - below), np.uint8)


def _photographed(rng: Rng, image: Image) -> Image:
    """Vary light and colours; sometimes grey, blurred, noisy or compressed."""
    image = warp.apply_colour(image, warp.colour_jitter(rng, 0.3))
    if rng.random() < 0.04:
        image = np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB))
    fault = rng.random()
    if fault < 0.1:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.6))))
    elif fault < 0.2:
        noise = rng.normal(0, rng.uniform(2, 12), image.shape).astype(np.float32)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    elif fault < 0.3:
        _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 80))])
        image = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))
    return np.asarray(image, np.uint8)


def _prompts(rng: Rng, inside: BoolArray, kind: float) -> Image:
    planes = np.zeros((PLANES, *inside.shape), np.uint8)
    if kind < 0.4 or 0.8 <= kind < 0.88:
        x0, y0, x1, y1 = _jittered(rng, tight_box(inside), inside.shape)
        planes[BOX, y0:y1, x0:x1] = 255
    if 0.4 <= kind < 0.88:
        if rng.random() < 0.08:
            draw_stroke(planes[POSITIVE], [click_on(inside, rng, 0) for _ in range(int(rng.integers(2, 5)))])
            planes[POSITIVE, ~inside] = 0
        else:
            draw_disk(planes[POSITIVE], click_on(inside, rng))
    if kind >= 0.88:
        faulty = _with_faults(rng, inside)
        planes[PREVIOUS] = faulty
        turn = rng.random()
        if turn < 0.6:
            error, missing = largest_error(faulty > 127, inside.astype(np.uint8))
            if error.any():
                draw_disk(planes[POSITIVE if missing else NEGATIVE], click_on(error, rng))
        elif turn < 0.9:
            draw_disk(planes[POSITIVE], click_on(inside, rng))
    return planes


def _jittered(rng: Rng, box: Box, size: tuple[int, ...]) -> tuple[int, int, int, int]:
    spread = 0.1 if rng.random() < 0.6 else 0.02
    reach = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    shifted = np.array(box) + rng.uniform(-spread, spread, 4) * reach
    x0, y0, x1, y1 = np.clip(shifted, 0, [size[1], size[0]] * 2)
    return int(x0), int(y0), max(round(x1), int(x0) + 1), max(round(y1), int(y0) + 1)


def _with_faults(rng: Rng, inside: BoolArray) -> Image:
    """Simulate a tracker's mask: grown or shrunk, parts lost or added, blurred."""
    side = inside.shape[0]
    mask = inside.astype(np.uint8)
    radius = int(rng.integers(0, max(2, round(0.05 * side))))
    if radius:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
        eroded = cv2.erode(mask, kernel)
        grow = rng.random() < 0.5 or not eroded.any()
        mask = np.asarray(cv2.dilate(mask, kernel) if grow else eroded, np.uint8)
    extent = np.sqrt(inside.sum())
    for _ in range(int(rng.integers(0, 4))):
        size = tuple(int(v) for v in rng.uniform(0.1, 0.5, 2) * extent + 1)
        place = tuple(int(v) for v in rng.uniform(0, side, 2))
        if rng.random() < 0.7:
            place = click_on(inside, rng, 0)
        cv2.ellipse(mask, place, size, float(rng.uniform(0, 180)), 0, 360, int(rng.integers(2)), -1)
    shift = rng.normal(0, 0.03 * side, 2)
    shifted = cv2.warpAffine(
        mask * np.uint8(255), np.array([[1, 0, shift[0]], [0, 1, shift[1]]]), (side, side)
    )
    if rng.random() < 0.7:
        shifted = cv2.GaussianBlur(shifted, (0, 0), float(rng.uniform(0.5, 0.03 * side)))
    return np.asarray(shifted, np.uint8)
