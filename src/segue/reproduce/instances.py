"""Tables of MS-STS VIS: objects with a class, found and followed."""

from __future__ import annotations

from segue.reproduce.tables import Row, Table, Training

TRACKS = {"AP": "AP", "AP50": "AP50", "AP75": "AP75", "AR1": "AR1", "AR10": "AR10"}


def _published(name: str, model: str, numbers: tuple[float, ...]) -> Row:
    """SeqFormer as released."""
    return Row(name, dict(zip(TRACKS, numbers, strict=True)), model)


def _trained(name: str, backbone: str, numbers: tuple[float, ...], *options: str) -> Row:
    """MS-STS VIS, which begins from SeqFormer: nobody published its weights."""
    given = ("--backbone", backbone, *options)
    training = Training("msstsvis", ("ytvis", "coco"), given, start=f"seqformer-{backbone}")
    model = None if backbone == "r50" and not options else f"msstsvis-{backbone}"
    return Row(name, dict(zip(TRACKS, numbers, strict=False)), model, training=training)


def _table(name: str, title: str, rows: tuple[Row, ...], remark: str | None = None) -> Table:
    return Table(
        "ms-sts",
        name,
        title,
        "ytvis",
        TRACKS,
        rows,
        model="msstsvis-r50",
        subset="valid",
        percent=True,
        server="https://youtube-vos.org/dataset/vis/",
        remark=remark,
    )


TABLES = (
    _table(
        "ytvis-2019",
        "YouTube-VIS 2019 val",
        (
            _published("SeqFormer, R50", "seqformer-r50", (47.4, 69.8, 51.8, 45.5, 54.8)),
            _trained("MS-STS, R50", "r50", (50.1, 73.2, 56.6, 46.1, 57.7)),
            _published("SeqFormer, R101", "seqformer-r101", (49.0, 71.1, 55.7, 46.8, 56.9)),
            _trained("MS-STS, R101", "r101", (51.1, 73.2, 59.0, 48.3, 58.7)),
            _published("SeqFormer, Swin-L", "seqformer-swin-l", (59.3, 82.1, 66.6, 51.7, 64.4)),
            _trained("MS-STS, Swin-L", "swin-l", (61.0, 85.2, 68.6, 54.7, 66.4)),
        ),
    ),
    _table(
        "ytvis-2021",
        "YouTube-VIS 2021 val",
        (Row("SeqFormer, R50", {}, "seqformer-r50"), _trained("MS-STS, R50", "r50", (42.2,))),
        "the poster has AP of one row, and 2.8 points above SeqFormer in AP75",
    ),
    _table(
        "parts",
        "Each part off, YouTube-VIS 2019 val, R50",
        (
            _trained("all parts", "r50", (50.1, 73.2, 56.6, 46.1, 57.7)),
            _trained("without MS-STS attention", "r50", (), "--intra", "none", "--inter", "none"),
            _trained("without attention between scales", "r50", (), "--inter", "none"),
            _trained("without attention inside scales", "r50", (), "--intra", "none"),
            _trained("without attention in the decoder", "r50", (), "--no-decoder-attention"),
            _trained("without separability loss", "r50", (), "--no-separability"),
            _published("none of them: SeqFormer", "seqformer-r50", (47.4, 69.8, 51.8, 45.5, 54.8)),
        ),
        "the poster prints the first and the last row",
    ),
)
