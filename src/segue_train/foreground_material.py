"""What foreground networks are trained on: labelled films, and folders made into a pool of samples."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segue.datasets.cdnet import unseen_folds
from segue.datasets.foreground import ForegroundFolder, ForegroundSequence
from segue.errors import DatasetError
from segue.naming import first_few
from segue.registry import DATASETS, DatasetEntry
from segue_train.cut_outs import cut_outs_of_stills, cut_outs_of_videos
from segue_train.footage import Material, gather
from segue_train.foreground_clips import ClipMaker, scenes_of
from segue_train.foreground_pool import Maker, Pool, fill
from segue_train.foreground_videos import FARTHEST, MovingCameras, StillCameras

# How often a mover is cut out of a video, which has limbs that move, against one of a still image.
VIDEO_WEIGHT = 6
# Samples of films of moving and, at most, of still cameras for each sample of an artificial clip.
MOVING_SHARE, STILL_SHARE = 0.1, 0.25
SAMPLES_A_FRAME = 6  # most samples for each labelled frame of a still camera

_NAMED = re.compile(r"([\w-]+)=(.+)", re.DOTALL)


def films_of(text: str) -> tuple[DatasetEntry, ForegroundFolder]:
    """The data set and the films of ``LAYOUT=FOLDER``."""
    named = _NAMED.fullmatch(text)
    entry = DATASETS.find(named[1]) if named and named[1] in DATASETS else None
    if named is None or entry is None or entry.films is None:
        known = ", ".join(sorted(other.name for other in DATASETS if other.films))
        raise DatasetError(f"--data {text}: give LAYOUT=FOLDER, with LAYOUT one of {known}")
    return entry, entry.films(Path(named[2]))


@dataclass(slots=True)
class ForegroundMaterial:
    """All footage of a training: labelled objects, for artificial clips and as films of moving cameras.

    The films of still cameras stand by whether their shadows are labelled.
    """

    footage: Material
    films: dict[bool, list[ForegroundSequence]]


def gather_foreground(
    folders: Iterable[str],
    *,
    exclude: Collection[str] = (),
    include_val: bool = False,
    report: Callable[[str], None],
) -> ForegroundMaterial:
    """List what folders hold, each ``LAYOUT=FOLDER`` with a data set that has films, or as for the others."""
    plain: list[str] = []
    films: dict[bool, list[ForegroundSequence]] = {True: [], False: []}
    left_out = set()
    for text in folders:
        if not _NAMED.fullmatch(text):
            plain.append(text)
            continue
        entry, opened = films_of(text)
        for film in opened:
            if film.name in exclude:
                left_out.add(film.name)
            else:
                films[entry.shadows].append(film)
    rest = [name for name in exclude if name not in left_out]
    return ForegroundMaterial(gather(plain, exclude=rest, include_val=include_val, report=report), films)


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
    """Draw samples of ``size`` (H, W) into a folder, see :func:`~segue_train.foreground_pool.fill`.

    The times of the frames of a window are ``offsets``; the samples of films come on top of ``samples``.
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
    names = [item.name for item in (*footage.stills, *footage.videos)]
    names += [film.key for films in material.films.values() for film in films]
    settings = {"offsets": list(offsets), "size": list(size), "samples": samples, "data": names}
    return fill(folder, makers, seed, workers, settings, report)


def refuse_trained(material: ForegroundMaterial, chosen: Iterable[str]) -> None:
    """See that no film is both trained on and validated on."""
    trained = {film.name for films in material.films.values() for film in films}
    both = sorted(trained.intersection(chosen))
    if both:
        raise DatasetError(f"{first_few(both)}: both trained on and validated on; --exclude them")


@dataclass(slots=True)
class Films:
    """The films of a training, and the scenes that are kept from it, for an honest score."""

    real: list[ForegroundSequence] = field(default_factory=list)
    rendered: list[ForegroundSequence] = field(default_factory=list)
    left_out: list[ForegroundSequence] = field(default_factory=list)

    @property
    def sources(self) -> list[list[ForegroundSequence]]:
        """Films to learn from, by kind."""
        return [films for films in (self.real, self.rendered) if films]


def gather_films(folders: Iterable[str], *, exclude: Collection[str] = (), fold: int | None = None) -> Films:
    """List the films of ``LAYOUT=FOLDER``, with a data set that has films."""
    films, unknown, folds = Films(), set(exclude), unseen_folds()
    for text in folders:
        entry, opened = films_of(text)
        for film in opened:
            names = {film.key, film.name, film.category}
            if not names.isdisjoint(exclude) or (fold is not None and folds.get(film.key) == fold):
                films.left_out.append(film)
                unknown -= names
            else:
                (films.rendered if entry.rendered else films.real).append(film)
    if unknown:
        raise DatasetError(f"no scene or category {first_few(sorted(unknown))} to leave out")
    if not films.sources:
        raise DatasetError("no films to train on; see --data and what is left out")
    return films
