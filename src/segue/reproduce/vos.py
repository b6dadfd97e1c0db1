"""Tables of STM and of the STCN report: objects followed from their first frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from segue.reproduce.tables import SPEED, Row, Table

DAVIS = {"J&F": "J&F-Mean", "J": "J-Mean", "F": "F-Mean"}
YOUTUBE = {"overall": "G", "J seen": "J_s", "F seen": "F_s", "J unseen": "J_u", "F unseen": "F_u"}

NEVER = ("--mem-every", "1000000")
"""No frame is kept but those with given masks."""

ONLY_PREVIOUS = ("--mem-every", "1", "--memory-frames", "1", "--memory-policy", "fifo", "--no-include-last")
"""Every frame takes the place of the one before."""


INSTANCES = {"Mask R-CNN": "maskrcnn-v1", "Mask R-CNN v2": "maskrcnn", "PointRend": "pointrend"}
"""Rows of detectors of instances, and their names; the report's Mask R-CNN is version 1."""

Features = Literal["keys", "queries", "values"]
_FEATURES: tuple[Features, ...] = ("keys", "queries", "values")

DISCOVERIES: dict[str, tuple[str, Features | None]] = {
    f"LOST {size}, {features}": (name, features)
    for size, name in (("B/16", "lost-b16"), ("S/16", "lost"))
    for features in _FEATURES
} | {"LOST stcn-lite": ("lost-lite", None)}
"""Rows of LOST: its detector, and what of the last attention is compared. The report's are B/16, keys."""


def source_names(truth: Literal["masks", "boxes"]) -> tuple[str, ...]:
    """Names of all sources of first frames, for masks or for boxes."""
    filled = ("boxes, filled",) if truth == "masks" else ()
    return ("ground truth", *filled, "boxes, GrabCut", *INSTANCES, "DeepLabV3", *DISCOVERIES, "motion")


def every(n: int) -> Row:
    """Every n-th frame is kept, and the previous one is read besides, as the paper does with 5."""
    options = ("--mem-every", str(n), "--memory-policy", "all", "--include-last")
    return Row(f"every {n} frames", options=options)


def first_frames(
    published: Mapping[str, tuple[float, float, float, float]], truth: Literal["masks", "boxes"]
) -> tuple[Row, ...]:
    """A row for each source of first frames, with J&F, J, F and frames/s by row."""
    numbers = {name: dict(zip((*DAVIS, SPEED), values, strict=True)) for name, values in published.items()}
    return tuple(
        Row(name, numbers.get(name, {}), first=None if name == "ground truth" else name)
        for name in source_names(truth)
    )


def _davis(paper: str, name: str, title: str, rows: tuple[Row, ...], **more: Any) -> Table:
    return Table(paper, name, title, "davis", DAVIS, rows, subset="val", percent=True, **more)


_DATA = "published with YouTube-VOS in the training data; J as in the abstract"

TABLES = (
    Table(
        "stm",
        "youtube-vos",
        "Table 1: YouTube-VOS 2018 val",
        "ytvos",
        YOUTUBE,
        (Row("STM", dict(zip(YOUTUBE, (79.4, 79.7, 84.2, 72.8, 80.9), strict=True))),),
        model="stm",
        subset="valid",
        percent=True,
        server="https://youtube-vos.org/dataset/vos/",
    ),
    _davis(
        "stm",
        "davis-2016",
        "Table 2: DAVIS 2016 val",
        (Row("STM", {"J": 88.7}),),
        model="stm",
        year="2016",
        remark=_DATA,
    ),
    _davis(
        "stm", "davis-2017", "Table 3: DAVIS 2017 val", (Row("STM", {"J": 79.2}),), model="stm", remark=_DATA
    ),
    _davis(
        "stm",
        "memory",
        "Figure 7: which frames are memory, DAVIS 2017 val",
        (
            Row("first frame only", options=(*NEVER, "--no-include-last")),
            Row("previous frame only", options=ONLY_PREVIOUS),
            Row("first and previous", options=(*NEVER, "--include-last")),
            *map(every, (10, 5, 2)),
        ),
        model="stm",
        curve="J",
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
                "LOST B/16, keys": (25.7, 23.9, 27.6, 19.9),
            },
            "masks",
        ),
        model="stcn",
        remark="masks of LOST are drawn to the edges by CRF; the paper of STCN has 20.2 frames/s (Table 1)",
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
                "LOST B/16, keys": (17.2, 20.9, 13.5, 28.8),
            },
            "boxes",
        ),
        model="stcn",
        percent=True,
        remark="published on 13 videos; whole boxes are followed, and the truth is boxes, filled",
    ),
)
