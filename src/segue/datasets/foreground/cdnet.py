"""CDnet2014 (changedetection.net): its videos, training frames and folds.

Wang et al., "CDnet 2014: An Expanded Change Detection Benchmark Dataset", CVPR Workshops 2014. Layout, with
or without the level ``dataset``::

    dataset/<category>/<video>/input/in000001.jpg ...        numbers from 1
    dataset/<category>/<video>/groundtruth/gt000001.png ...
    dataset/<category>/<video>/ROI.bmp
    dataset/<category>/<video>/temporalROI.txt               first and last frame that count

The synthetic clips of this project have the same layout.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from segue.datasets.files import subfolders
from segue.datasets.foreground.folder import (
    ForegroundFolder,
    ForegroundSequence,
    VideoLayout,
    read_video,
    video_folders,
)
from segue.errors import DatasetError
from segue.utils.cache import ASSETS
from segue.utils.inputs import user_path
from segue.utils.json_files import read_json

_VIDEOS = {
    "baseline": "highway office pedestrians PETS2006",
    "cameraJitter": "badminton boulevard sidewalk traffic",
    "badWeather": "blizzard skating snowFall wetSnow",
    "dynamicBackground": "boats canoe fall fountain01 fountain02 overpass",
    "intermittentObjectMotion": "abandonedBox parking sofa streetLight tramstop winterDriveway",
    "lowFramerate": "port_0_17fps tramCrossroad_1fps tunnelExit_0_35fps turnpike_0_5fps",
    "nightVideos": "bridgeEntry busyBoulvard fluidHighway streetCornerAtNight tramStation winterStreet",
    "PTZ": "continuousPan intermittentPan twoPositionPTZCam zoomInZoomOut",
    "shadow": "backdoor bungalows busStation copyMachine cubicle peopleInShade",
    "thermal": "corridor diningRoom lakeSide library park",
    "turbulence": "turbulence0 turbulence1 turbulence2 turbulence3",
}

VIDEOS: Mapping[str, Sequence[str]] = {category: names.split() for category, names in _VIDEOS.items()}
"""The 53 videos by category."""

VIDEO_KEYS = tuple(f"{category}/{name}" for category, names in VIDEOS.items() for name in names)

FOLDS = 4
"""Parts of the protocol ``cdnet-unseen``."""


def open_cdnet(root: Path | str) -> ForegroundFolder:
    """Open CDnet2014, or any folder in its layout.

    Args:
        root: folder of the categories, or the folder above it that holds them in ``dataset``.

    Returns:
        Videos by ``category/video``, in natural order.

    Raises:
        DatasetError: a video lacks one of its files, a file does not fit, or there is no video.
    """
    root = user_path(root)
    return ForegroundFolder(_top(root), (_read_video(folder) for _, folder in _find_videos(root)))


def _top(root: Path) -> Path:
    return root / "dataset" if (root / "dataset").is_dir() else root


def _find_videos(root: Path) -> Iterator[tuple[str, Path]]:
    for category in subfolders(_top(root)):
        for folder in video_folders(category):
            yield f"{category.name}/{folder.name}", folder


def _read_video(folder: Path) -> ForegroundSequence:
    category = folder.parent.name
    for name in ("ROI.bmp", "temporalROI.txt"):
        if not (folder / name).is_file():
            raise DatasetError(f"video {category}/{folder.name}: {folder / name} is missing")
    return read_video(folder, category)


CDNET = VideoLayout(_find_videos, _read_video)


PUBLISHED = "published"
"""Name of the bundled lists of training frames."""


def read_training_frames(path: Path | str, count: int) -> Mapping[str, frozenset[int]]:
    """Numbers of the frames that the protocol ``cdnet-scene`` trains on, by ``category/video``."""
    file = ASSETS / "cdnet_training_frames.json" if str(path) == PUBLISHED else user_path(path)
    lists = read_json(dict[str, dict[str, dict[str, list[int]]]], file, "list of training frames")
    frames = {}
    for category, videos in lists.items():
        for video, choices in videos.items():
            if str(count) not in choices:
                raise DatasetError(f"{path}: {category}/{video} has no list of {count} frames")
            frames[f"{category}/{video}"] = frozenset(choices[str(count)])
    return frames


def only_frames(video: ForegroundSequence, path: Path | str, count: int) -> ForegroundSequence:
    """A video with labels on a list of frames only; see :func:`read_training_frames`."""
    lists = read_training_frames(path, count)
    if video.key not in lists:
        raise DatasetError(f"{path}: no list for {video.key}")
    truths = {number: label for number, label in video.truths.items() if number in lists[video.key]}
    if not truths:
        raise DatasetError(f"{video.key}: none of the {count} frames of the list {path} is labelled here")
    return replace(video, truths=truths)


def unseen_folds() -> Mapping[str, int]:
    """Fold (0 to 3) of each ``category/video`` in the protocol ``cdnet-unseen``."""
    return read_json(dict[str, int], ASSETS / "cdnet_unseen_folds.json", "list of folds")
