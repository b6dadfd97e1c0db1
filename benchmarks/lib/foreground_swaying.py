"""Scenes that sway behind movers whose masks are known, and scenes that stand still for comparison.

The plates are medians of films of fixed cameras, the movers objects of DAVIS val: no training uses either.
Branches, crowns, leaves, flags and lamps are drawn by the code that draws them in the training; fountains,
water, escalators and screens by none of it. Of the scenes that stand still, things in them stay, come back to
the same place again and again, or are followed by others of the same colours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np

from benchmarks.lib.foreground_clips import Shot, Video, empty_scene, read_videos, sbi_videos
from benchmarks.lib.foreground_scenes import unseen_cut_outs, water
from segue.types import Image
from segue_train.data.cut_outs import CutOut, Mover, draw_mover
from segue_train.data.foreground import dynamic_background, scenery
from segue_train.data.foreground.clips import MARGIN, Clip, Sun
from segue_train.data.foreground.scenery import Camera, Effect, Light, Sensor, rng_at
from segue_train.data.warp import Rng, Size

LENGTH = 260
"""Frames of a video."""

WITH = 80
"""Frame from which on movers come; before it the scene is empty."""

PLATES = ("highway", "office", "Board", "CAVIAR1", "HallAndMonitor", "HighwayI")
"""Films whose medians are the scenes, where they are there."""


def fountain(rng: Rng, size: Size) -> Effect:
    """Jets of drops that rise, fall and spray, before the scene."""
    height, width = size
    seed, count = int(rng.integers(1 << 31)), int(rng.integers(3, 9))
    feet = rng.uniform(0.15, 0.85) * width + rng.uniform(-0.2, 0.2, count) * width
    ground, speed = rng.uniform(0.6, 0.95) * height, np.sqrt(rng.uniform(0.15, 0.5) * height * 2 * 0.35)
    bright = rng.uniform(170, 250)

    def act(canvas: Image, time: int) -> Image:
        spray = np.zeros(size, np.float32)
        for foot, jet in zip(feet, range(count), strict=True):
            own = rng_at(seed + jet, time)
            ages = own.uniform(0, 2 * speed / 0.35, 260)
            away = own.normal(0, 0.35, 260)
            up = speed * own.uniform(0.85, 1.05, 260) * (0.8 + 0.2 * np.sin(0.11 * time + jet))
            x = np.rint(foot + away * ages).astype(int)
            y = np.rint(ground - up * ages + 0.175 * ages**2).astype(int)
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < ground)
            np.add.at(spray, (y[inside], x[inside]), 0.5)
        soft = np.minimum(cv2.GaussianBlur(spray, (0, 0), 1.0) * 1.6, 0.9)[..., None]
        return np.asarray(canvas * (1 - soft) + bright * soft, np.uint8)

    return act


def escalator(rng: Rng, size: Size) -> Effect:
    """Steps that run along a slope without an end."""
    height, width = size
    angle, pitch = rng.uniform(0.3, 0.9), rng.uniform(7, 18)
    middle = rng.uniform(0.3, 0.7, 2) * [width, height]
    long, wide, speed = rng.uniform(0.3, 0.6) * width, rng.uniform(0.06, 0.14) * width, rng.uniform(0.6, 2.5)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    along = (columns - middle[0]) * np.cos(angle) + (rows - middle[1]) * np.sin(angle)
    across = -(columns - middle[0]) * np.sin(angle) + (rows - middle[1]) * np.cos(angle)
    inside = (np.abs(along) < long) & (np.abs(across) < wide)
    dark, light = rng.uniform(20, 80, 3), rng.uniform(110, 210, 3)

    def act(canvas: Image, time: int) -> Image:
        share = ((along - speed * time) / pitch) % 1
        steps = np.where(share < 0.3, 0.0, 0.4 + 0.6 * share)[..., None]
        return np.where(inside[..., None], dark + steps * (light - dark), canvas).astype(np.uint8)

    return act


def screen(rng: Rng, size: Size) -> Effect:
    """A display whose pictures change every few seconds and drift in between."""
    height, width = size
    tall, wide = round(rng.uniform(0.2, 0.4) * height), round(rng.uniform(0.2, 0.4) * width)
    top, left = round(rng.uniform(0.05, 0.5) * height), round(rng.uniform(0.05, 0.55) * width)
    pictures = [scenery.procedural(rng, (tall + 24, wide + 24)) for _ in range(4)]
    hold = int(rng.integers(12, 45))

    def act(canvas: Image, time: int) -> Image:
        picture, shift = pictures[time // hold % len(pictures)], time % 24
        canvas[top : top + tall, left : left + wide] = picture[shift : shift + tall, shift : shift + wide]
        return canvas

    return act


Maker = Callable[[Rng, Size], Effect]

DEVELOPED: dict[str, Maker] = {
    "branches": dynamic_background.branches,
    "crown": dynamic_background.crown,
    "leaves": dynamic_background.foliage,
    "flag": dynamic_background.flag,
    "lamp": dynamic_background.lamp,
}
"""Effects that trainings show."""

LEFT_OUT: dict[str, Maker] = {"fountain": fountain, "water": water, "escalator": escalator, "screen": screen}
"""Effects that no training shows."""


def swaying_scenes(root: Path) -> dict[str, list[Video]]:
    """Two videos of each kind, by kind; ``root`` is the folder that ``foreground_scenes`` reads."""
    films = read_videos(root / "foreground/cdnet2014", ["baseline/highway", "baseline/office"])
    films += sbi_videos(root / "foreground/sbi2015")
    known = {film.name.rpartition("/")[2]: film for film in films}
    plates = [(name, cache(partial(median_of_film, known[name]))) for name in PLATES if name in known]
    cut_outs = unseen_cut_outs(root)
    groups: dict[str, list[Video]] = {}
    for number, (kind, make) in enumerate({**DEVELOPED, **LEFT_OUT}.items()):
        groups[kind] = [
            scene(
                kind, *plates[(number + i) % len(plates)], cut_outs, (make,) * (1 + i), 300 + 2 * number + i
            )
            for i in range(2)
        ]
    for number, (kind, movers) in enumerate(MOVERS.items()):
        groups[kind] = [
            scene(kind, *plates[(number + 3 * i) % len(plates)], cut_outs, [], 400 + 2 * number + i, movers)
            for i in range(2)
        ]
    return groups


def median_of_film(film: Video) -> Image:
    """The scene of a film without what moves in it."""
    image, _ = next(empty_scene(film, 1).shots())
    return image


def passing(rng: Rng, cut_outs: Sequence[CutOut], size: Size) -> list[Mover]:
    """Objects that pass."""
    times = rng.uniform(WITH, LENGTH, 7)
    return [draw_mover(rng, cut_outs, size, heights=(25, 90)).passing(time) for time in times]


def staying(rng: Rng, cut_outs: Sequence[CutOut], size: Size) -> list[Mover]:
    """Two objects that come, and stand until the end."""
    movers = passing(rng, cut_outs, size)[:4]
    return [*movers[:2], *(replace(each, stop=float(rng.uniform(WITH, 140))) for each in movers[2:])]


def again(rng: Rng, cut_outs: Sequence[CutOut], size: Size) -> list[Mover]:
    """One object that stands at the same place again and again, away in between, and others that pass."""
    first, *others = passing(rng, cut_outs, size)
    height, width = size
    here = replace(
        first,
        place=(float(rng.uniform(0.3, 0.7) * width), float(rng.uniform(0.5, 0.9) * height)),
        velocity=(0.0, 0.0),
    )
    begins = range(40, LENGTH, 55)
    return [*(replace(here, comes=float(b), leaves=float(b + 25)) for b in begins), *others[:3]]


def in_a_row(rng: Rng, cut_outs: Sequence[CutOut], size: Size) -> list[Mover]:
    """The same few objects one after the other along one way, as cars on a road."""
    height, width = size
    few = [draw_mover(rng, cut_outs, size, heights=(30, 60)).passing(0) for _ in range(3)]
    way, pace = float(rng.uniform(0.5, 0.85) * height), float(rng.uniform(3, 6) * rng.choice([-1, 1]))
    return [
        replace(
            few[int(rng.integers(3))], place=(width / 2 - pace * time, way), velocity=(pace, 0.0), swing=0.0
        )
        for time in np.arange(20, LENGTH, rng.uniform(16, 26))
    ]


MOVERS: dict[str, Callable[[Rng, Sequence[CutOut], Size], list[Mover]]] = {
    "still": staying,
    "again": again,
    "row": in_a_row,
}
"""What moves where the scene stands still."""


def scene(
    kind: str,
    name: str,
    plate: Callable[[], Image],
    cut_outs: Sequence[CutOut],
    makers: Sequence[Maker],
    seed: int,
    movers: Callable[[Rng, Sequence[CutOut], Size], list[Mover]] = passing,
) -> Video:
    """A video over an empty scene, with effects."""

    def shots() -> Iterator[Shot]:
        clip = fixed_camera_clip(
            plate(),
            lambda rng, size: [partial(_copied, make(rng, size)) for make in makers],
            lambda rng, size: movers(rng, cut_outs, size),
            seed,
        )
        for time in range(LENGTH):
            yield clip.frame_with_labels(time)

    return Video(f"{kind}, {name}", np.ones((240, 320), bool), shots)


def fixed_camera_clip(
    plate: Image,
    effects: Callable[[Rng, Size], list[Effect]],
    movers: Callable[[Rng, Size], list[Mover]],
    seed: int,
) -> Clip:
    """A clip (240, 320) of a fixed camera in even light; effects are drawn before movers."""
    rng = np.random.default_rng(seed)
    shown = cv2.resize(plate, (320, 240), interpolation=cv2.INTER_AREA)
    wide = np.asarray(cv2.copyMakeBorder(shown, *(MARGIN,) * 4, cv2.BORDER_REFLECT_101), np.uint8)
    size = wide.shape[0], wide.shape[1]
    return Clip(
        plate=wide,
        effects=effects(rng, size),
        movers=movers(rng, size),
        light=Light((1.0, 1.0, 1.0), -1000, 0.0, 1.0),
        camera=Camera(0.0, np.zeros((3, 2)), np.zeros((3, 2)), 0),
        sensor=Sensor(0.5, 1.5, np.arange(256, dtype=np.uint8), False, 80, seed),
        sun=Sun(0.5, 0.3, 0.3, 0.4, 1.5),
        unlit=False,
        noise=scenery.noise_stock(count=1 << 20),
    )


def _copied(effect: Effect, canvas: Image, time: int) -> Image:
    """An effect that leaves the canvas as it was."""
    return effect(canvas.copy(), time)
