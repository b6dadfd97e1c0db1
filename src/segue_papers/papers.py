"""Tables of the tracking and instance papers with the published numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from segue_papers.foreground_papers import FOREGROUND
from segue_papers.tables import NETWORK_PACE, SPEED, Difference, Table, TableRow, Training, published_rows

DAVIS = {"J&F": "J&F-Mean", "J": "J-Mean", "F": "F-Mean"}
YOUTUBE = {"overall": "G", "J seen": "J_s", "F seen": "F_s", "J unseen": "J_u", "F unseen": "F_u"}

ALL = ("--memory-policy", "all")
"""No frame makes room for another one, as in the papers; segue's own bound is reached after 250 frames."""

NEVER = ("--mem-every", "1000000")
"""No frame is kept but those with given masks."""

SHORT_480 = ("--short-side", "480")
"""Larger frames are reduced, as STM and STCN did on YouTube-VOS."""

ONLY_PREVIOUS = ("--mem-every", "1", "--memory-frames", "1", "--memory-policy", "fifo", "--no-include-last")
"""Options that replace the memory frame by each new one."""


Truth = Literal["masks", "boxes"]
Features = Literal["keys", "queries", "values"]
Front = Literal["later", "smaller", "lower"]
"""Order of overlapping boxes: the larger id in front, as the report draws them; or, ours, the
smaller area, or the box whose lower side is lower in the image, in front."""


@dataclass(frozen=True, slots=True)
class Source:
    """Source of the masks of first frames.

    Attributes:
        detector: its name; None takes the boxes of the truth.
        features: features of the last attention that LOST compares.
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
"""Sources of prompts by row; the report's LOST compares keys, see ``LOST_NETWORKS``."""

LOST_NETWORKS = (
    "the report says that LOST reads ViT-S (3.2), but its masks of DAVIS came from ViT-B/16; its numbers "
    "stand beside both"
)
"""Note on the network behind the published rows of LOST."""


def _lost_measures(*values: float) -> dict[str, tuple[float, float, float, float]]:
    """The report's numbers for LOST, listed for each network that may have produced them."""
    score, region, contour, speed = values
    return {f"LOST {size}, keys": (score, region, contour, speed) for size in ("B/16", "S/16")}


def source_names(truth: Truth) -> tuple[str, ...]:
    """Names of all sources of first frames, for masks, or boxes that need not be filled."""
    return ("ground truth", *(name for name, of in SOURCES.items() if truth == "masks" or of.front is None))


def every(n: int) -> TableRow:
    """Row that stores every n-th frame and the previous one (the paper: n = 5)."""
    options = ("--mem-every", str(n), "--include-last")
    return TableRow(f"every {n} frames", options=options)


PAPER_OF_STCN = TableRow(
    "ground truth, paper of STCN",
    dict(zip((*DAVIS, SPEED), (85.3, 82.0, 88.6, 20.2), strict=True)),
    no_command="the same command as ground truth; Table 1 has the numbers of the paper beside the report's",
)
"""First row of Table 1 of the report."""


def first_frames(
    published: Mapping[str, tuple[float, float, float, float]], truth: Truth
) -> tuple[TableRow, ...]:
    """Rows for all sources of first frames."""
    numbers = {name: dict(zip((*DAVIS, SPEED), values, strict=True)) for name, values in published.items()}
    return tuple(
        TableRow(name, numbers.get(name, {}), first=None if name == "ground truth" else name)
        for name in source_names(truth)
    )


def _davis(paper: str, name: str, title: str, rows: tuple[TableRow, ...], **more: Any) -> Table:
    setting: dict[str, Any] = {"subset": "val", "percent": True, "options": ALL, "network_speed": True}
    return Table(paper, name, title, "davis", DAVIS, rows, **setting, **more)


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
    """A row of MS-STS VIS with its training; no weights were published."""
    arguments = ("--backbone", backbone, *options)
    training = Training("msstsvis", ("ytvis", "coco"), arguments, start=COCO[backbone])
    model = None if backbone == "r50" and not options else f"msstsvis-{backbone}"
    return TableRow(name, _tracks(numbers), model, training=training)


def _plain(name: str, *options: str) -> TableRow:
    """SeqFormer with a ResNet-50, trained by us."""
    training = Training("seqformer", ("ytvis", "coco"), ("--backbone", "r50", *options), start=COCO["r50"])
    return TableRow(name, {}, "seqformer-r50", training=training)


MSSTS = (
    "as published, MS-STS VIS begins from the weights that SeqFormer's authors trained on COCO, as SeqFormer "
    "did, and sees 12 epochs of 10 clips a step at a rate of 2e-4; its attention and its losses are our "
    "reading of the poster, for its release has none of them"
)


def _ytvis(
    name: str,
    title: str,
    rows: tuple[TableRow, ...],
    remark: str | None = None,
    edition: str = "ytvis2019",
    differences: tuple[Difference, ...] = (),
    subset: str = "valid",
    strip: Literal["masks"] | None = None,
) -> Table:
    return Table(
        "ms-sts",
        name,
        title,
        "ytvis",
        TRACKS,
        rows,
        model="msstsvis-r50",
        subset=subset,
        edition=edition,
        percent=True,
        server="https://youtube-vos.org/dataset/vis/",
        remark=remark,
        differences=differences,
        strip=strip,
    )


