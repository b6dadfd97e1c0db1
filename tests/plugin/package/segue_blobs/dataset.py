"""A data set: videos in CDnet's form in a folder that holds the file ``SQUARES``."""

from __future__ import annotations

from pathlib import Path

from segue.datasets.foreground import open_plain
from segue.datasets.inventories import CheckedVideo, Inventory
from segue.registry import DatasetEntry


def fits(root: Path) -> bool:
    return (root / "SQUARES").is_file()


def inventory(root: Path) -> Inventory:
    videos = {
        video.name: CheckedVideo(video.name, len(video), len(video.labels)) for video in open_plain(root)
    }
    return Inventory({name: (lambda video=video: video) for name, video in videos.items()})


SQUARES = DatasetEntry(
    "squares",
    title="Squares",
    address="https://example.org/squares",
    licence="MIT",
    layout="SQUARES, <video>/input, <video>/groundtruth",
    fits=fits,
    list=inventory,
    films=open_plain,
)
