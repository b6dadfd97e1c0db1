"""Still images with masks that nobody has rights in: drawn things before rendered rooms and free images.

Example::

    segue synth isd out/rooms --frames 5760 --clip 24 --size 400x300 --seed 2028
    python tools/drawn_stills.py --rooms out/rooms/train --count 1500 --out out/drawn

A thing is a blob, a polygon or a body with limbs, filled with textures of the generator, colours or parts of
images. ``--images FOLDER`` adds images to the backdrops and textures; their terms are up to you. Beside
the drawn stills lie the people and things of the rooms (``--from-rooms``), as the rooms' instance maps have
them. ``segue train stcn-lite --data out/drawn`` animates them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from segue.datasets.files import read_rgb
from segue.datasets.foreground.folder import ForegroundSequence
from segue.datasets.foreground.isd import MOVING_BACKGROUND, IsdClip, open_isd
from segue.masks.files import write_index_mask
from segue.types import Image
from segue.utils.arrays import BoolArray, Float32Array
from segue_isd.render.textures import Textures
from segue_train.data.footage import object_ids
from segue_train.data.foreground.scenery import clouds, procedural
from segue_train.data.warp import Rng, log_uniform, picked, random_part

SIZE = (300, 400)
"""Rows and columns of a drawn still."""

MIN_AREA = 80
"""Visible pixels below which a thing is not labelled."""


def main() -> None:
    """Write the stills."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rooms", type=Path, required=True, help="a split that `segue synth isd` wrote")
    parser.add_argument("--images", type=Path, help="folder of further images (JPEG, PNG)")
    parser.add_argument("--count", type=int, default=1500, help="drawn stills")
    parser.add_argument("--from-rooms", type=int, default=500, help="stills that are frames of the rooms")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    for name in ("images", "masks"):
        (arguments.out / name).mkdir(parents=True)
    clips = list(open_isd(arguments.rooms))
    free = sorted(arguments.images.glob("*.[jp][pn]g")) if arguments.images else []
    rng = np.random.default_rng(arguments.seed)
    images = [read_rgb(path) for path in free]
    for number in range(arguments.count):
        if number % 20 == 0:  # painting all textures takes longer than drawing a still
            sources = _sources(rng, clips, images)
        image, mask = draw_still(rng, sources)
        _write(arguments.out, f"drawn_{number:05}", image, mask)
    for number in range(arguments.from_rooms):
        clip = picked(rng, clips)
        frame = int(rng.integers(len(clip)))
        ids = IsdClip.of(clip).read_instances(frame)
        mask = np.where(ids < MOVING_BACKGROUND, ids, 0).astype(np.uint8)
        if object_ids(mask, MIN_AREA):
            _write(arguments.out, f"room_{number:05}", read_rgb(clip.frames[frame]), mask)


def _write(folder: Path, name: str, image: Image, mask: Image) -> None:
    cv2.imwrite(str(folder / "images" / f"{name}.jpg"), image[..., ::-1])
    write_index_mask(folder / "masks" / f"{name}.png", mask)


Source = Callable[[], Image]


def _sources(rng: Rng, clips: Sequence[ForegroundSequence], free: Sequence[Image]) -> list[Source]:
    """What backdrops and textures are taken from: rooms, free images and paint."""
    textures = Textures(rng)
    names = sorted(textures)

    def room() -> Image:
        return read_rgb(picked(rng, picked(rng, clips).frames))

    def texture() -> Image:
        return np.ascontiguousarray(textures[picked(rng, names)][..., :3])

    found = [room, room, texture, lambda: procedural(rng, SIZE)]
    return [*found, lambda: picked(rng, free)] if free else found


def draw_still(rng: Rng, sources: Sequence[Source]) -> tuple[Image, Image]:
    """An image of :data:`SIZE` with one to four things, and its index mask, 0 background."""
    backdrop = cut(rng, picked(rng, sources)())
    canvas = backdrop.astype(np.float32)
    mask = np.zeros(SIZE, np.uint8)
    for index in range(1, int(rng.integers(1, 5)) + 1):
        parts = draw_shape(rng)
        alike = rng.random() < 0.15  # the colours of the backdrop
        for part in parts:
            fill: Any = cut(rng, backdrop if alike else picked(rng, sources)()).astype(np.float32)
            if rng.random() < 0.5:
                fill = 0.35 * fill + 0.65 * rng.uniform(10, 245, 3)
            fill = (fill * rng.uniform(0.6, 1.2) + rng.normal(0, 20, 3)) * shade(rng, part)[..., None]
            soft = cv2.GaussianBlur(part.astype(np.float32), (3, 3), 0.8)[..., None]
            canvas += soft * (np.clip(fill, 0, 255) - canvas)
            mask[part] = index
    for index in range(1, 5):
        if (mask == index).sum() < MIN_AREA:
            mask[mask == index] = 0
    return np.clip(canvas, 0, 255).astype(np.uint8), mask


