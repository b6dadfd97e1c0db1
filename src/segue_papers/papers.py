"""The tables of all papers, with the published numbers: objects followed, instances found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from segue_papers.foreground_papers import FOREGROUND
from segue_papers.tables import PACE, SPEED, Table, TableRow, Training

DAVIS = {"J&F": "J&F-Mean", "J": "J-Mean", "F": "F-Mean"}
YOUTUBE = {"overall": "G", "J seen": "J_s", "F seen": "F_s", "J unseen": "J_u", "F unseen": "F_u"}

ALL = ("--memory-policy", "all")
"""No frame makes room for another one, as in the papers; segue's own bound is reached after 250 frames."""

NEVER = ("--mem-every", "1000000")
"""No frame is kept but those with given masks."""

SHORT_480 = ("--short-side", "480")
"""Larger frames are reduced, as STM and STCN did on YouTube-VOS."""

ONLY_PREVIOUS = ("--mem-every", "1", "--memory-frames", "1", "--memory-policy", "fifo", "--no-include-last")
"""Every frame takes the place of the one before."""


Truth = Literal["masks", "boxes"]
Features = Literal["keys", "queries", "values"]
Front = Literal["later", "smaller", "lower"]
"""Order of overlapping boxes: the larger id in front, as the report draws them; or, ours, the
smaller area, or the box whose lower side is lower in the image, in front."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the masks of first frames come from.

    Attributes:
        detector: its name; None takes the boxes of the truth.
        features: what LOST compares of the last attention.
        front: boxes are filled, in this order.
    """

    detector: str | None = None
    features: Features | None = None
    front: Front | None = None


SOURCES: Mapping[str, Source] = {
    "boxes, filled": Source(front="later"),
    "boxes, filled, smaller in front": Source(front="smaller"),
    "boxes, filled, lower in front": Source(front="lower"),
    "boxes, segue-prompt": Source(),
    "Mask R-CNN": Source("maskrcnn-v1"),  # the report's is version 1
    "Mask R-CNN v2": Source("maskrcnn"),
    "PointRend": Source("pointrend"),
    "DeepLabV3": Source("deeplab"),
    **{
        f"LOST {size}, {features}": Source(name, features)
        for size, name in (("B/16", "lost-b16"), ("S/16", "lost"))
        for features in get_args(Features)
    },
    "motion": Source("motion"),
}
"""By row; the report's LOST compares keys, see ``LOST_NETWORKS``."""

LOST_NETWORKS = (
    "the report says that LOST reads ViT-S (3.2), but its masks of DAVIS came from ViT-B/16; its numbers "
    "stand beside both"
)
"""What is known of the network behind the published rows of LOST."""


def _lost_measures(*values: float) -> dict[str, tuple[float, float, float, float]]:
    """The numbers of the report for LOST, beside each network that may have given them."""
    score, region, contour, speed = values
    return {f"LOST {size}, keys": (score, region, contour, speed) for size in ("B/16", "S/16")}


def source_names(truth: Truth) -> tuple[str, ...]:
    """Names of all sources of first frames, for masks or for boxes, which need not be filled."""
    return ("ground truth", *(name for name, of in SOURCES.items() if truth == "masks" or of.front is None))


def every(n: int) -> TableRow:
    """Row with every n-th frame and the previous one in memory (the paper: n = 5)."""
    options = ("--mem-every", str(n), "--include-last")
    return TableRow(f"every {n} frames", options=options)


def first_frames(
    published: Mapping[str, tuple[float, float, float, float]], truth: Truth
) -> tuple[TableRow, ...]:
    """A row for each source of first frames."""
    numbers = {name: dict(zip((*DAVIS, SPEED), values, strict=True)) for name, values in published.items()}
    return tuple(
        TableRow(name, numbers.get(name, {}), first=None if name == "ground truth" else name)
        for name in source_names(truth)
    )


def _davis(paper: str, name: str, title: str, rows: tuple[TableRow, ...], **more: Any) -> Table:
    return Table(paper, name, title, "davis", DAVIS, rows, subset="val", percent=True, options=ALL, **more)


_DATA = "published with YouTube-VOS in the training data; J as in the abstract"

TRACKS = {"AP": "AP", "AP50": "AP50", "AP75": "AP75", "AR1": "AR1", "AR10": "AR10"}


