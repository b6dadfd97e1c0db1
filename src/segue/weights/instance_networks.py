"""Video instance networks as the catalogue builds them: with the names of their classes."""

from __future__ import annotations

from collections.abc import Callable

from segue.models.msstsvis import MSSTSVIS, ReleasedMSSTSVIS
from segue.models.seqformer import SeqFormer
from segue.models.seqformer.backbones import BackboneName
from segue.models.seqformer.classes import YOUTUBE_VIS_2019, parse_names

Kind = Callable[[BackboneName], SeqFormer]

KINDS: dict[str, Kind] = {"seqformer": SeqFormer, "msstsvis": MSSTSVIS, "msstsvis-released": ReleasedMSSTSVIS}


def instance_network(kind: str, backbone: BackboneName, classes: str = "") -> SeqFormer:
    """A network of the published size with fresh weights.

    Args:
        kind: one of ``KINDS``.
        backbone: its trunk.
        classes: class names as :func:`segue.models.seqformer.classes.names_text` writes them; by default
            those of YouTube-VIS 2019, on which the published files were trained.

    Raises:
        ValueError: the names are damaged.
    """
    network = KINDS[kind](backbone)
    network.class_names = dict(YOUTUBE_VIS_2019)
    if classes:
        network.class_names = parse_names(classes, network.size.classes)
        network.options = {"classes": classes}
    return network
