"""LASIESTA: fully labelled indoor and outdoor videos, 352x288.

Cuevas et al., "Labeled dataset for integral evaluation of moving object detection algorithms: LASIESTA",
CVIU 2016. Layout, at any of the upper levels of the root::

    I_SI_01/I_SI_01-1.bmp ...
    I_SI_01-GT/I_SI_01-GT_1.png ...      also I_SI_01_GT; beside the pictures' folder or in it
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from segue.datasets.foreground import ForegroundFolder, ForegroundSequence, numbered_files, subfolders
from segue.datasets.labels import LasiestaLabels, StaticAs
from segue.naming import natural_key

STATIC_CAMERA = ("I_SI", "I_CA", "I_OC", "I_IL", "I_MB", "I_BS", "O_CL", "O_RA", "O_SN", "O_SU")
"""The ten categories of published tables; the camera stands still."""

MOVING_CAMERA = ("I_MC", "I_SM", "O_MC", "O_SM")
"""Categories with camera motion, real (MC) or simulated (SM)."""

VIDEOS: Mapping[str, tuple[str, ...]] = {
    category: tuple(f"{category}_{i + 1:02d}" for i in range(12 if category.endswith("SM") else 2))
    for category in (*STATIC_CAMERA, *MOVING_CAMERA)
}
"""The 48 videos by category."""

LEVELS = 3
"""Levels of folders that are searched for videos."""

_NAME = re.compile(r"[IO]_[A-Z]{2}_[0-9]{2}")
_PICTURES = frozenset({".bmp", ".png", ".jpg"})


def open_lasiesta(root: Path | str, static_as: StaticAs = "foreground") -> ForegroundFolder:
    """Open LASIESTA.

    Args:
        root: folder of the videos.
        static_as: what a moving object that stays still counts as.

    Raises:
        DatasetError: a video lacks its labels or is there twice, a file does not fit, or there is no video.
    """
    root = Path(root)
    decode = LasiestaLabels(static_as)
    folders = sorted(find_videos(root), key=lambda path: natural_key(path.name))
    return ForegroundFolder(root, (read_lasiesta_video(folder, decode) for folder in folders))


def find_videos(root: Path, levels: int = LEVELS) -> Iterator[Path]:
    """Folders of pictures that have the name of a video, on at most ``levels`` levels below ``root``.

    Raises:
        DatasetError: there is no folder ``root``.
    """
    for folder in subfolders(root):
        if _NAME.fullmatch(folder.name) and any(
            path.suffix.lower() in _PICTURES for path in folder.iterdir() if not path.name.startswith(".")
        ):
            yield folder
        elif levels > 1:
            yield from find_videos(folder, levels - 1)


def read_lasiesta_video(folder: Path, decode: LasiestaLabels) -> ForegroundSequence:
    """List one video.

    Raises:
        DatasetError: its labels are missing, or a file does not fit.
    """
    names = (f"{folder.name}-GT", f"{folder.name}_GT")
    places = [parent / name for parent in (folder.parent, folder) for name in names]
    labels = next((place for place in places if place.is_dir()), places[0])
    pictures = numbered_files(folder, _PICTURES)
    return ForegroundSequence(
        folder.name,
        folder.name[:4],
        tuple(pictures.values()),
        tuple(pictures),
        numbered_files(labels, {".png"}),
        decode_labels=decode,
    )
