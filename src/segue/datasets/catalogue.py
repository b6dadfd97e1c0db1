"""Registry entries of the data sets: how each is recognised, opened, run and scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from segue.datasets import inventories, stills
from segue.datasets.davis import DavisFolder
from segue.datasets.foreground.cdnet import CDNET, VIDEO_KEYS, open_cdnet
from segue.datasets.foreground.folder import ForegroundFolder, is_plain, open_plain
from segue.datasets.foreground.isd import INDEX, open_isd
from segue.datasets.foreground.sets import (
    LASIESTA,
    LASIESTA_VIDEOS,
    LIMU,
    LIMU_VIDEOS,
    SBI,
    SBI_VIDEOS,
    is_hofam,
    open_hofam,
    open_lasiesta,
    open_limu,
    open_sbi,
)
from segue.datasets.inventories import list_videos
from segue.datasets.something import SomethingElseFolder
from segue.datasets.ytvis import CocoImages, YTVISDataset
from segue.entries.datasets import DatasetEntry, DatasetJob, LabelKind, ScoreHelp
from segue.errors import DatasetError
from segue.utils.lazy import LazyCallable

_TRACKS = DatasetJob("track", LazyCallable("segue.dataset_runs.protocols:mask_videos"), "stcn-lite", "png")
_CLIPS = DatasetJob("instances", LazyCallable("segue.dataset_runs.protocols:clip_videos"))
_SCENES = DatasetJob(
    "foreground", LazyCallable("segue.dataset_runs.protocols:scene_videos"), "mustan-lite", "cdnet"
)

KINDS: Mapping[LabelKind, Mapping[str, Any]] = {
    "masks": {
        "open": LazyCallable("segue.metrics.data_sets:open_masks"),
        "evaluate": LazyCallable("segue.metrics.data_sets:score_masks"),
        "job": _TRACKS,
        "options": "sequences missing workers",
    },
    "instances": {
        "open": LazyCallable("segue.metrics.data_sets:open_instances"),
        "evaluate": LazyCallable("segue.metrics.data_sets:score_instances"),
        "job": _CLIPS,
        "options": "",
    },
    "videos": {
        "open": LazyCallable("segue.metrics.data_sets:open_videos"),
        "evaluate": LazyCallable("segue.metrics.data_sets:score_videos"),
        "job": _SCENES,
        "options": "sequences threshold missing workers",
    },
}
"""Functions that open, score and run data sets, by kind of labels; still images have none."""


def completed(entry: DatasetEntry) -> DatasetEntry:
    """Complete the entry of a data set with the defaults of its kind of labels."""
    if entry.labels is None:
        raise DatasetError(
            f"{entry.name} names no videos: its entry has neither masks, nor instances, nor videos"
        )
    if entry.labels not in KINDS:
        raise DatasetError(f"{entry.name} has still images alone, which are neither run nor scored")
    kind = KINDS[entry.labels]
    return replace(entry, **{name: kind[name] for name in kind if getattr(entry, name) is None})


def _isd_videos(root: Path) -> ForegroundFolder:
    return open_isd(root / "train" if (root / INDEX).is_file() else root)


def _training_part(root: Path) -> YTVISDataset:
    return YTVISDataset.open(root, "train")


_SPLIT = "Split: train, valid or test."

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
        videos_of=inventories.isd_videos,
        videos=_isd_videos,
        instances=_training_part,
        shadows=True,
        rendered=True,
        kind="videos",
        open=LazyCallable("segue.metrics.data_sets:open_isd_clips"),
        job=replace(_SCENES, videos=LazyCallable("segue.dataset_runs.protocols:isd_videos")),
        options="subset sequences threshold missing workers",
        part="test",
        help=ScoreHelp(
            "Clips of `segue synth isd`: F and related measures, for fixed and for moving cameras.",
            ("results/ --data ISD --set test",),
            "Split: train, val or test.",
        ),
    ),
    DatasetEntry(
        "ytvos",
        "YouTube-VOS",
        "https://youtube-vos.org/dataset/vos/",
        "terms on its page; registration needed",
        "<part>/meta.json, <part>/JPEGImages/<video>, <part>/Annotations/<video>",
        inventories.is_ytvos,
        inventories.list_ytvos,
        videos_of=inventories.ytvos_videos,
        kind="masks",
        open=LazyCallable("segue.metrics.data_sets:open_ytvos"),
        evaluate=LazyCallable("segue.metrics.data_sets:score_ytvos"),
        job=replace(_TRACKS, videos=LazyCallable("segue.dataset_runs.protocols:ytvos_videos")),
        options="subset sequences seen missing workers",
        served=True,
        help=ScoreHelp(
            "YouTube-VOS with all annotations: J and F of seen and unseen categories, and overall.",
            (
                "results/ --data YouTubeVOS --set train --sequence 003234408d",
                "results.zip --data held_out --seen train/meta.json --workers 4",
            ),
            "Part below the folder, such as train.",
        ),
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
        open=LazyCallable("segue.metrics.data_sets:open_ytvis"),
        options="subset",
        part="valid",
        served=True,
        help=ScoreHelp(
            "OVIS, scored like YouTube-VIS: AP, AP50, AP75, AR1, AR10.",
            ("results.json --data OVIS --set train --report scores.html",),
            _SPLIT,
        ),
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
        open=LazyCallable("segue.metrics.data_sets:open_ytvis"),
        options="subset",
        part="valid",
        served=True,
        help=ScoreHelp(
            "YouTube-VIS 2019, 2021: AP, AP50, AP75, AR1, AR10. `--data` may also be the annotation file.",
            (
                "results.json --data youtube_vis_2021 --set train",
                "results.zip --data annotations.json --json scores.json",
            ),
            _SPLIT,
        ),
    ),
    DatasetEntry(
        "voc",
        "PASCAL VOC 2012",
        "http://host.robots.ox.ac.uk/pascal/VOC",
        "terms on its page",
        "JPEGImages/<name>.jpg, SegmentationObject/<name>.png",
        lambda root: (root / "SegmentationObject").is_dir(),
        kind="stills",
    ),
    DatasetEntry(
        "davis",
        "DAVIS 2016 and 2017",
        "https://davischallenge.org",
        "CC BY-NC 4.0 in its terms of use; the videos have terms of their own",
        "JPEGImages/480p/<sequence>, Annotations/480p/<sequence>, ImageSets/<year>",
        inventories.is_davis,
        inventories.list_davis,
        videos_of=inventories.davis_videos,
        masks=DavisFolder,
        open=LazyCallable("segue.metrics.data_sets:open_davis"),
        options="subset sequences task year missing workers",
        help=ScoreHelp(
            "DAVIS 2016 and 2017: J, F and their mean.",
            (
                "results/ --data DAVIS",
                "results.zip --data DAVIS --task unsupervised --workers 4 --report scores.html",
                "results/ --data DAVIS --year 2016 --json scores.json --csv official/",
            ),
            "Split in ImageSets.  [default: val; without ImageSets, all sequences]",
            csv=True,
        ),
    ),
    DatasetEntry(
        "folder",
        "any folder in the layout of DAVIS",
        "yours",
        "yours",
        "JPEGImages/<sequence>, Annotations/<sequence>, also below 480p",
        list=inventories.list_davis,
        masks=DavisFolder,
        open=LazyCallable("segue.metrics.data_sets:open_davis"),
        options="sequences task missing workers",
        help=ScoreHelp(
            "All sequences of any folder in the layout of DAVIS: J, F and their mean.",
            (
                "results/ --data my_videos",
                "results/ --data my_videos --sequence dog --sequence cat --report scores.html",
            ),
            csv=True,
        ),
    ),
    DatasetEntry(
        "something",
        "Something-Else",
        "https://github.com/joaanna/something_else",
        "annotations MIT; the videos of Something-Something have terms of their own",
        "annotations.json, videos/<video>/*.jpg",
        lambda root: (root / "annotations.json").is_file() and (root / "videos").is_dir(),
        partial(inventories.list_videos_by_name, SomethingElseFolder),
        kind="masks",
        open=LazyCallable("segue.metrics.data_sets:open_something"),
        help=ScoreHelp(
            "Something-Else: J and F of masks against the filled boxes of its objects.",
            ("results/ --data something_else",),
        ),
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
        expected=LASIESTA_VIDEOS,
        rules=LazyCallable("segue.metrics.foreground.cdnet:lasiesta_rules"),
        help=ScoreHelp(
            "LASIESTA: F and the other measures of CDnet2014, overall with a static camera.",
            ("results/ --data LASIESTA --json scores.json",),
        ),
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
        videos=open_sbi,
        expected=SBI_VIDEOS,
        help=ScoreHelp(
            "SBI2015 with its later foreground masks: F and the other measures of CDnet2014.",
            ("results/ --data SBI2015 --report scores.html",),
        ),
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
        options="sequences threshold training_frames missing workers",
        expected=VIDEO_KEYS,
        rules=LazyCallable("segue.metrics.foreground.cdnet:cdnet_rules"),
        help=ScoreHelp(
            "CDnet2014: Re, Sp, FPR, FNR, PWC, Pr and F by video, category and overall.",
            (
                "results/ --data CDnet2014 --workers 4",
                "results/ --data CDnet2014 --sequence shadow --sequence baseline/highway",
                "results/ --data CDnet2014 --training-frames 200@train_frame_lists.json",
            ),
            csv=True,
        ),
    ),
    DatasetEntry(
        "limu",
        "LIMU",
        "https://limu.ait.kyushu-u.ac.jp/dataset/en/",
        "terms on its page",
        "<video>/input, <video>/groundtruth, or as a manifest says",
        LIMU.fits,
        partial(list_videos, LIMU),
        videos=open_limu,
        expected=LIMU_VIDEOS,
        help=ScoreHelp(
            "LIMU: F and the other measures of CDnet2014.",
            ("results/ --data LIMU --sequence LightSwitch",),
        ),
    ),
    DatasetEntry(
        "hofam",
        "composite images of HOFAM's programs",
        "https://github.com/WeiZongqi/HOFAM",
        "not stated",
        "*.png of 768x256 pixels: frame, optical flow and labels side by side",
        is_hofam,
        partial(inventories.list_videos_by_name, open_hofam),
        videos=open_hofam,
        job=replace(
            _SCENES, videos=LazyCallable("segue.dataset_runs.protocols:composite_videos"), model="hofam"
        ),
        rules=LazyCallable("segue.metrics.foreground.cdnet:hofam_rules"),
        help=ScoreHelp(
            "Composite images of HOFAM: mean Dice, recall, precision and F, computed like its program.",
            ("results/ --data demo --report scores.html",),
        ),
    ),
    DatasetEntry(
        "foreground",
        "any videos with labels of the foreground",
        "yours",
        "yours",
        "<video>/input, <video>/groundtruth",
        is_plain,
        videos=open_plain,
        help=ScoreHelp(
            "Any videos VIDEO/input/* with labels VIDEO/groundtruth/*: F and related measures.",
            ("results/ --data my_videos --report scores.html",),
        ),
    ),
    DatasetEntry(
        "coco",
        "COCO 2017",
        "https://cocodataset.org",
        "annotations CC BY 4.0; the images have terms of their own",
        "annotations/instances_train2017.json, train2017/*.jpg",
        lambda root: any((root / "annotations").glob("instances_train*.json")),
        instances=lambda root: CocoImages.open(root, "train2017"),
        kind="stills",
    ),
    DatasetEntry(
        "roboflow",
        "an export of Roboflow in the form of COCO",
        "yours",
        "yours",
        "[train/]_annotations.coco.json with outlines, images beside it",
        lambda root: stills.is_roboflow(root) or stills.is_roboflow(root / "train"),
        kind="stills",
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
        kind="stills",
    ),
    DatasetEntry(
        "ecssd",
        "ECSSD",
        "https://www.cse.cuhk.edu.hk/leojia/projects/hsaliency/dataset.html",
        "terms on its page",
        "images/<name>.jpg, ground_truth_mask/<name>.png",
        lambda root: (root / "ground_truth_mask").is_dir() or stills.is_repacked(root, "ecssd"),
        kind="stills",
    ),
    DatasetEntry(
        "hrsod",
        "HRSOD",
        "https://github.com/yi94code/HRSOD",
        "terms on its page",
        "HRSOD_train/<name>.jpg, HRSOD_train_mask/<name>.png",
        lambda root: (root / "HRSOD_train").is_dir() or stills.is_repacked(root, "hrsod"),
        kind="stills",
    ),
    DatasetEntry(
        "msra10k",
        "MSRA10K",
        "https://mmcheng.net/msra10k",
        "terms on its page",
        "[MSRA10K_Imgs_GT/]Imgs/<name>.jpg, <name>.png",
        stills.is_msra10k,
        kind="stills",
    ),
    DatasetEntry(
        "fss",
        "FSS-1000",
        "https://github.com/HKUSTCV/FSS-1000",
        "terms on its page",
        "fewshot_data/<class>/<name>.jpg, <name>.png",
        stills.is_fss,
        kind="stills",
    ),
    DatasetEntry(
        "big",
        "BIG",
        "https://github.com/hkchengrex/CascadePSP",
        "terms on its page",
        "<name>_im.jpg, <name>_gt.png",
        stills.is_big_dataset,
        kind="stills",
    ),
    DatasetEntry(
        "annotated",
        "images with outlines of YOLO or labelme",
        "yours",
        "yours",
        "images/[train/]<name>.*, labels/[train/]<name>.txt; or <name>.*, <name>.json of labelme",
        LazyCallable("segue.datasets.outlined:is_outlined"),
        LazyCallable("segue.datasets.outlined:list_outlined"),
        kind="stills",
    ),
    DatasetEntry(
        "labelled",
        "videos with annotations in any format",
        "yours",
        "yours",
        "<video>/<frame>.jpg, <video>.json or another format that segue reads",
        list=LazyCallable("segue.datasets.labelled:list_labelled"),
        masks=LazyCallable("segue.datasets.labelled:open_labelled"),
    ),
)
"""The data sets of segue, for the registry."""
