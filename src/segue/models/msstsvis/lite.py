"""A small MS-STS VIS of our own that runs on a processor."""

from __future__ import annotations

from segue.models.msstsvis.network import MSSTSVIS, Parts
from segue.models.seqformer.network import Size

LITE_NAMES = {1: "person", 2: "animal", 3: "vehicle", 4: "object"}
"""Classes of ``msstsvis-lite`` by channel; channel 0 is never right, as in the published networks."""

LITE_SIZE = Size(
    width=128,
    hidden=384,
    encoder_layers=2,
    decoder_layers=3,
    heads=4,
    levels=3,
    points=2,
    queries=40,
    classes=len(LITE_NAMES) + 1,
    dropout=0.0,
)


class MSSTSVISLite(MSSTSVIS):
    """MS-STS VIS on MobileNetV2 with fewer layers, channels and queries."""

    def __init__(self) -> None:
        super().__init__("mobilenet-v2", LITE_SIZE, Parts())
        self.class_names = dict(LITE_NAMES)
