"""Scenes to develop foreground models on, in groups of one kind of difficulty each.

Real videos with labels; versions of them with leaves, water, rain, shadows or other light put in; and real
dynamic backgrounds with movers pasted over them, whose masks are known. Everything is drawn from fixed seeds.
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

import foreground_effects
import foreground_hard_scenes as hard
from foreground_clips import Shot, Video, read_videos, shaken, video_of
from segue.datasets.davis import DAVIS_VAL, DavisFolder
from segue.datasets.isd import INDEX, open_isd
from segue.datasets.labels import MOTION, STATIC, UNKNOWN
from segue.masks import read_stored_mask
from segue.types import Image
from segue.video.images import read_image
from segue_train import dynamic_background, scenery
from segue_train.cut_outs import CutOut, cut_outs_of_videos, draw_mover
from segue_train.footage import gather
from segue_train.foreground_clips import MARGIN, Clip, Sun
from segue_train.scenery import Camera, Effect, Light, Sensor
from segue_train.warp import Rng, Size

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
            ``foreground/ucsd_motion``, ``vos/davis2016_240p``.
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
        altered(highway, "rain", foreground_effects.rain, 3),
        altered(office, "water", foreground_effects.water, 4),
    ]
    return {
        "baseline": baseline,
        "shaken": [shaken(video) for video in baseline],
        "dynamic background": dynamic,
        "shadow": [
            altered(highway, "shadows of trees", dynamic_background.tree_shade, 5),
            altered(office, "shadows of trees", dynamic_background.tree_shade, 6),
            altered(highway, "stray shadow", foreground_effects.stray_shadow, 7),
        ],
        "light": [
            altered(highway, "dusk", _dusk, 8),
            altered(office, "dimming", _dimming, 9),
            altered(office, "flicker", foreground_effects.flicker, 10),
            altered(highway, "clouds", foreground_effects.passing_cloud, 11),
        ],
        "hand-held": [
            hard.hand_held(highway, 1, LENGTH),
            hard.hand_held(office, 2, LENGTH),
            hard.hand_held(altered(office, "leaves", dynamic_background.foliage, 12), 3, LENGTH),
        ],
        "dim": [
            hard.changed(highway, "fog", hard.fog, LENGTH),
            hard.changed(hard.reduced_to(highway, 0.4), "haze", hard.haze, LENGTH),
            hard.changed(office, "infrared", hard.infrared, LENGTH),
            hard.changed(highway, "night", hard.night, LENGTH),
        ],
        "weather": [
            altered(highway, "snow", foreground_effects.snow, 13),
            altered(
                hard.changed(highway, "dark", hard.night, LENGTH),
                "headlights",
                foreground_effects.headlights,
                14,
            ),
            altered(office, "insects", foreground_effects.insects, 15),
            altered(highway, "branches", foreground_effects.branches, 16),
        ],
        "objects at start": hard.sbi_videos(root / "foreground/sbi2015"),
        "moving": hard.moving_videos(root / "foreground/ucsd_motion"),
    }


UNLIT = ("HighwayI", "Board", "Foliage")
"""Videos of SBI2015 that are made dark for headlights, by which nothing was chosen."""


def empty_scenes(root: Path) -> list[Video]:
    """Scenes without anybody, in which all that is foreground is wrong."""
    videos = read_videos(root / "foreground/cdnet2014", ["baseline/highway", "baseline/office"])
    highway, office = (hard.empty_scene(video) for video in videos)
    length = hard.EMPTY_LENGTH
    others = {video.name: hard.empty_scene(video) for video in hard.sbi_videos(root / "foreground/sbi2015")}
    dark = [
        hard.changed(video, "dark", hard.night, length)
        for video in (office, *(others[name] for name in UNLIT))
    ]
    return [
        *(
            altered(video, "headlights", foreground_effects.headlights, 60 + i, length)
            for i, video in enumerate(dark)
        ),
        altered(highway, "rain", foreground_effects.rain, 21, length),
        altered(office, "snow", foreground_effects.snow, 22, length),
        altered(
            hard.changed(highway, "dark", hard.night, length),
            "headlights",
            foreground_effects.headlights,
            23,
            length,
        ),
        altered(office, "insects", foreground_effects.insects, 24, length),
        altered(highway, "waved", _strong_waves, 25, length),
        altered(office, "branches", foreground_effects.branches, 26, length),
        altered(highway, "branches at rest", _branches_at_rest, 50, length),
        hard.changed(highway, "night", hard.night, length),
        hard.hand_held(highway, 27, length),
        hard.hand_held(office, 28, length),
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
    """Scenes that are looked at once, when weights have been chosen: their images were never trained on."""
    davis = root / "vos/davis2016_360p_train"
    videos = []
    for seed, (name, part) in enumerate(HELD_OUT.items(), start=40):
        plate = [reduced(image)[part] for image in images(davis / "JPEGImages" / name, 10_000)]
        masks = sorted((davis / "Annotations" / name).glob("*.png"))
        own = [cv2.resize(read_stored_mask(path, str(path)), (427, 240))[part] > 0 for path in masks]
        videos.append(pasted(f"{name}, pasted", plate, unseen_cut_outs(root), seed, own))
    return {"held out": videos}


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
            changed = effect(image.copy(), index)
            if labels is None or make in LIGHTS:
                yield changed, labels
                continue
            still = cv2.GaussianBlur((labels > STATIC).astype(np.float32), (0, 0), 1.0)[..., None]
            yield np.asarray(image * still + changed * (1 - still), np.uint8), labels

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
    branches = foreground_effects.branches(rng, size)

    def act(canvas: Image, time: int) -> Image:
        # An effect is a smooth function of time, which need not be a whole number.
        moment: Any = time if time < GUST else GUST + 0.15 * np.sin(0.9 * time)
        return branches(canvas, moment)

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
        foreground_effects.flicker,
        foreground_effects.passing_cloud,
        foreground_effects.rain,
        foreground_effects.snow,
    }
    | {foreground_effects.headlights, foreground_effects.insects}
)
"""What acts on movers as well."""
