"""Check which parts of a data set a folder contains; nothing is downloaded or changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from segue.datasets import inventories, stills
from segue.datasets.cdnet import CDNET, open_cdnet
from segue.datasets.foreground import ForegroundFolder
from segue.datasets.foreground_sets import LASIESTA, LIMU, SBI, is_hofam, open_hofam, open_lasiesta
from segue.datasets.inventories import CheckedVideo, Inventory, list_videos
from segue.datasets.isd import INDEX, open_isd
from segue.datasets.something import SomethingElseFolder
from segue.datasets.ytvis import CocoImages, YTVISDataset
from segue.errors import DatasetError
from segue.inputs import user_path
from segue.registry import DATASETS, DatasetEntry


def _isd_videos(root: Path) -> ForegroundFolder:
    return open_isd(root / "train" if (root / INDEX).is_file() else root)


def _training_part(root: Path) -> YTVISDataset:
    return YTVISDataset.open(root, "train")


# The first layout that fits a folder is taken; synthetic scenes also have annotations like YouTube-VIS.
ENTRIES = (
    DatasetEntry(
        "isd",
        "synthetic scenes of segue (ISD)",
        "made by `segue synth`",
        "yours",
        "index.csv, <split>/<scene>/input, groundtruth, ROI.bmp, temporalROI.txt",
        inventories.is_isd,
        inventories.list_isd,
        videos=_isd_videos,
        shadows=True,
        rendered=True,
        instances=_training_part,
    ),
    DatasetEntry(
        "ytvos",
        "YouTube-VOS",
        "https://youtube-vos.org/dataset/vos/",
        "terms on its page; registration needed",
        "<part>/meta.json, <part>/JPEGImages/<video>, <part>/Annotations/<video>",
        inventories.is_ytvos,
        inventories.list_ytvos,
    ),
    DatasetEntry(
        "ovis",
        "OVIS",
        "https://songbai.site/ovis/",
        "terms on its page",
        "annotations_<split>.json, <split>/<video>, in a folder named ovis",
        inventories.is_ovis,
        inventories.list_ytvis,
        instances=_training_part,
    ),
    DatasetEntry(
        "ytvis",
        "YouTube-VIS",
        "https://youtube-vos.org/dataset/vis/",
        "terms on its page; registration needed",
        "<split>.json or <split>/instances.json, <split>/JPEGImages/<video>",
        inventories.is_ytvis,
        inventories.list_ytvis,
        instances=_training_part,
    ),
    DatasetEntry(
        "voc",
        "PASCAL VOC 2012",
        "http://host.robots.ox.ac.uk/pascal/VOC",
        "terms on its page",
        "JPEGImages/<name>.jpg, SegmentationObject/<name>.png",
        lambda root: (root / "SegmentationObject").is_dir(),
        inventories.list_stills,
    ),
    DatasetEntry(
        "davis",
        "DAVIS 2016 and 2017",
        "https://davischallenge.org",
        "CC BY-NC 4.0 in its terms of use; the videos have terms of their own",
        "JPEGImages/480p/<sequence>, Annotations/480p/<sequence>, ImageSets/<year>",
        inventories.is_davis,
        inventories.list_davis,
    ),
    DatasetEntry(
        "something",
        "Something-Else",
        "https://github.com/joaanna/something_else",
        "annotations MIT; the videos of Something-Something have terms of their own",
        "annotations.json, videos/<video>/*.jpg",
        lambda root: (root / "annotations.json").is_file() and (root / "videos").is_dir(),
        partial(inventories.list_named, SomethingElseFolder),
    ),
    DatasetEntry(
        "lasiesta",
        "LASIESTA",
        "https://www.gti.ssr.upm.es/data/lasiesta_database.html",
        "terms on its page; cite Cuevas et al. 2016",
        "I_SI_01/*.bmp, I_SI_01-GT/*.png",
        LASIESTA.fits,
        partial(list_videos, LASIESTA),
        videos=open_lasiesta,
    ),
    DatasetEntry(
        "sbi",
        "SBI2015",
        "https://sbmi2015.na.icar.cnr.it/SBIdataset.html (frames), "
        "https://github.com/lim-anggun/FgSegNet_v2 (masks)",
        "terms on its pages; cite Maddalena and Petrosino 2015, Lim and Keles 2020",
        "<scene>/input, <scene>/groundtruth",
        SBI.fits,
        partial(list_videos, SBI),
    ),
    DatasetEntry(
        "cdnet",
        "CDnet2014",
        "http://changedetection.net",
        "no licence stated; for research, with a citation of Wang et al. 2014",
        "[dataset/]<category>/<video>/input, groundtruth, ROI.bmp, temporalROI.txt",
        CDNET.fits,
        partial(list_videos, CDNET),
        videos=open_cdnet,
        shadows=True,
    ),
    DatasetEntry(
        "limu",
        "LIMU",
        "https://limu.ait.kyushu-u.ac.jp/dataset/en/",
        "terms on its page",
        "<video>/input, <video>/groundtruth, or as a manifest says",
        LIMU.fits,
        partial(list_videos, LIMU),
    ),
    DatasetEntry(
        "hofam",
        "composite images of HOFAM's programs",
        "https://github.com/WeiZongqi/HOFAM",
        "none is stated",
        "*.png of 768x256 pixels: frame, optical flow and labels side by side",
        is_hofam,
        partial(inventories.list_named, open_hofam),
        videos=open_hofam,
    ),
    DatasetEntry(
        "coco",
        "COCO 2017",
        "https://cocodataset.org",
        "annotations CC BY 4.0; the images have terms of their own",
        "annotations/instances_train2017.json, train2017/*.jpg",
        lambda root: any((root / "annotations").glob("instances_train*.json")),
        inventories.list_stills,
        instances=lambda root: CocoImages.open(root, "train2017"),
    ),
    DatasetEntry(
        "duts",
        "DUTS",
        "http://saliencydetection.net/duts",
        "terms on its page",
        "DUTS-TR-Image/<name>.jpg, DUTS-TR-Mask/<name>.png",
        lambda root: (
            any((root / f"DUTS-{part}-Image").is_dir() for part in ("TR", "TE"))
            or stills.is_repacked(root, "duts")
        ),
        inventories.list_stills,
    ),
    DatasetEntry(
        "ecssd",
        "ECSSD",
        "https://www.cse.cuhk.edu.hk/leojia/projects/hsaliency/dataset.html",
        "terms on its page",
        "images/<name>.jpg, ground_truth_mask/<name>.png",
        lambda root: (root / "ground_truth_mask").is_dir() or stills.is_repacked(root, "ecssd"),
        inventories.list_stills,
    ),
    DatasetEntry(
        "hrsod",
        "HRSOD",
        "https://github.com/yi94code/HRSOD",
        "terms on its page",
        "HRSOD_train/<name>.jpg, HRSOD_train_mask/<name>.png",
        lambda root: (root / "HRSOD_train").is_dir() or stills.is_repacked(root, "hrsod"),
        inventories.list_stills,
    ),
    DatasetEntry(
        "msra10k",
        "MSRA10K",
        "https://mmcheng.net/msra10k",
        "terms on its page",
        "[MSRA10K_Imgs_GT/]Imgs/<name>.jpg, <name>.png",
        stills.is_msra10k,
        inventories.list_stills,
    ),
    DatasetEntry(
        "fss",
        "FSS-1000",
        "https://github.com/HKUSTCV/FSS-1000",
        "terms on its page",
        "fewshot_data/<class>/<name>.jpg, <name>.png",
        stills.is_fss,
        inventories.list_stills,
    ),
    DatasetEntry(
        "big",
        "BIG",
        "https://github.com/hkchengrex/CascadePSP",
        "terms on its page",
        "<name>_im.jpg, <name>_gt.png",
        stills.is_big,
        inventories.list_stills,
    ),
)
"""The data sets of segue, for the registry."""


@dataclass(frozen=True, slots=True)
class DataCheck:
    """The parts of data set ``kind`` in the folder ``root``."""

    kind: str
    root: Path
    videos: tuple[CheckedVideo, ...]  # every video that is there, in order
    missing: tuple[str, ...]  # names of videos that the data set has and the folder has not
    problems: tuple[str, ...]  # what is wrong with the data set as a whole

    @property
    def origin(self) -> DatasetEntry:
        """The entry of the data set."""
        return DATASETS.find(self.kind)

    @property
    def complete(self) -> bool:
        """Whether nothing is missing and nothing is wrong."""
        return not (self.missing or self.problems or any(video.problems for video in self.videos))

    def values(self) -> dict[str, Any]:
        """Everything as values that JSON can hold."""
        return {
            "kind": self.kind,
            "root": str(self.root),
            "complete": self.complete,
            "origin": {key: getattr(self.origin, key) for key in ("title", "address", "licence", "layout")},
            "videos": [asdict(video) for video in self.videos],
            "missing": list(self.missing),
            "problems": list(self.problems),
        }


def check_data(
    root: Path | str, kind: str | None = None, *, progress: Callable[[int, int, str], None] | None = None
) -> DataCheck:
    """Say what a folder holds of a data set.

    The header of every image is read, so that damaged downloads show; nothing is decoded.

    >>> check = check_data("CDnet2014")
    >>> check.kind, len(check.videos), check.missing

    Args:
        root: folder of the data set.
        kind: which data set it is, such as ``cdnet``; default: the one whose layout it has.
        progress: called after each video with the number done, the number of all and its name.

    Returns:
        The videos that are there, each with the numbers of its images and labelled frames and with its
        problems; the names of missing videos; and the problems of the whole data set. ``complete`` is true
        where nothing is missing or wrong.

    Raises:
        DatasetError: there is no folder, it has the layout of no data set, or ``kind`` is not known.
    """
    root = user_path(root)
    if not root.is_dir():
        raise DatasetError(f"no folder {root}")
    if kind is None:
        kind = _recognise(root)
    listing = _listing(DATASETS.find(kind)) if kind in DATASETS else None
    if listing is None:
        known = ", ".join(entry.name for entry in DATASETS if _listing(entry))
        raise DatasetError(f"kind is {kind!r}; it must be one of {known}")
    inventory = listing(root)
    videos = []
    for name, check in inventory.parts.items():
        try:
            videos.append(check())
        except DatasetError as error:
            videos.append(CheckedVideo(name, 0, 0, (str(error),)))
        if progress is not None:
            progress(len(videos), len(inventory.parts), name)
    missing = [name for name in inventory.expected if name not in inventory.parts]
    return DataCheck(kind, root, tuple(videos), tuple(missing), inventory.problems)


def _listing(entry: DatasetEntry) -> Callable[[Path], Inventory] | None:
    """What lists the videos of a data set in a folder: a function of its own, or the reader of its videos."""
    if entry.list is not None:
        return entry.list
    readers = (entry.masks, entry.videos)
    opener = next((reader for reader in readers if reader is not None), None)
    if opener is not None:
        return partial(inventories.list_opened, opener)
    return None if entry.instances is None else partial(inventories.list_instances, entry.instances)


def _recognise(root: Path) -> str:
    for entry in DATASETS:
        if entry.fits is not None and entry.fits(root):
            return entry.name
    layouts = "; ".join(f"{entry.name}: {entry.layout}" for entry in DATASETS if entry.fits)
    raise DatasetError(f"{root} has the layout of no data set that segue knows ({layouts})")