_ZOO = "https://drive.google.com/file/d/{} (column Pretrain at https://github.com/wjf5203/SeqFormer)"


def _coco(backbone: str, drive: str) -> Training:
    """A training on COCO, whose weights SeqFormer's authors published."""
    return Training(
        "seqformer-coco",
        ("coco",),
        ("--backbone", backbone),
        pretrained=f"{backbone} of ImageNet",
        weights=f"coco-pretrained-{backbone}",
        file=f"seqformer-{backbone}-coco",
        source=_ZOO.format(drive),
    )


COCO = {
    "r50": _coco("r50", "1aWCeak2DY5arbUzYzbsAgrUfFnVkI8qi"),
    "r101": _coco("r101", "1dxPfPQiTFoN-hfyGvVxpmF2cwFYjeJgI"),
    "swin-l": _coco("swin-l", "19A4mgRqq6b-TTFN_ntYLQ3dQcaHYOD_p"),
}
"""Initial weights of SeqFormer and MS-STS VIS by backbone."""


def _tracks(numbers: tuple[float, ...]) -> dict[str, float]:
    return dict(zip(TRACKS, numbers, strict=False))


def _msstsvis(name: str, backbone: str, numbers: tuple[float, ...] = (), *options: str) -> TableRow:
    """MS-STS VIS, which is trained: nobody published its weights."""
    arguments = ("--backbone", backbone, *options)
    training = Training("msstsvis", ("ytvis", "coco"), arguments, start=COCO[backbone])
    model = None if backbone == "r50" and not options else f"msstsvis-{backbone}"
    return TableRow(name, _tracks(numbers), model, training=training)


def _plain(name: str, *options: str) -> TableRow:
    """SeqFormer with a ResNet-50, trained here."""
    training = Training("seqformer", ("ytvis", "coco"), ("--backbone", "r50", *options), start=COCO["r50"])
    return TableRow(name, {}, "seqformer-r50", training=training)


MSSTS = (
    "as published, MS-STS VIS begins from the weights that SeqFormer's authors trained on COCO, as SeqFormer "
    "did, and sees 12 epochs of 10 clips a step at a rate of 2e-4; its attention and its losses are our "
    "reading of the poster, for its release has none of them"
)


def _ytvis(
    name: str, title: str, rows: tuple[TableRow, ...], remark: str | None = None, edition: str = "ytvis2019"
) -> Table:
    return Table(
        "ms-sts",
        name,
        title,
        "ytvis",
        TRACKS,
        rows,
        model="msstsvis-r50",
        subset="valid",
        edition=edition,
        percent=True,
        server="https://youtube-vos.org/dataset/vis/",
        remark=remark,
    )


