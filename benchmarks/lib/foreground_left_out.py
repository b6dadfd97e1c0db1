"""Scenes in which real textures move, by source: those of a third of the videos are left out of all choices.

The textures are parts of videos of DAVIS train at rest (:mod:`segue_train.data.foreground.textures`), which
sway before or instead of the median of a film of a fixed camera; objects of other videos pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from benchmarks.lib.foreground_clips import Shot, Video, read_videos, sbi_videos
from benchmarks.lib.foreground_scenes import unseen_cut_outs
from benchmarks.lib.foreground_swaying import fixed_camera_clip, median_of_film
from segue.types import Image
from segue_train.data.cut_outs import CutOut, Mover, cut_outs_of_videos, draw_mover
from segue_train.data.footage import Footage, gather
from segue_train.data.foreground.textures import Texture, swaying_texture, textures_of
from segue_train.data.warp import Rng, Size

LEFT_OUT = (
    "boat",
    "car-turn",
    "drift-turn",
    "hike",
    "kite-walk",
    "mallard-water",
    "paragliding",
    "scooter-gray",
    "surf",
    "train",
)
"""Videos of DAVIS train whose textures decide at the end and are used for nothing else."""

LENGTH, LABELLED = 450, 220
"""Frames of a film, and the first of them that counts."""

PLATES = {True: ("office", "Board"), False: ("highway", "HighwayI")}
"""Films whose medians are the scenes of the films that are left out, and of the others."""


def real_swaying_scenes(root: Path, davis: Path) -> dict[str, list[Video]]:
    """A film for each video of DAVIS train that has a texture: for choices, and those that are left out.

    Args:
        root: the folder that ``foreground_scenes`` reads.
        davis: videos of DAVIS train in its layout, every frame; to find their textures takes minutes.
    """
    footage = gather([str(davis)], report=lambda _: None).videos
    films = read_videos(root / "foreground/cdnet2014", ["baseline/highway", "baseline/office"])
    films += sbi_videos(root / "foreground/sbi2015")
    medians = {film.name.rpartition("/")[2]: film for film in films}
    groups: dict[str, list[Video]] = {}
    for group, left_out in (("real textures", False), ("real textures, left out", True)):
        chosen = [video for video in footage if (video.name in LEFT_OUT) == left_out]
        plates = [cache(partial(median_of_film, medians[name])) for name in PLATES[left_out]]
        cut_outs = unseen_cut_outs(root) if left_out else cut_outs_of_videos(chosen)
        groups[group] = [
            _film(video, plates[number % len(plates)], textures, cut_outs, 700 + number)
            for number, video in enumerate(chosen)
            if (textures := textures_of([video]))
        ]
    return groups


def _film(
    video: Footage,
    plate: Callable[[], Image],
    textures: Sequence[Texture],
    cut_outs: Sequence[CutOut],
    seed: int,
) -> Video:
    def shots() -> Iterator[Shot]:
        return swaying_film(plate(), textures, cut_outs, seed)

    return Video(f"{video.name} sways", np.ones((240, 320), bool), shots)


def swaying_film(
    plate: Image, textures: Sequence[Texture], cut_outs: Sequence[CutOut], seed: int
) -> Iterator[Shot]:
    """Frames and labels of a film; in every second one somebody comes and stays."""
    clip = fixed_camera_clip(
        plate,
        lambda rng, size: [swaying_texture(rng, size, textures) for _ in range(3)],
        lambda rng, size: movers(rng, cut_outs, size, stays=seed % 2 == 1),
        seed,
    )
    for time in range(LENGTH):
        frame, labels = clip.frame_with_labels(time)
        yield frame, labels if time >= LABELLED else None


def movers(rng: Rng, cut_outs: Sequence[CutOut], size: Size, *, stays: bool) -> list[Mover]:
    """Objects that pass, and one that comes and stays."""
    passing = [
        draw_mover(rng, cut_outs, size, heights=(18, 150)).passing(time)
        for time in rng.uniform(0, LENGTH, 20)
    ]
    if stays:
        passing[0] = replace(passing[0], stop=float(rng.uniform(0.3, 0.7) * LENGTH))
    return passing