def cut(rng: Rng, image: Image) -> Image:
    """A random part of an image, brought to :data:`SIZE`, mirrored half the time."""
    height, width = image.shape[:2]
    share = log_uniform(rng, 0.3, 1.0)
    rows = random_part(rng, (height, width), (max(8, int(share * height)), max(8, int(share * width))))
    part = np.asarray(cv2.resize(image[rows], SIZE[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    return np.ascontiguousarray(part[:, ::-1]) if rng.random() < 0.5 else part


def shade(rng: Rng, part: BoolArray) -> Float32Array:
    """Light on a part: round, from one side, or with spots; about 1."""
    depth = np.asarray(cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, 3), np.float32)
    slope = rng.normal(0, 0.25, 2)
    rows, columns = np.mgrid[-1 : 1 : SIZE[0] * 1j, -1 : 1 : SIZE[1] * 1j]
    side = slope[0] * rows + slope[1] * columns + 0.06 * clouds(rng, SIZE, int(rng.integers(3, 12)))
    return np.asarray(np.clip(0.75 + 0.35 * depth / max(float(depth.max()), 1) + side, 0.3, 1.5), np.float32)


def draw_shape(rng: Rng) -> list[BoolArray]:
    """The parts of a thing, each a mask of :data:`SIZE`, those in front last."""
    height, width = SIZE
    size = log_uniform(rng, 18, 130)
    centre = np.array([rng.uniform(0.05, 0.95) * width, rng.uniform(0.05, 0.95) * height])
    kind = rng.random()
    if kind < 0.35:
        return [_blob(rng, centre, size)]
    if kind < 0.5:
        count = int(rng.integers(3, 8))
        angles = np.sort(rng.uniform(0, 2 * np.pi, count))
        radii = size * rng.uniform(0.5, 1.0, count)
        return [_filled(centre + radii[:, None] * np.c_[np.cos(angles), np.sin(angles)])]
    parts = [_blob(rng, centre, 0.6 * size)]
    for _ in range(int(rng.integers(1, 7))):
        angle = rng.uniform(0, 2 * np.pi)
        start = centre + 0.35 * size * np.array([np.cos(angle), np.sin(angle)])
        bend = angle + rng.normal(0, 0.5)
        elbow = start + size * rng.uniform(0.2, 0.6) * np.array([np.cos(angle), np.sin(angle)])
        end = elbow + size * rng.uniform(0.1, 0.6) * np.array([np.cos(bend), np.sin(bend)])
        limb = np.zeros(SIZE, np.uint8)
        thick = max(1, int(size * log_uniform(rng, 0.03, 0.35)))
        cv2.polylines(limb, [np.array([start, elbow, end], np.int32)], False, 1, thick)
        if rng.random() < 0.4:
            cv2.circle(limb, [int(v) for v in end], max(2, int(size * rng.uniform(0.05, 0.3))), 1, -1)
        parts.append(limb > 0)
    order = rng.permutation(len(parts))
    return [parts[i] for i in order]


def _blob(rng: Rng, centre: np.ndarray[tuple[int], np.dtype[np.float64]], size: float) -> BoolArray:
    """A closed curve around ``centre`` whose radius is a sum of a few waves, stretched."""
    angles = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    radius = np.ones(80)
    for wave in range(2, 8):
        radius += rng.normal(0, 0.28 / wave) * np.sin(wave * angles + rng.uniform(0, 2 * np.pi))
    turn, stretch = rng.uniform(0, np.pi), log_uniform(rng, 0.35, 1.0)
    points = size * np.maximum(radius, 0.2)[:, None] * np.c_[np.cos(angles), stretch * np.sin(angles)]
    spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return _filled(centre + points @ spin)


def _filled(points: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> BoolArray:
    plane = np.zeros(SIZE, np.uint8)
    cv2.fillPoly(plane, [points.astype(np.int32)], 1)
    return plane > 0


if __name__ == "__main__":
    main()
