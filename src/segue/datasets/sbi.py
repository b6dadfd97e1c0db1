"""SBI2015 (Scene Background Initialization) with the foreground masks that were made for it later.

Maddalena and Petrosino, "Towards Benchmarking Scene Background Initialization", ICIAP Workshops 2015; masks
by Lim and Keles, "Learning multi-scale features for foreground segmentation", 2020. Layout::

    <scene>/input/in000001.png or <scene>_000001.png ...     CAVIAR2 and Foliage: .jpg
    <scene>/groundtruth/gt000001.png ...                     or <masks>/<scene>/gt000001.png

A name may end in ``_a``, as in the mask package; frames may be missing.
"""

from __future__ import annotations

from pathlib import Path

from segue.datasets.foreground import ForegroundFolder, ForegroundSequence, numbered_files, subfolders
from segue.datasets.labels import read_sbi_labels

VIDEOS = (
    "Board",
    "Candela_m1.10",
    "CAVIAR1",
    "CAVIAR2",
    "CaVignal",
    "Foliage",
    "HallAndMonitor",
    "HighwayI",
    "HighwayII",
    "HumanBody2",
    "IBMtest2",
    "PeopleAndFoliage",
    "Toscana",
    "Snellen",
)
"""The 14 videos."""


def open_sbi(root: Path | str, masks: Path | str | None = None) -> ForegroundFolder:
    """Open SBI2015; folders with other names than those of its videos are passed over.

    Args:
        root: folder of the videos.
        masks: folder with one folder of masks for each video; default: ``groundtruth`` beside ``input``.

    Raises:
        DatasetError: a video lacks its pictures or masks or is there twice, a file does not fit, or there is
            no video.
    """
    root = Path(root)
    mask_folders = {} if masks is None else {scene_name(path): path for path in subfolders(Path(masks))}
    folders = sorted(
        (path for path in subfolders(root) if scene_name(path) in VIDEOS),
        key=lambda path: VIDEOS.index(scene_name(path)),
    )
    return ForegroundFolder(
        root,
        (read_sbi_video(path, mask_folders.get(scene_name(path), path / "groundtruth")) for path in folders),
    )


def scene_name(folder: Path) -> str:
    """Name of the video in a folder."""
    return folder.name.removesuffix("_a")


def read_sbi_video(folder: Path, masks: Path) -> ForegroundSequence:
    """List one video.

    Raises:
        DatasetError: pictures or masks are missing, or a file does not fit.
    """
    pictures = numbered_files(folder / "input")
    return ForegroundSequence(
        scene_name(folder),
        "",
        tuple(pictures.values()),
        tuple(pictures),
        numbered_files(masks),
        decode_labels=read_sbi_labels,
    )
