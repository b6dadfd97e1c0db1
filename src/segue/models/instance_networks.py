"""Create SeqFormer and MS-STS VIS with the backbone, classes and parts of a weight file."""

from __future__ import annotations

from segue.models.msstsvis.network import MSSTSVIS, R18_SIZE, Parts, ReleasedMSSTSVIS
from segue.models.seqformer.network import YOUTUBE_VIS_2019, BackboneName, SeqFormer, parse_names


def instance_network(kind: str, backbone: BackboneName, classes: str = "", parts: str = "") -> SeqFormer:
    """Create a network of the published size, or a small one for ``r18``, with random weights."""
    if parts and kind != "msstsvis":
        raise ValueError(f"{kind} has no parts")
    network: SeqFormer
    if kind == "msstsvis":
        selected_parts = Parts.parse(parts) if parts else Parts()
        network = MSSTSVIS(backbone, R18_SIZE if backbone == "r18" else None, selected_parts)
    else:
        network = {"seqformer": SeqFormer, "msstsvis-released": ReleasedMSSTSVIS}[kind](backbone)
    network.class_names = dict(YOUTUBE_VIS_2019)
    if classes:
        network.class_names = parse_names(classes, network.size.classes)
        network.options["classes"] = classes
    if parts:
        network.options["parts"] = parts
    return network
