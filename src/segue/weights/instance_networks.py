"""Video instance networks as the catalogue builds them: with the names of their classes."""

from __future__ import annotations

from collections.abc import Callable

from segue.models.msstsvis import MSSTSVIS, Parts, ReleasedMSSTSVIS
from segue.models.msstsvis.network import R18_SIZE
from segue.models.seqformer import SeqFormer
from segue.models.seqformer.backbones import BackboneName
from segue.models.seqformer.classes import YOUTUBE_VIS_2019, parse_names

Kind = Callable[[BackboneName], SeqFormer]

KINDS: dict[str, Kind] = {"seqformer": SeqFormer, "msstsvis-released": ReleasedMSSTSVIS}


def instance_network(kind: str, backbone: BackboneName, classes: str = "", parts: str = "") -> SeqFormer:
    """A network of the published size, or for the trunk ``r18`` a small one, with fresh weights.

    Args:
        kind: ``msstsvis`` or one of ``KINDS``.
        backbone: its trunk.
        classes: class names as :func:`segue.models.seqformer.classes.names_text` writes them; by default
            those of YouTube-VIS 2019, on which the published files were trained.
        parts: those of ``msstsvis`` as :meth:`segue.models.msstsvis.Parts.text` writes them; by default all.

    Raises:
        ValueError: names or parts are damaged, or the network has no parts.
    """
    if parts and kind != "msstsvis":
        raise ValueError(f"{kind} has no parts")
    if kind == "msstsvis":
        chosen = Parts.parse(parts) if parts else Parts()
        network: SeqFormer = MSSTSVIS(backbone, R18_SIZE if backbone == "r18" else None, chosen)
    else:
        network = KINDS[kind](backbone)
    network.class_names = dict(YOUTUBE_VIS_2019)
    if classes:
        network.class_names = parse_names(classes, network.size.classes)
        network.options["classes"] = classes
    if parts:
        network.options["parts"] = parts
    return network