TABLES: tuple[Table, ...] = (
    Table(
        "stm",
        "youtube-vos",
        "Table 1: YouTube-VOS 2018 val",
        "ytvos",
        YOUTUBE,
        (
            TableRow(
                "STM",
                dict(zip(YOUTUBE, (79.4, 79.7, 84.2, 72.8, 80.9), strict=True)),
                options=(*SHORT_480, "--mem-every", "5", "--include-last"),
            ),
            TableRow(
                "STCN",
                dict(zip(YOUTUBE, (84.3, 83.2, 87.9, 79.0, 87.2), strict=True)),
                "stcn",
                options=(*SHORT_480, "--mem-every", "5", "--no-include-last"),
            ),
        ),
        model="stm",
        remark="the row of STCN is of its release (s012); the networks see frames with a short side of 480",
        subset="valid",
        percent=True,
        server="https://youtube-vos.org/dataset/vos/",
        options=ALL,
        pace=True,
    ),
    _davis(
        "stm",
        "davis-2016",
        "Table 2: DAVIS 2016 val",
        (TableRow("STM", {"J": 88.7, PACE: 0.16}),),
        model="stm",
        year="2016",
        remark=f"{_DATA}; 0.16 s a frame are of a GPU, without reading and writing",
        pace=True,
    ),
    _davis(
        "stm",
        "davis-2017",
        "Table 3: DAVIS 2017 val",
        (TableRow("STM", {"J": 79.2}),),
        model="stm",
        remark=_DATA,
        pace=True,
    ),
    _davis(
        "stm",
        "memory",
        "Figure 7: which frames are memory, DAVIS 2017 val",
        (
            TableRow("first frame only", options=(*NEVER, "--no-include-last")),
            TableRow("previous frame only", options=ONLY_PREVIOUS),
            TableRow("first and previous", options=(*NEVER, "--include-last")),
            *map(every, (10, 5, 2)),
        ),
        model="stm",
        curve="J",
        pace=True,
        remark="the figure shows a curve and no numbers; the paper's own choice is every 5 frames",
    ),
    _davis(
        "stcn-report",
        "davis",
        "Tables 1 and 2: first frames of DAVIS 2017 val",
        first_frames(
            {
                "ground truth": (85.3, 82.0, 88.6, 16.9),
                "Mask R-CNN": (69.9, 67.9, 72.0, 17.0),
                "PointRend": (71.1, 68.6, 73.6, 14.9),
                **_lost_measures(25.7, 23.9, 27.6, 19.9),
            },
            "masks",
        ),
        model="stcn",
        remark="masks of LOST are drawn to the edges by CRF; "
        f"{LOST_NETWORKS}; the paper of STCN has 20.2 frames/s (Table 1)",
    ),
    Table(
        "stcn-report",
        "something",
        "Table 3: first frames of Something-Something, with the boxes of Something-Else",
        "something",
        DAVIS,
        first_frames(
            {
                "ground truth": (41.4, 53.0, 29.8, 19.3),
                "Mask R-CNN": (29.2, 39.7, 18.8, 25.8),
                "PointRend": (27.0, 35.1, 18.9, 23.4),
                **_lost_measures(17.2, 20.9, 13.5, 28.8),
            },
            "boxes",
        ),
        model="stcn",
        percent=True,
        options=ALL,
        remark="published on 13 videos; whole boxes are followed, and the truth is boxes, filled; "
        f"{LOST_NETWORKS}",
    ),
    *FOREGROUND,
    _ytvis(
        "ytvis-2019",
        "YouTube-VIS 2019 val",
        (
            TableRow("SeqFormer, R50", _tracks((47.4, 69.8, 51.8, 45.5, 54.8)), "seqformer-r50"),
            _msstsvis("MS-STS, R50", "r50", (50.1, 73.2, 56.6, 46.1, 57.7)),
            TableRow("SeqFormer, R101", _tracks((49.0, 71.1, 55.7, 46.8, 56.9)), "seqformer-r101"),
            _msstsvis("MS-STS, R101", "r101", (51.1, 73.2, 59.0, 48.3, 58.7)),
            TableRow("SeqFormer, Swin-L", _tracks((59.3, 82.1, 66.6, 51.7, 64.4)), "seqformer-swin-l"),
            _msstsvis("MS-STS, Swin-L", "swin-l", (61.0, 85.2, 68.6, 54.7, 66.4)),
        ),
        MSSTS,
    ),
    _ytvis(
        "ytvis-2021",
        "YouTube-VIS 2021 val",
        (_plain("SeqFormer, R50, trained here"), _msstsvis("MS-STS, R50", "r50", (42.2,))),
        "the poster has AP of one row, and 2.8 points above SeqFormer in AP75; the released weights of "
        "SeqFormer are for the classes of 2019, here it is trained as its authors did, 16 clips a step; "
        f"{MSSTS}",
        edition="ytvis2021",
    ),
    _ytvis(
        "parts",
        "Each part off, YouTube-VIS 2019 val, R50",
        (
            _msstsvis("all parts", "r50", (50.1, 73.2, 56.6, 46.1, 57.7)),
            _msstsvis("without MS-STS attention", "r50", (), "--intra", "none", "--inter", "none"),
            _msstsvis("without attention between scales", "r50", (), "--inter", "none"),
            _msstsvis("without attention inside scales", "r50", (), "--intra", "none"),
            _msstsvis("without attention in the decoder", "r50", (), "--no-decoder-attention"),
            _msstsvis("without separability loss", "r50", (), "--no-separability"),
            _plain("none of them: SeqFormer", "--clips", "10"),
            TableRow("SeqFormer as released", _tracks((47.4, 69.8, 51.8, 45.5, 54.8)), "seqformer-r50"),
        ),
        "the poster prints the first and the last row, which saw 16 clips a step; all others are trained "
        f"alike, from one file and for as many steps; {MSSTS}",
    ),
)
"""All of them, paper by paper."""
