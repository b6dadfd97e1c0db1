"""Tables of STM and of the STCN report: objects followed from their first frames."""

from __future__ import annotations

from collections.abc import Mapping

from segue.reproduce.tables import SPEED, Row, Table

DAVIS = {"J&F": "J&F-Mean", "J": "J-Mean", "F": "F-Mean"}
YOUTUBE = {"overall": "G", "J seen": "J_s", "F seen": "F_s", "J unseen": "J_u", "F unseen": "F_u"}

NEVER = ("--mem-every", "1000000")
"""No frame is kept but those with given masks."""

ONLY_PREVIOUS = ("--mem-every", "1", "--memory-frames", "1", "--memory-policy", "fifo", "--no-include-last")
"""Every frame takes the place of the one before."""


def every(n: int) -> Row:
    """Every n-th frame is kept, and the previous one is read besides, as the paper does with 5."""
    options = ("--mem-every", str(n), "--memory-policy", "all", "--include-last")
    return Row(f"every {n} frames", options=options)


def first_frames(
    published: Mapping[str, tuple[float, float, float, float]], *, boxes: bool
) -> tuple[Row, ...]:
    """A row for each source of first frames.

    Args:
        published: J&F, J, F and frames/s by row.
        boxes: whether whole boxes are followed.
    """
    names = ["ground truth", *([] if boxes else ["boxes, filled"]), "boxes, GrabCut", "Mask R-CNN"]
    names += ["Mask R-CNN v2", "PointRend", "DeepLabV3"]
    names += [f"LOST {size}, {kind}" for size in ("B/16", "S/16") for kind in ("keys", "queries", "values")]
    names += ["LOST stcn-lite", "motion"]
    numbers = {name: dict(zip((*DAVIS, SPEED), values, strict=True)) for name, values in published.items()}
    return tuple(
        Row(name, numbers.get(name, {}), first=None if name == "ground truth" else name) for name in names
    )


TABLES = (
    Table(
        "stm",
        "youtube-vos",
        "Table 1: YouTube-VOS 2018 val",
        "ytvos",
        YOUTUBE,
        (
            Row(
                "STM",
                {"overall": 79.4, "J seen": 79.7, "F seen": 84.2, "J unseen": 72.8, "F unseen": 80.9},
            ),
        ),
        model="stm",
        subset="valid",
        percent=True,
        server="https://youtube-vos.org/dataset/vos/",
    ),
    Table(
        "stm",
        "davis-2016",
        "Table 2: DAVIS 2016 val",
        "davis",
        DAVIS,
        (Row("STM", {"J": 88.7}),),
        model="stm",
        subset="val",
        year="2016",
        percent=True,
        remark="published with YouTube-VOS in the training data; J as in the abstract",
    ),
    Table(
        "stm",
        "davis-2017",
        "Table 3: DAVIS 2017 val",
        "davis",
        DAVIS,
        (Row("STM", {"J": 79.2}),),
        model="stm",
        subset="val",
        percent=True,
        remark="published with YouTube-VOS in the training data; J as in the abstract",
    ),
    Table(
        "stm",
        "memory",
        "Figure 7: which frames are memory, DAVIS 2017 val",
        "davis",
        DAVIS,
        (
            Row("first frame only", options=(*NEVER, "--no-include-last")),
            Row("previous frame only", options=ONLY_PREVIOUS),
            Row("first and previous", options=(*NEVER, "--include-last")),
            *map(every, (10, 5, 2)),
        ),
        model="stm",
        subset="val",
        percent=True,
        curve="J",
        remark="the figure shows a curve and no numbers; the paper's own choice is every 5 frames",
    ),
    Table(
        "stcn-report",
        "davis",
        "Tables 1 and 2: first frames of DAVIS 2017 val",
        "davis",
        DAVIS,
        first_frames(
            {
                "ground truth": (85.3, 82.0, 88.6, 16.9),
                "Mask R-CNN": (69.9, 67.9, 72.0, 17.0),
                "PointRend": (71.1, 68.6, 73.6, 14.9),
                "LOST B/16, keys": (25.7, 23.9, 27.6, 19.9),
            },
            boxes=False,
        ),
        model="stcn",
        subset="val",
        percent=True,
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
            boxes=True,
        ),
        model="stcn",
        percent=True,
        remark="published on 13 videos; whole boxes are followed, and the truth is boxes, filled",
    ),
)
