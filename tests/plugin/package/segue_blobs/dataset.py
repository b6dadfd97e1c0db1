"""A data set: videos in CDnet's form in a folder that holds the file ``SQUARES``."""

from __future__ import annotations

from pathlib import Path

from segue.datasets.davis import Sequence
from segue.datasets.files import ByName, subfolders
from segue.datasets.foreground.folder import open_plain
from segue.datasets.inventories import CheckedVideo, Inventory
from segue.datasets.ytvis import YTVISDataset
from segue.registry import DatasetEntry


def fits(root: Path) -> bool:
    return (root / "SQUARES").is_file()


def inventory(root: Path) -> Inventory:
    videos = {
        video.name: CheckedVideo(video.name, len(video), len(video.labels)) for video in open_plain(root)
    }
    return Inventory({name: (lambda video=video: video) for name, video in videos.items()})


class MaskVideos(ByName[Sequence]):
    """Videos in a layout of our own: VIDEO/images/*.png and VIDEO/masks/*.png."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._videos = {}
        for folder in subfolders(root):
            frames = tuple(sorted((folder / "images").glob("*.png")))
            masks = {i: folder / "masks" / path.name for i, path in enumerate(frames)}
            self._videos[folder.name] = Sequence(folder.name, frames, masks)


OUTLINES = DatasetEntry(
    "outlines",
    title="Outlines",
    address="https://example.org/outlines",
    licence="MIT",
    layout="<video>/images, <video>/masks",
    masks=MaskVideos,
)

CLIPS = DatasetEntry(
    "clips",
    title="Clips",
    address="https://example.org/clips",
    licence="MIT",
    layout="<part>.json, <part>/JPEGImages",
    instances=lambda root: YTVISDataset.open(root, "train"),
)

SQUARES = DatasetEntry(
    "squares",
    title="Squares",
    address="https://example.org/squares",
    licence="MIT",
    layout="SQUARES, <video>/input, <video>/groundtruth",
    fits=fits,
    list=inventory,
    videos=open_plain,
)
