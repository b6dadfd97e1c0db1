"""Training data of foreground networks: labelled videos, and a pool of samples from folders."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segue.datasets.foreground.cdnet import unseen_folds
from segue.datasets.foreground.folder import ForegroundSequence
from segue.errors import DatasetError
from segue.utils.naming import first_few
from segue_train.data.cut_outs import cut_outs_of_stills, cut_outs_of_videos
from segue_train.data.footage import Material, gather, named_data, with_layout
from segue_train.data.foreground.clips import ClipMaker, scenes_of
from segue_train.data.foreground.pool import Maker, Pool, fill
from segue_train.data.foreground.session_samples import (
    ArtificialFilms,
    MovingFilms,
    SessionSamples,
    weights_digest,
)
from segue_train.data.foreground.textures import textures_of
from segue_train.data.foreground.videos import FARTHEST, MovingCameras, StillCameras

# How often a mover is cut out of a video, which has limbs that move, against one of a still image.
VIDEO_WEIGHT = 6
MOVING_SHARE = 0.1  # samples of videos of moving cameras for each sample of an artificial clip
MOVING_SESSIONS = 0.5  # the same of sessions
STILL_SHARE = 0.25  # most samples of videos of still cameras for each sample of an artificial clip
SAMPLES_A_FRAME = 6  # most samples for each labelled frame of a still camera

_LAYOUT = re.compile(r"[\w-]+=.+", re.DOTALL)


StillVideos = Mapping[bool, Sequence[ForegroundSequence]]
"""Videos of still cameras, by whether their labels tell shadows."""


def gather_foreground(
    folders: Iterable[str],
    *,
    exclude: Collection[str] = (),
    include_val: bool = False,
    report: Callable[[str], None],
) -> tuple[Material, StillVideos]:
    """List footage of folders, and videos of static cameras in data sets (``LAYOUT=FOLDER``)."""
    folders = [with_layout(text, "videos") for text in folders]
    plain = [text for text in folders if not _LAYOUT.fullmatch(text)]
    videos: dict[bool, list[ForegroundSequence]] = {True: [], False: []}
    rest = set(exclude)
    for entry, opened in (named_data(text, "videos") for text in folders if text not in plain):
        videos[entry.shadows] += [video for video in opened if video.name not in exclude]
        rest -= {video.name for video in opened}
    return gather(plain, exclude=rest, include_val=include_val, report=report), videos


def fill_pool(
    folder: Path,
    footage: Material,
    still_cameras: StillVideos,
    offsets: Sequence[int],
    size: tuple[int, int],
    *,
    samples: int,
    seed: int,
    workers: int,
    report: Callable[[str], None],
    sessions: Sequence[Path] = (),
    sway: bool = False,
) -> Pool:
    """Fill a pool with samples of ``size`` (H, W), see :func:`~segue_train.data.foreground.pool.fill`.

    With weights for ``sessions`` as many again are drawn from sessions: of artificial films, and half as many
    of videos of moving cameras. With ``sway`` parts of videos of moving cameras, brought to rest, sway in
    most clips, in half of them before what passes, too.
    """
    makers: list[tuple[Maker, int]] = []
    if samples:
        cut_outs = cut_outs_of_stills(footage.stills) + cut_outs_of_videos(footage.videos) * VIDEO_WEIGHT
        scenes = scenes_of([*footage.stills, *footage.videos])
        long = [video for video in footage.videos if len(video) > FARTHEST + max(0, *offsets)]
        clips = ClipMaker(cut_outs, scenes, offsets, size, textures_of(long) if sway else ())
        makers.append((clips, samples))
        if long:
            makers.append((MovingCameras(long, offsets, size), round(MOVING_SHARE * samples)))
        if sessions:
            makers.append((SessionSamples(ArtificialFilms(clips), sessions, size), samples))
        if sessions and long:
            films = MovingFilms(long, size)
            makers.append((SessionSamples(films, sessions, size), round(MOVING_SESSIONS * samples)))
    for shadows, videos in still_cameras.items():
        if videos:
            frames = sum(len(video.labels) for video in videos)
            max_samples = round(STILL_SHARE * samples) if samples else frames * SAMPLES_A_FRAME
            count = min(max_samples, frames * SAMPLES_A_FRAME)
            makers.append((StillCameras(videos, offsets, size, shadows=shadows), count))
    if not makers:
        raise DatasetError("nothing to draw samples from; see --data")
    names = [item.name for item in (*footage.stills, *footage.videos)]
    names += [video.key for videos in still_cameras.values() for video in videos]
    settings = {"offsets": list(offsets), "size": list(size), "samples": samples, "data": names}
    if sway:
        settings |= {"sway": True, "occluders": True}
    if sessions:
        # By content: weights that are trained further stand under the same name.
        settings["sessions"] = [weights_digest(path) for path in sessions]
    return fill(folder, makers, seed, workers, settings, report)


@dataclass(slots=True)
class ForegroundVideos:
    """Videos of a training, and held-out scenes."""

    real: list[ForegroundSequence] = field(default_factory=list)
    rendered: list[ForegroundSequence] = field(default_factory=list)
    held_out: list[ForegroundSequence] = field(default_factory=list)


def gather_videos(
    folders: Iterable[str], *, exclude: Collection[str] = (), fold: int | None = None
) -> ForegroundVideos:
    """List the videos of ``LAYOUT=FOLDER``, including a data set with videos."""
    videos, unknown, folds = ForegroundVideos(), set(exclude), unseen_folds()
    for text in folders:
        entry, opened = named_data(with_layout(text, "videos"), "videos")
        for video in opened:
            names = {video.key, video.name, video.category}
            if not names.isdisjoint(exclude) or (fold is not None and folds.get(video.key) == fold):
                videos.held_out.append(video)
                unknown -= names
            else:
                (videos.rendered if entry.rendered else videos.real).append(video)
    if unknown:
        raise DatasetError(f"no scene or category {first_few(sorted(unknown))} to leave out")
    if not (videos.real or videos.rendered):
        raise DatasetError("no videos to train on; see --data and what is left out")
    return videos