STM_OTHERS = """
OSMN      | 51.2 60.0 60.1 40.6 44.0
MSK       | 53.1 59.9 59.5 45.0 47.9
RGMP      | 53.8 59.5 -    45.2 -
OnAVOS    | 55.2 60.1 62.7 46.6 51.4
RVOS      | 56.8 63.6 67.2 45.5 51.0
OSVOS     | 58.8 59.8 60.5 54.2 60.7
S2S       | 64.4 71.0 70.0 55.5 61.2
A-GAME    | 66.1 67.8 -    60.8 -
PreMVOS   | 66.9 71.4 75.9 56.5 63.7
BoLTVOS   | 71.1 71.6 -    64.3 -
"""
"""Other rows of Table 1 of STM."""

MSSTS_OTHERS_R50 = """
IoUTracker+, R50       | 23.6 39.2 25.5 26.2 30.9
OSMN, R50              | 27.5 45.1 29.1 28.6 33.1
DeepSORT, R50          | 26.1 42.9 26.1 27.8 31.3
FEELVOS, R50           | 26.9 42.0 29.7 29.9 33.4
SeqTracker, R50        | 27.5 45.7 28.7 29.7 32.5
MaskTrack R-CNN, R50   | 30.3 51.1 32.6 31.0 35.5
MaskProp, R50          | 40.0 -    42.9 -    -
SipMask-VIS, R50       | 32.5 53.0 33.3 33.5 38.9
SipMask-VIS, R50, second row | 33.7 54.1 35.8 35.4 40.1
STEM-Seg, R50          | 30.6 50.7 33.5 31.6 37.1
Johander et al., R50   | 35.3 -    -    -    -
CompFeat, R50          | 35.3 56.0 38.6 33.1 40.3
CrossVIS, R50          | 36.3 56.8 38.9 35.6 40.7
PCAN, R50              | 36.1 54.9 39.4 36.3 41.6
VisTR, R50             | 35.6 56.8 37.0 35.2 40.2
"""

MSSTS_OTHERS_R101 = """
MaskTrack R-CNN, R101  | 31.9 53.7 32.3 32.5 37.7
MaskProp, R101         | 42.5 -    45.6 -    -
STEM-Seg, R101         | 34.6 55.8 37.9 34.4 41.6
CrossVIS, R101         | 36.6 57.3 39.7 36.0 42.0
PCAN, R101             | 37.6 57.2 41.3 37.2 43.9
VisTR, R101            | 38.6 61.3 42.3 37.6 44.2
"""
"""Other rows of the poster's table of YouTube-VIS 2019."""

TABLES: tuple[Table, ...] = (
    Table(
        "stm",
        "youtube-vos",
        "Table 1: YouTube-VOS 2018 val",
        "ytvos",
        YOUTUBE,
        (
            *published_rows(YOUTUBE, STM_OTHERS),
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
        (TableRow("STM", {"J": 88.7, NETWORK_PACE: 0.16}),),
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
        "stm",
        "intermediate",
        "Figure 6: with and without intermediate frames in memory, DAVIS 2017 val",
        (TableRow("first and previous", options=(*NEVER, "--include-last")), every(5)),
        model="stm",
        strip="masks",
        pace=True,
        remark="the figure shows two frames of a video each, no numbers; `--sequence NAME` takes one",
    ),
    _davis(
        "stcn-report",
        "davis",
        "Tables 1 and 2: first frames of DAVIS 2017 val",
        (
            PAPER_OF_STCN,
            *first_frames(
                {
                    "ground truth": (85.3, 82.0, 88.6, 16.9),
                    "Mask R-CNN": (69.9, 67.9, 72.0, 17.0),
                    "PointRend": (71.1, 68.6, 73.6, 14.9),
                    **_lost_measures(25.7, 23.9, 27.6, 19.9),
                },
                "masks",
            ),
        ),
        model="stcn",
        remark=f"masks of LOST are drawn to the edges by CRF; {LOST_NETWORKS}",
        strip="masks",
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
        network_speed=True,
        strip="masks",
        remark="published on 13 videos; whole boxes are followed, and the truth is boxes, filled; "
        f"{LOST_NETWORKS}",
    ),
    *FOREGROUND,
    _ytvis(
        "ytvis-2019",
        "YouTube-VIS 2019 val",
        (
            *published_rows(TRACKS, MSSTS_OTHERS_R50),
            TableRow("SeqFormer, R50", _tracks((47.4, 69.8, 51.8, 45.5, 54.8)), "seqformer-r50"),
            _msstsvis("MS-STS, R50", "r50", (50.1, 73.2, 56.6, 46.1, 57.7)),
            *published_rows(TRACKS, MSSTS_OTHERS_R101),
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
        differences=(Difference("AP75", "MS-STS, R50", "SeqFormer, R50, trained here", 2.8),),
    ),
    Table(
        "ms-sts",
        "attention",
        "Attention maps: scale, aspect ratio, partial visibility, occlusion",
        "ytvis",
        {},
        (TableRow("SeqFormer, R50", {}, "seqformer-r50"), _msstsvis("MS-STS, R50", "r50")),
        model="msstsvis-r50",
        subset="train",
        shows_attention=True,
        remark="the poster does not name its videos: those are taken whose annotations change most, or those "
        "of --sequence; maps are of the last layer of the encoder, all scales together",
    ),
    _ytvis(
        "gallery",
        "Qualitative results: masks of both networks, frame by frame",
        (TableRow("SeqFormer, R50", {}, "seqformer-r50"), _msstsvis("MS-STS, R50", "r50")),
        "the poster shows masks of videos that it does not name; `--sequence NAME` takes one",
        subset="train",
        strip="masks",
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
