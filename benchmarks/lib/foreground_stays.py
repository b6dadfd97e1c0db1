"""Long films of a camera, rendered from stills: somebody or something comes, stays for long, and goes.

Meanwhile somebody walks by in front of it every five minutes, and the light of the day goes up and down. A
flag, lamps, clouds, drops and infrared, which are no objects, are effects as those of
:mod:`benchmarks.lib.foreground_scenes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.lib.foreground_clips import FPS, Labels, Shot, Video, empty_scene
from segue.datasets.foreground.labels import MOTION
from segue.masks import read_stored_mask
from segue.prompts.planes import tight_box
from segue.types import Image
from segue.video.sources.images import read_image
from segue_train.data.cut_outs import MARGIN, CutOut, Mover, place
from segue_train.data.foreground.scenery import Effect
from segue_train.data.warp import Rng, Size

WIDTH = 160
"""Of the films, in pixels: an hour has 18,000 frames."""

EMPTY, MOVES, PASSES = 30.0, 4.0, 8.0
"""Seconds of the empty scene before and after, in which it comes or goes, and in which somebody walks by."""

PASSES_EVERY = 300.0
"""Seconds from one that walks by to the next one."""

DAY, DIMMED = 1500.0, 0.2
"""Seconds of a wave of the light, and by how much it changes."""

FloatArray = npt.NDArray[np.float32]

NOISE = 1.5
"""Standard deviation of the noise of the sensor."""


@dataclass(frozen=True, slots=True)
class Stay:
    """What stays.

    Attributes:
        minutes: for which it stands.
        video: whose empty scene it is in.
        image, mask: files of a folder of data that show it.
        number: of the object in the mask.
        height: of it, in pixels.
        foot: where it stands, as a share of height.
        sways: pixels by which it leans over, as people do.
    """

    minutes: float
    video: str
    image: str
    mask: str
    number: int
    height: float
    foot: float
    sways: float = 0.0

    @property
    def times(self) -> tuple[float, float]:
        """Seconds from which and until which it is in view, as a whole or a part."""
        return EMPTY, EMPTY + 2 * MOVES + 60 * self.minutes

    @property
    def passers(self) -> list[float]:
        """When somebody begins to walk by."""
        first, last = self.times
        return np.arange(first + 60, last - 60, PASSES_EVERY).tolist()


def _still(name: str) -> tuple[str, str]:
    return f"static/images/{name}.jpg", f"static/masks/{name}.png"


_CAR = "vos/davis2016_240p/JPEGImages/car-turn/00030.jpg", "vos/davis2016_240p/Annotations/car-turn/00030.png"

STAYS = {
    "a parked car": Stay(60, "highway", *_CAR, number=255, height=34, foot=0.8),
    "a person who stands": Stay(
        30, "office", *_still("penn_FudanPed00021"), number=1, height=62, foot=0.95, sways=1.0
    ),
}
"""Films by their names."""

_ROAD_CAR = Stay(0, "highway", *_CAR, number=255, height=50, foot=0.8)
_VISITOR = Stay(0, "office", *_still("penn_FudanPed00021"), number=1, height=110, foot=0.95)
_PASSER = Stay(0, "", *_still("penn_FudanPed00061"), number=1, height=58, foot=0.98)


def _cut_out(root: Path, stay: Stay) -> CutOut:
    image, mask = read_image(root / stay.image), read_stored_mask(root / stay.mask, stay.mask)
    x0, y0, x1, y1 = map(int, tight_box(mask == stay.number))
    part = slice(y0, y1), slice(x0, x1)
    alpha = (mask[part] == stay.number).astype(np.uint8) * np.uint8(255)
    air = (MARGIN,) * 4
    soft = cv2.GaussianBlur(cv2.copyMakeBorder(alpha, *air, cv2.BORDER_CONSTANT, value=0), (3, 3), 0.8)
    patch = cv2.copyMakeBorder(image[part], *air, cv2.BORDER_REPLICATE)
    return CutOut((np.asarray(patch, np.uint8),), (np.asarray(soft, np.uint8),), float(y1 - y0))


def _mover(cut_out: CutOut, stay: Stay, size: Size) -> Mover:
    return Mover(
        cut_out, (0.0, stay.foot * size[0]), (0.0, 0.0), stay.height / cut_out.height, 1.0, first=0, pace=0.0
    )


def _drawn(image: Image, mover: Mover, x: float, angle: float = 0.0, labels: Labels | None = None) -> None:
    """Draw something that stands at a column, in place, and label it."""
    size = image.shape[0], image.shape[1]
    matrix = mover.matrix(0)
    matrix[:, 2] += (x, 0.0)
    matrix[0, 2] -= angle * mover.place[1]
    matrix[0, 1] += angle * mover.scale
    if (placed := place(mover.patch(0), matrix, size)) is not None:
        part, patch = placed
        alpha = patch[..., 3:].astype(np.float32) / 255
        image[part] = np.rint(image[part] * (1 - alpha) + patch[..., :3] * alpha).astype(np.uint8)
        if labels is not None:
            labels[part][alpha[..., 0] > 0.5] = MOTION


def stay_images(root: Path, video: Video, stay: Stay, fps: float) -> Iterator[Image]:
    """A film, frame by frame.

    Args:
        root: folder with ``static`` and ``vos``.
        video: whose empty scene is shown.
        stay: what stays in it.
        fps: frames a second.
    """
    (still, _), *_ = empty_scene(video, 1).shots()
    reach = WIDTH, round(still.shape[0] * WIDTH / still.shape[1])
    plate = np.asarray(cv2.resize(still, reach, interpolation=cv2.INTER_AREA), np.uint8)
    size = plate.shape[0], plate.shape[1]
    it, passer = (_mover(_cut_out(root, each), each, size) for each in (stay, _PASSER))
    begin, end = stay.times
    middle, half = WIDTH / 2, WIDTH / 2 + max(stay.height * 1.5, 40)
    for index in range(round((end + EMPTY) * fps)):
        time = index / fps
        image = plate.copy()
        if begin <= time < end:
            coming, going = min(1.0, (time - begin) / MOVES), max(0.0, (time - end + MOVES) / MOVES)
            sway = stay.sways * np.sin(2 * np.pi * time / 4.7) / stay.height
            _drawn(image, it, middle + half * (coming - 1 + going), sway)
        for start in stay.passers:
            if start <= time < start + PASSES:
                _drawn(image, passer, -30 + (WIDTH + 60) * (time - start) / PASSES)
        noise = np.random.default_rng([17, index]).standard_normal(image.shape, np.float32)
        light = 1 + DIMMED * np.sin(2 * np.pi * time / DAY)
        yield np.asarray(np.clip(image * light + NOISE * noise + 0.5, 0, 255), np.uint8)


def busy_videos(root: Path, road: Video, room: Video) -> list[Video]:
    """Videos in which a truck, or another light, comes with what is to be found, at 25 frames a second.

    Args:
        root: folder with ``static`` and ``vos``.
        road, room: whose empty scenes are shown.
    """
    return [
        Video("trucks before cars in a row", road.roi, partial(_trucks, root, road)),
        Video("people who come as a lamp goes on", room.roi, partial(_lit_people, root, room)),
    ]


TRUCK, TRUCK_SECONDS, CAR_SECONDS, CARS_EVERY = (0.4, 0.6), 3.0, 2.0, 1.2
"""Height and width of a truck by those of the image; seconds in which it and a car pass, and between cars."""

CARS, ROUNDS = 6, 2
"""Cars after a truck, and how often this comes."""

LAMP_EVERY, WALK_SECONDS, SWITCH_SECONDS, PEOPLE = 10.0, 4.0, 0.4, 6
"""Seconds between switched lamps, in which a person walks by, and in which one glows up; number of people."""


def _trucks(root: Path, road: Video) -> Iterator[Shot]:
    """A truck with its shadow covers a third of the image; six cars follow it."""
    lap = TRUCK_SECONDS + CARS * CARS_EVERY + CAR_SECONDS + 1
    car: Mover | None = None
    for index, (plate, nothing) in enumerate(empty_scene(road, round((4 + ROUNDS * lap) * FPS)).shots()):
        image, labels = plate.copy(), np.array(nothing)
        size = image.shape[0], image.shape[1]
        car = car or _mover(_cut_out(root, _ROAD_CAR), _ROAD_CAR, size)
        turn, time = divmod(index / FPS - 4, lap)
        if turn >= 0 and time < TRUCK_SECONDS:
            _draw_truck(image, labels, time / TRUCK_SECONDS, np.random.default_rng([int(turn), 3]))
        for number in range(CARS if turn >= 0 else 0):
            share = (time - TRUCK_SECONDS - number * CARS_EVERY) / CAR_SECONDS
            if 0 <= share < 1:
                _drawn(image, car, -60 + (size[1] + 120) * share, labels=labels)
        yield image, labels


def _draw_truck(image: Image, labels: Labels, share: float, rng: Rng) -> None:
    height, width = round(TRUCK[0] * image.shape[0]), round(TRUCK[1] * image.shape[1])
    texture = cv2.resize(
        rng.integers(60, 220, (4, 6, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_LINEAR
    )
    left = round(-width + (image.shape[1] + width) * share)
    bottom = round(0.8 * image.shape[0])
    first, last = max(0, left), min(image.shape[1], left + width)
    if first >= last:
        return
    shadow = slice(bottom, bottom + height // 3), slice(first, last)
    image[shadow] = (image[shadow] * 0.5).astype(np.uint8)
    body = slice(bottom - height, bottom), slice(first, last)
    image[body] = texture[:, first - left : last - left]
    labels[body] = MOTION


def _lit_people(root: Path, room: Video) -> Iterator[Shot]:
    """Whenever a lamp goes on or off somebody comes in."""
    person: Mover | None = None
    for index, (plate, nothing) in enumerate(
        empty_scene(room, round((PEOPLE + 1) * LAMP_EVERY * FPS)).shots()
    ):
        size = plate.shape[0], plate.shape[1]
        person = person or _mover(_cut_out(root, _VISITOR), _VISITOR, size)
        image, labels = plate.copy(), np.array(nothing)
        turn, time = divmod(index / FPS, LAMP_EVERY)
        if turn >= 1 and time < WALK_SECONDS:
            _drawn(image, person, -30 + (size[1] + 60) * time / WALK_SECONDS, labels=labels)
        on = min(1.0, time / SWITCH_SECONDS) if turn % 2 else 1 - min(1.0, time / SWITCH_SECONDS)
        rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float32)
        glow = np.exp(-(((rows / size[0]) ** 2 + (columns / size[1] - 0.5) ** 2) / 0.8))
        light = 1 + 0.8 * (on if turn >= 1 else 0.0) * glow[..., None]
        yield np.asarray(np.clip(image * light, 0, 255), np.uint8), labels


def flag(rng: Rng, size: Size) -> Effect:
    """A flag with stripes on a mast, which waves more or less."""
    height, width = round(0.2 * size[0]), round(0.22 * size[1])
    top, left = round(0.12 * size[0]), round(0.45 * size[1])
    stripes = rng.integers(0, 255, (3, 3))
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float32)
    phases = rng.uniform(0, 2 * np.pi, 3)

    def act(canvas: Image, time: int) -> Image:
        gust = 0.5 + 0.5 * np.sin(0.031 * time + phases[0])
        along = (columns - left) / width
        wave = gust * 0.3 * height * along * np.sin(7 * along - 1.3 * time + phases[1])
        down = (rows - top - wave - (1 - gust) * 0.5 * height * along) / height
        inside = (along >= 0) & (along < 0.75 + 0.25 * gust) & (down >= 0) & (down < 1)
        shade = 1 + 0.25 * np.cos(7 * along - 1.3 * time + phases[1])
        canvas[inside] = np.clip(
            stripes[(3 * down[inside]).astype(int)] * shade[inside][:, None], 0, 255
        ).astype(np.uint8)
        canvas[top : top + 4 * height, left - 2 : left] = 90
        return canvas

    return act


def lamps(rng: Rng, size: Size) -> Effect:
    """Lamps that are switched on and off, every twenty seconds or so at 5 frames a second."""
    places = rng.uniform(0.2, 0.8, (3, 2)) * size
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float32)
    distances = [np.hypot(rows - y, columns - x) / size[0] for y, x in places]
    glows = [np.exp(-((each / reach) ** 2)) for each, reach in zip(distances, (0.15, 0.25, 0.4), strict=True)]
    switches = [np.cumsum(rng.exponential(100, 5000)) for _ in places]

    def act(canvas: Image, time: int) -> Image:
        lit = canvas.astype(np.float32)
        for distance, glow, times in zip(distances, glows, switches, strict=True):
            if np.searchsorted(times, time) % 2:
                lit *= 1 + 0.9 * glow[..., None]
                lit[distance < 0.02] = 255
        return np.asarray(np.minimum(lit, 255), np.uint8)

    return act


def cloud(rng: Rng, size: Size) -> Effect:
    """The shadow of a cloud with a soft edge comes and goes every minute at 5 frames a second."""
    columns, edge = np.arange(size[1], dtype=np.float32) / size[1], 0.04
    dims = rng.uniform(0.3, 0.5, 5000)

    def shade(time: float) -> FloatArray:
        """How far the shadow has come, by column; it takes twelve seconds."""
        return np.asarray(
            1 / (1 + np.exp((columns + 0.2 - 1.4 * np.clip(time / 60, 0, 1)) / edge)), np.float32
        )

    def act(canvas: Image, time: int) -> Image:
        turn, phase = divmod(time, 300)
        light = 1 - dims[turn] * (shade(phase - 60) - shade(phase - 180))
        return np.asarray(np.clip(canvas * light[None, :, None], 0, 255), np.uint8)

    return act


def drops(rng: Rng, size: Size) -> Effect:
    """A drop settles on the lens every forty seconds at 5 frames a second, slides, and stays two minutes."""
    places = rng.uniform(0.15, 0.85, (5000, 2)) * size
    sides = rng.uniform(0.05, 0.1, 5000) * size[0]
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float32)

    def act(canvas: Image, time: int) -> Image:
        shown = canvas.astype(np.float32)
        upside_down = cv2.flip(cv2.GaussianBlur(shown, (0, 0), size[0] / 40), 0) * 1.15
        for number in range(max(0, time // 200 - 2), time // 200 + 1):
            (y, x), age = places[number], time - 200 * number
            distance = np.hypot(rows - y - 0.002 * size[0] * age / 5, columns - x)
            inside = cv2.GaussianBlur((distance < sides[number]).astype(np.float32), (0, 0), 3)[..., None]
            shown = shown * (1 - inside) + upside_down * inside
        return np.asarray(np.clip(shown, 0, 255), np.uint8)

    return act


def infrared(rng: Rng, size: Size) -> Effect:
    """The camera switches to infrared or back every minute at 5 frames a second; a second is over-exposed."""
    mix = rng.dirichlet((4, 3, 2)).astype(np.float32)

    def act(canvas: Image, time: int) -> Image:
        turn, phase = divmod(time, 300)
        if turn % 2 == 0:
            return canvas
        grey = (canvas @ mix)[..., None].repeat(3, axis=2)
        shown = 255 - 0.55 * (255 - grey) if phase < 5 else grey * 0.7 + 25
        return np.asarray(np.clip(shown, 0, 255), np.uint8)

    return act
