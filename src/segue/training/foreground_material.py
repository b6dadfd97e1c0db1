"""What foreground networks are trained on, from folders to a pool of samples."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segue.datasets.cdnet import open_cdnet
from segue.datasets.foreground import ForegroundFolder, ForegroundSequence
from segue.datasets.hofam import open_hofam
from segue.datasets.isd import INDEX, open_isd
from segue.datasets.lasiesta import open_lasiesta
from segue.errors import DatasetError
from segue.naming import first_few
from segue.training.cut_outs import cut_outs_of_stills, cut_outs_of_videos
from segue.training.footage import Material, gather
from segue.training.foreground_clips import ClipMaker, scenes_of
from segue.training.foreground_pool import Maker, Pool, fill
from segue.training.foreground_videos import FARTHEST, MovingCameras, StillCameras


def _open_isd(root: Path) -> ForegroundFolder:
    """The part for training of a rendered data set, or films that lie in one folder."""
    return open_isd(root / "train" if (root / INDEX).is_file() else root)


LAYOUTS: dict[str, tuple[Callable[[Path], ForegroundFolder], bool]] = {
    "cdnet": (open_cdnet, True),
    "isd": (_open_isd, True),
    "hofam": (open_hofam, False),
    "lasiesta": (open_lasiesta, False),
}
"""Films of still cameras by the name of their layout: what opens them, and whether shadows are labelled."""

VIDEO_WEIGHT = 6
"""How often a mover is cut out of a video, which has limbs that move, against one of a still image."""

MOVING_SHARE, STILL_SHARE = 0.05, 0.25
"""Samples of films of moving and, at most, of still cameras for each sample of an artificial clip."""

SAMPLES_A_FRAME = 6
"""Most samples for each labelled frame of a still camera."""

_NAMED = re.compile(rf"({'|'.join(LAYOUTS)})=(.+)")


@dataclass(slots=True)
class ForegroundMaterial:
    """All footage of a training.

    Attributes:
        footage: labelled objects, for artificial clips and as films of moving cameras.
        films: of still cameras, by whether their shadows are labelled.
    """

    footage: Material = field(default_factory=Material)
    films: dict[bool, list[ForegroundSequence]] = field(default_factory=lambda: {True: [], False: []})

    @property
    def names(self) -> set[str]:
        """Names of the films of still cameras."""
        return {film.name for films in self.films.values() for film in films}


def gather_foreground(
    folders: Iterable[str],
    *,
    exclude: Collection[str] = (),
    include_val: bool = False,
    report: Callable[[str], None],
) -> ForegroundMaterial:
    """List what folders hold.

    Args:
        folders: ``LAYOUT=FOLDER`` with a name of :data:`LAYOUTS`, or folders of videos and of still images
            with masks, see :func:`~segue.training.footage.gather`.
        exclude: names of videos to leave out.
        include_val: keep sequences of DAVIS val.
        report: told in one line what was left out.

    Raises:
        DatasetError: a folder is none of these, its files do not belong together, or a name to leave out
            does not exist.
    """
    material, plain = ForegroundMaterial(), []
    left_out = set()
    for text in folders:
        match = _NAMED.fullmatch(text)
        if match is None:
            plain.append(text)
            continue
        open_films, shadows = LAYOUTS[match[1]]
        for film in open_films(Path(match[2])):
            if film.name in exclude:
                left_out.add(film.name)
            else:
                material.films[shadows].append(film)
    rest = [name for name in exclude if name not in left_out]
    material.footage = gather(plain, exclude=rest, include_val=include_val, report=report)
    return material


def fill_pool(
    folder: Path,
    material: ForegroundMaterial,
    offsets: Sequence[int],
    size: tuple[int, int],
    *,
    samples: int,
    seed: int,
    workers: int,
    report: Callable[[str], None],
) -> Pool:
    """Draw samples into a folder; those that are there already are kept.

    Args:
        offsets: times of the frames of a window, in frames from the current one.
        size: height and width of the samples.
        samples: of artificial clips; those of films come on top.
        workers: processes that draw.

    Raises:
        DatasetError: there is nothing to draw from, or the folder holds a pool of other settings.
    """
    footage = material.footage
    makers: list[tuple[Maker, int]] = []
    if samples:
        cut_outs = cut_outs_of_stills(footage.stills) + cut_outs_of_videos(footage.videos) * VIDEO_WEIGHT
        scenes = scenes_of([*footage.stills, *footage.videos])
        makers.append((ClipMaker(cut_outs, scenes, offsets, size), samples))
    long = [video for video in footage.videos if len(video) > FARTHEST + max(0, *offsets)]
    if long and samples:
        makers.append((MovingCameras(long, offsets, size), round(MOVING_SHARE * samples)))
    for shadows, films in material.films.items():
        if films:
            frames = sum(len(film.labels) for film in films)
            most = round(STILL_SHARE * samples) if samples else frames * SAMPLES_A_FRAME
            count = min(most, frames * SAMPLES_A_FRAME)
            makers.append((StillCameras(films, offsets, size, shadows=shadows), count))
    if not makers:
        raise DatasetError("nothing to draw samples from; see --data")
    settings = {"offsets": list(offsets), "size": list(size), "samples": samples, "data": _names(material)}
    return fill(folder, makers, seed, workers, settings, report)


def refuse_trained(material: ForegroundMaterial, chosen: Iterable[str]) -> None:
    """See that no film is both trained on and validated on.

    Raises:
        DatasetError: one is.
    """
    both = sorted(material.names.intersection(chosen))
    if both:
        raise DatasetError(f"{first_few(both)}: both trained on and validated on; --exclude them")


def _names(material: ForegroundMaterial) -> list[str]:
    footage = material.footage
    listed = [item.name for item in (*footage.stills, *footage.videos)]
    return listed + [film.key for films in material.films.values() for film in films]
