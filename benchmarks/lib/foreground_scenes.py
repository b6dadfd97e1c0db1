"""Scenes to develop foreground models on, in groups of one kind of difficulty each.

Real videos with labels; versions of them with leaves, water, rain, shadows or other light put in, most of
which no training shows; and real dynamic backgrounds with movers pasted over them, whose masks are known.
Everything is drawn from fixed seeds. An effect is a function of a canvas and a time, as those of
:mod:`segue_train.data.foreground.dynamic_background`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.lib.foreground_clips import (
    EMPTY_LENGTH,
    Shot,
    Video,
    changed,
    empty_scene,
    fog,
    hand_held,
    haze,
    infrared,
    moving_videos,
    night,
    read_videos,
    reduced_to,
    sbi_videos,
    shaken,
    video_of,
)
from benchmarks.lib.foreground_whole_image import whole_image_videos
from segue.datasets.davis import DAVIS_VAL, DavisFolder
from segue.datasets.foreground.isd import INDEX, open_isd
from segue.datasets.foreground.labels import MOTION, STATIC, UNKNOWN
from segue.masks import read_stored_mask
from segue.types import Image
from segue.video.sources.images import read_image
from segue_train.data.cut_outs import CutOut, cut_outs_of_videos, draw_mover
from segue_train.data.footage import gather
from segue_train.data.foreground import dynamic_background, scenery
from segue_train.data.foreground.clips import MARGIN, Clip, Sun
from segue_train.data.foreground.dynamic_background import branches
from segue_train.data.foreground.scenery import (
    Camera,
    Effect,
    Light,
    Sensor,
    blob,
    clouds,
    rng_at,
    scaled,
)
from segue_train.data.warp import Rng, Size, log_uniform


def flicker(rng: Rng, size: Size) -> Effect:
    """A soft region whose brightness jumps about: a lamp, a reflection."""
    region = np.asarray(cv2.GaussianBlur(blob(rng, size, rng.uniform(0.03, 0.3)), (0, 0), 6), np.float32)
    strength, seed = rng.uniform(0.05, 0.4), int(rng.integers(1 << 31))

    def act(canvas: Image, time: int) -> Image:
        draw = rng_at(seed, time).uniform(-1, 1)
        return scaled(canvas, 1 + region * np.float32(np.exp(strength * draw) - 1))

    return act


def passing_cloud(rng: Rng, size: Size) -> Effect:
    """Large soft shade that drifts over the scene."""
    depth, speed = rng.uniform(0.15, 0.6), rng.uniform(-4, 4)
    wide = clouds(rng, (size[0], 3 * size[1]), int(rng.integers(1, 4)))
    shade = np.clip(1 - depth * np.clip(wide, 0, 1), 0.2, 1).astype(np.float32)

    def act(canvas: Image, time: int) -> Image:
        start = round(size[1] + np.clip(speed * time, -size[1], size[1]))
        return scaled(canvas, shade[:, start : start + size[1]])

    return act


def stray_shadow(rng: Rng, size: Size) -> Effect:
    """The shadow of something that is out of the image, on its way through it."""
    plane = np.zeros(size, np.float32)
    height, width = (max(4, int(side * rng.uniform(0.08, 0.4))) for side in size)
    corners = rng.uniform(-0.5, 0.5, (int(rng.integers(5, 12)), 2)) * [width, height]
    corners += np.array(size[::-1]) * rng.uniform(0.2, 0.8, 2)
    cv2.fillConvexPoly(plane, cv2.convexHull(corners.astype(np.int32)), 1)
    plane = np.asarray(cv2.GaussianBlur(plane, (0, 0), rng.uniform(0.6, 4)), np.float32)
    depth, velocity = rng.uniform(0.2, 0.7), rng.normal(0, 2.5, 2)

    def act(canvas: Image, time: int) -> Image:
        shift = np.array([[1, 0, velocity[0] * time], [0, 1, 0.4 * velocity[1] * time]])
        return scaled(canvas, 1 - depth * cv2.warpAffine(plane, shift, size[::-1]))

    return act


def headlights(rng: Rng, size: Size) -> Effect:
    """Light of lamps that runs over the ground; what it falls on stays as it is."""
    glow = np.zeros((48, 64), np.float32)
    cv2.ellipse(glow, (32, 24), (18, 11), 0, 0, 360, 1.0, -1)
    glow = np.asarray(cv2.GaussianBlur(glow, (0, 0), rng.uniform(4, 7)), np.float32)
    lamps = [
        (rng.uniform(0, 1, 2) * size[::-1], rng.normal(0, [5, 1.5]), log_uniform(rng, 0.2, 2.5))
        for _ in range(int(rng.integers(1, 4)))
    ]
    strength, added = rng.uniform(0.3, 1.5), rng.uniform(5, 70)
    reach = 1.5 * size[1]

    def act(canvas: Image, time: int) -> Image:
        light = np.zeros(size, np.float32)
        for place, velocity, scale in lamps:
            # They come again on the other side after a while.
            x, y = (place + velocity * time + 0.25 * reach) % reach - 0.25 * reach
            matrix = np.array([[scale, 0, x - 32 * scale], [0, scale, y - 24 * scale]])
            light = np.maximum(light, cv2.warpAffine(glow, matrix, size[::-1]))
        lit = canvas * (1 + strength * light[..., None]) + added * light[..., None]
        return np.asarray(np.minimum(lit, 255), np.uint8)

    return act


def insects(rng: Rng, size: Size) -> Effect:
    """Insects, drops or dust right before the lens: out of focus, elsewhere on each frame."""
    seed, often, most = int(rng.integers(1 << 31)), rng.uniform(0.3, 1), int(rng.integers(1, 5))
    level = rng.uniform(150, 255) if rng.random() < 0.5 else rng.uniform(5, 80)

    def act(canvas: Image, time: int) -> Image:
        own = rng_at(seed, time)
        if own.random() > often:
            return canvas
        cover: Any = np.zeros(size, np.float32)
        for _ in range(int(own.integers(1, most + 1))):
            x, y = own.uniform(0, 1, 2) * size[::-1]
            right, down = own.normal(0, 10, 2)
            wide = max(1, round(log_uniform(own, 1, 14)))
            ends = (int(x), int(y)), (int(x + right), int(y + down))
            cv2.line(cover, *ends, float(own.uniform(0.3, 0.9)), wide, cv2.LINE_AA)
        soft = cv2.GaussianBlur(cover, (0, 0), own.uniform(1.5, 4))[..., None]
        return np.asarray(canvas * (1 - soft) + level * soft, np.uint8)

    return act


def water(rng: Rng, size: Size) -> Effect:
    """A region with ripples that run, and light that glitters on them."""
    region = blob(rng, size, rng.uniform(0.15, 0.7))
    knots = int(rng.integers(12, 60))
    long, short = (clouds(rng, (size[0], size[1] // 3), knots) for _ in range(2))
    ripples = [cv2.resize(plane, size[::-1]) for plane in (long, short)]
    speeds = rng.uniform(-4, 4, (2, 2)) * [0.5, 1]
    strength, sparkle, reach = rng.uniform(0.03, 0.25), rng.uniform(0, 0.8), rng.uniform(0, 4)
    grid = np.meshgrid(np.arange(size[1], dtype=np.float32), np.arange(size[0], dtype=np.float32))

    def act(canvas: Image, time: int) -> Image:
        moved = [
            np.roll(plane, (int(speed[0] * time), int(speed[1] * time)), (0, 1))
            for plane, speed in zip(ripples, speeds, strict=True)
        ]
        wave = (moved[0] + moved[1]) * region
        if reach > 1:
            rows = grid[1] + reach * wave
            canvas = np.asarray(cv2.remap(canvas, grid[0], rows, cv2.INTER_LINEAR, borderMode=2), np.uint8)
        glitter = sparkle * np.maximum(wave - 1.8, 0)
        return scaled(canvas, np.maximum(1 + strength * wave + glitter, 0.1))

    return act


def rain(rng: Rng, size: Size) -> Effect:
    """Streaks of rain, other ones on each frame."""
    streaks = np.zeros(size, np.uint8)
    length, lean = rng.uniform(4, 24), rng.uniform(-0.5, 0.5)
    for _ in range(int(rng.integers(30, 250))):
        x, y = rng.uniform(0, size[1]), rng.uniform(0, size[0])
        end = int(x + lean * length), int(y + length)
        cv2.line(streaks, (int(x), int(y)), end, float(rng.uniform(20, 120)), 1, cv2.LINE_AA)
    return _falling(rng, streaks, None)


def snow(rng: Rng, size: Size) -> Effect:
    """Flakes that sink and drift."""
    flakes = np.zeros(size, np.uint8)
    for _ in range(int(rng.integers(20, 200))):
        centre = int(rng.integers(size[1])), int(rng.integers(size[0]))
        cv2.circle(flakes, centre, int(rng.integers(0, 4)), float(rng.uniform(40, 220)), -1, cv2.LINE_AA)
    flakes = np.asarray(cv2.GaussianBlur(flakes, (0, 0), rng.uniform(0.4, 1.2)), np.uint8)
    return _falling(rng, flakes, rng.uniform([1, -3], [9, 3]))


def _falling(rng: Rng, drops: Image, velocity: npt.NDArray[np.float64] | None) -> Effect:
    """Bright drops over the scene, at other places each time, or on their way down."""
    seed = int(rng.integers(1 << 31))

    def act(canvas: Image, time: int) -> Image:
        shift = rng_at(seed, time).integers(0, 1000, 2) if velocity is None else (velocity * time).astype(int)
        return np.asarray(cv2.add(canvas, cv2.merge([np.roll(drops, tuple(shift), (0, 1))] * 3)), np.uint8)

    return act


LENGTH = 150
"""Frames of a video that is made from another one."""

PLATE_LENGTH = 240
"""Frames of a video over a dynamic background."""

GUST = 60
"""Frames for which branches sway that come to rest."""


def development_scenes(root: Path) -> dict[str, list[Video]]:
    """All scenes by group.

    Args:
        root: folder that holds ``foreground/cdnet2014``, ``foreground/wallflower``, ``foreground/sbi2015``,
            ``foreground/ucsd_motion``, ``vos/davis2016_240p``, ``static_more/images``.
    """
    baseline = read_videos(root / "foreground/cdnet2014", ["baseline/highway", "baseline/office"])
    highway, office = baseline
    wallflower = root / "foreground/wallflower"
    cut_outs = unseen_cut_outs(root)
    dynamic = [labelled_frame(wallflower / name) for name in ("WavingTrees", "Camouflage")]
    dynamic += [
        pasted(f"{name}, pasted", images(wallflower / name / "input", last), cut_outs, seed)
        for seed, (name, last) in enumerate((("WavingTrees", 240), ("Camouflage", 238)))
    ]
    dynamic += [
        altered(highway, "waved", _strong_waves, 1),
        altered(office, "leaves", dynamic_background.foliage, 2),
        altered(highway, "rain", rain, 3),
        altered(office, "water", water, 4),
    ]
    return {
        "baseline": baseline,
        "shaken": [shaken(video) for video in baseline],
        "dynamic background": dynamic,
        "shadow": [
            altered(highway, "shadows of trees", dynamic_background.tree_shade, 5),
            altered(office, "shadows of trees", dynamic_background.tree_shade, 6),
            altered(highway, "stray shadow", stray_shadow, 7),
        ],
        "light": [
            altered(highway, "dusk", _dusk, 8),
            altered(office, "dimming", _dimming, 9),
            altered(office, "flicker", flicker, 10),
            altered(highway, "clouds", passing_cloud, 11),
        ],
        "hand-held": [
            hand_held(highway, 1, LENGTH),
            hand_held(office, 2, LENGTH),
            hand_held(altered(office, "leaves", dynamic_background.foliage, 12), 3, LENGTH),
        ],
        "dim": [
            changed(highway, "fog", fog, LENGTH),
            changed(reduced_to(highway, 0.4), "haze", haze, LENGTH),
            changed(office, "infrared", infrared, LENGTH),
            changed(highway, "night", night, LENGTH),
        ],
        "weather": [
            altered(highway, "snow", snow, 13),
            altered(
                changed(highway, "dark", night, LENGTH),
                "headlights",
                headlights,
                14,
            ),
            altered(office, "insects", insects, 15),
            altered(highway, "branches", branches, 16),
        ],
        "objects at start": sbi_videos(root / "foreground/sbi2015"),
        "moving": moving_videos(root / "foreground/ucsd_motion"),
        "whole image": whole_image_videos(root / "static_more/images", cut_outs),
    }


UNLIT = ("HighwayI", "Board", "Foliage")
"""Videos of SBI2015 that are made dark for headlights, by which nothing was chosen."""


def empty_scenes(root: Path) -> list[Video]:
    """Scenes without anybody, in which all that is foreground is wrong."""
    videos = read_videos(root / "foreground/cdnet2014", ["baseline/highway", "baseline/office"])
    highway, office = (empty_scene(video) for video in videos)
    length = EMPTY_LENGTH
    others = {video.name: empty_scene(video) for video in sbi_videos(root / "foreground/sbi2015")}
    dark = [changed(video, "dark", night, length) for video in (office, *(others[name] for name in UNLIT))]
    return [
        *(altered(video, "headlights", headlights, 60 + i, length) for i, video in enumerate(dark)),
        altered(highway, "rain", rain, 21, length),
        altered(office, "snow", snow, 22, length),
        altered(
            changed(highway, "dark", night, length),
            "headlights",
            headlights,
            23,
            length,
        ),
        altered(office, "insects", insects, 24, length),
        altered(highway, "waved", _strong_waves, 25, length),
        altered(office, "branches", branches, 26, length),
        altered(highway, "branches at rest", _branches_at_rest, 50, length),
        changed(highway, "night", night, length),
        hand_held(highway, 27, length),
        hand_held(office, 28, length),
    ]


RENDERED = ("--frames", "600", "--clip", "100", "--size", "320x240", "--still", "--seed", "97")
"""Options of ``segue synth isd`` for rendered rooms: six of them."""


def rendered_scenes(folder: Path, options: Sequence[str] = RENDERED) -> dict[str, list[Video]]:
    """Rendered rooms, which are made when the folder does not hold them yet.

    Raises:
        CalledProcessError: they could not be rendered; what the command wrote is shown.
    """
    if not (folder / INDEX).exists():
        command = [sys.executable, "-m", "segue", "synth", "isd", str(folder), *options]
        subprocess.run(command, check=True, stdout=sys.stderr)
    return {"rendered": [video_of(video) for video in open_isd(folder)]}


def held_out_scenes(root: Path) -> dict[str, list[Video]]:
    """Scenes that are looked at once, when weights have been chosen: their images were never trained on.

    Three with pasted objects, and the sequences of DAVIS val at 240p, whose cameras move after the object.
    """
    davis = root / "vos/davis2016_360p_train"
    videos = []
    for seed, (name, part) in enumerate(HELD_OUT.items(), start=40):
        plate = [reduced(image)[part] for image in images(davis / "JPEGImages" / name, 10_000)]
        masks = sorted((davis / "Annotations" / name).glob("*.png"))
        own = [cv2.resize(read_stored_mask(path, str(path)), (427, 240))[part] > 0 for path in masks]
        videos.append(pasted(f"{name}, pasted", plate, unseen_cut_outs(root), seed, own))
    val = DavisFolder(root / "vos/davis2016_240p")
    moving = [sequence_of_davis(val, name) for name in val.names if name in DAVIS_VAL]
    return {"held out": videos, "held out, camera moves": moving}


def sequence_of_davis(folder: DavisFolder, name: str) -> Video:
    """A sequence of DAVIS, all of whose objects are foreground."""
    sequence = folder[name]

    def shots() -> Iterator[Shot]:
        for index in range(len(sequence)):
            image, mask = sequence.read_image(index), sequence.read_mask(index)
            yield image, np.where(mask > 0, np.uint8(MOTION), np.uint8(STATIC))

    return Video(name, np.ones(sequence.read_image(0).shape[:2], bool), shots)


HELD_OUT = {
    "mallard-water": (slice(0, 240), slice(0, 320)),
    "boat": (slice(0, 240), slice(60, 380)),
    "swing": (slice(0, 240), slice(0, 320)),
}
"""Sequences of DAVIS, none of which is trained on, and what is shown of them at 427x240."""


def reduced(image: Image) -> Image:
    return np.asarray(cv2.resize(image, (427, 240), interpolation=cv2.INTER_AREA), np.uint8)


def labelled_frame(folder: Path) -> Video:
    """A video of Wallflower, of which one frame is labelled."""
    (truth,) = (folder / "groundtruth").glob("gt*.png")
    labels = np.asarray(cv2.imread(str(truth), cv2.IMREAD_GRAYSCALE), np.uint8)
    last = int(truth.stem.removeprefix("gt"))

    def shots() -> Iterator[Shot]:
        for index, image in enumerate(images(folder / "input", last + 1)):
            yield image, labels if index == last else None

    return Video(folder.name, np.ones(labels.shape, bool), shots)


def images(folder: Path, last: int) -> list[Image]:
    """Images of a folder whose number lies below ``last``, in order."""
    paths = sorted(folder.glob("*.jpg"))
    return [read_image(path) for path in paths if int(path.stem.removeprefix("in")) < last]


def unseen_cut_outs(root: Path) -> list[CutOut]:
    """Movers that no training uses: the objects of DAVIS val."""
    folder = root / "vos/davis2016_240p"
    trained = [video.name for video in DavisFolder(folder) if video.name not in DAVIS_VAL]
    return cut_outs_of_videos(
        gather([str(folder)], exclude=trained, include_val=True, report=lambda _: None).videos
    )


def altered(
    video: Video, what: str, make: Callable[[Rng, Size], Effect], seed: int, length: int = LENGTH
) -> Video:
    """The first frames of a video with an effect on all that is no foreground."""

    def shots() -> Iterator[Shot]:
        effect: Effect | None = None
        for index, (image, labels) in enumerate(video.shots()):
            if index == length:
                return
            if effect is None:
                effect = make(np.random.default_rng(seed), (image.shape[0], image.shape[1]))
            acted = effect(image.copy(), index)
            if labels is None or make in LIGHTS:
                yield acted, labels
                continue
            still = cv2.GaussianBlur((labels > STATIC).astype(np.float32), (0, 0), 1.0)[..., None]
            yield np.asarray(image * still + acted * (1 - still), np.uint8), labels

    return Video(f"{video.name}, {what}", video.roi, shots)


def pasted(
    name: str,
    plate: Sequence[Image],
    cut_outs: Sequence[CutOut],
    seed: int,
    own: Sequence[npt.NDArray[np.bool_]] | None = None,
) -> Video:
    """Movers over a dynamic background, which is shown forwards and backwards in turn.

    Args:
        own: where something moves by itself in the images of the plate; its label is unknown.
    """
    size = plate[0].shape[0], plate[0].shape[1]

    def shots() -> Iterator[Shot]:
        rng = np.random.default_rng(seed)
        canvas = size[0] + 2 * MARGIN, size[1] + 2 * MARGIN
        wide = [cv2.copyMakeBorder(p, *(MARGIN,) * 4, cv2.BORDER_REFLECT_101) for p in plate]
        still = Camera(0.0, np.zeros((3, 2)), np.zeros((3, 2)), 0)
        clip = Clip(
            plate=np.asarray(wide[0], np.uint8),
            effects=[lambda _, time: np.asarray(wide[_there_and_back(time, len(wide))], np.uint8)],
            movers=[
                draw_mover(rng, cut_outs, canvas).passing(time) for time in rng.uniform(25, PLATE_LENGTH, 9)
            ],
            light=Light((1.0, 1.0, 1.0), -1000, 0.0, 1.0),
            camera=still,
            sensor=Sensor(0.5, 1.0, np.arange(256, dtype=np.uint8), False, None, 0),
            sun=Sun(0.5, 0.3, 0.3, 0.4, 1.5),
            unlit=False,
            noise=scenery.noise_stock(count=1 << 20),
        )
        for time in range(PLATE_LENGTH):
            frame, labels = clip.frame_with_labels(time)
            if own is not None:
                labels[own[_there_and_back(time, len(own))] & (labels != MOTION)] = UNKNOWN
            yield frame, labels

    return Video(name, np.ones(size, bool), shots)


def _there_and_back(time: int, count: int) -> int:
    place = time % (2 * count - 2)
    return min(place, 2 * count - 2 - place)


def _strong_waves(rng: Rng, size: Size) -> Effect:
    """Waves of three pixels over half of the image."""
    sway = dynamic_background.swaying(rng, size, 8, 3 * scenery.blob(rng, size, 0.5))

    def act(canvas: Image, time: int) -> Image:
        return np.asarray(sway(canvas, time), np.uint8)

    return act


def _branches_at_rest(rng: Rng, size: Size) -> Effect:
    """The same in a gust of :data:`GUST` frames, after which they only tremble where they are."""
    sway = branches(rng, size)

    def act(canvas: Image, time: int) -> Image:
        # An effect is a smooth function of time, which need not be a whole number.
        moment: Any = time if time < GUST else GUST + 0.15 * np.sin(0.9 * time)
        return sway(canvas, moment)

    return act


def _dusk(rng: Rng, size: Size) -> Effect:
    """A third of the light, and the noise that comes with it."""

    def act(canvas: Image, time: int) -> Image:
        noise: npt.NDArray[np.float32] = np.random.default_rng([8, time]).standard_normal(
            canvas.shape, np.float32
        )
        return np.asarray(np.clip(canvas * 0.3 + 3 * noise, 0, 255), np.uint8)

    return act


def _dimming(rng: Rng, size: Size) -> Effect:
    """Light that goes down to half over the video."""

    def act(canvas: Image, time: int) -> Image:
        return np.asarray(canvas * (1 - 0.5 * time / LENGTH), np.uint8)

    return act


LIGHTS = frozenset(
    {
        _dusk,
        _dimming,
        flicker,
        passing_cloud,
        rain,
        snow,
    }
    | {headlights, insects}
)
"""What acts on movers as well."""
