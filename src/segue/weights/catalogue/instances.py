"""Networks for video instance segmentation."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from segue.entries.networks import Remote
from segue.registry import Entry
from segue.utils.lazy import LazyCallable
from segue.weights.catalogue.terms import SEGUE_TERMS
from segue.weights.download import drive_address

if TYPE_CHECKING:
    from segue.models.seqformer.network import BackboneName

_MSSTSVIS_PAPER = "after Thawakar et al., ECCV 2022 (arXiv 2203.13253)"
_TRUNKS: Mapping[BackboneName, str] = {
    "r18": "detr.backbone.0.body.layer4.1.conv2.weight",
    "r50": "detr.backbone.0.body.layer3.5.conv1.weight",
    "r101": "detr.backbone.0.body.layer3.22.conv1.weight",
    "x101": "detr.backbone.0.body.layer3.22.conv1.weight",
    "swin-l": "detr.backbone.0.body.patch_embed.proj.weight",
}
"""A tensor that only files with the trunk have."""

_NETWORK = LazyCallable("segue.models.instance_networks:instance_network")


def _seqformer(trunk: BackboneName, rank: int, drive: str, shape: tuple[int, ...] | None = None) -> Entry:
    return Entry(
        name=f"seqformer-{trunk}",
        task="instances",
        build=partial(_NETWORK, "seqformer", trunk),
        signature=_TRUNKS[trunk],
        required_key="detr.transformer.decoder.layers.0.time_attention_weights.weight",
        shape=shape,
        paper="Wu et al., ECCV 2022 (arXiv 2112.08275)",
        licence="MIT, https://github.com/wjf5203/SeqFormer",
        rank=rank,
        remote=Remote(drive_address(drive), f"SeqFormer_{trunk}.pth"),
    )


def _msstsvis(trunk: BackboneName, trained_by: str | None = None) -> Entry:
    return Entry(
        name=f"msstsvis-{trunk}",
        task="instances",
        build=partial(_NETWORK, "msstsvis", trunk),
        signature="detr.transformer.encoder.layers.0.ms_sts.out_proj.weight",
        required_key=_TRUNKS[trunk],
        trained_by=trained_by,
        paper=_MSSTSVIS_PAPER,
        licence="not published",
    )


# Of entries whose files have a name in common, the larger network comes first: see `recognise`.
ENTRIES = (
    Entry(
        name="msstsvis-lite",
        task="instances",
        build=LazyCallable("segue.models.msstsvis.lite:MSSTSVISLite"),
        signature="queries.place.weight",
        paper=_MSSTSVIS_PAPER,
        licence=SEGUE_TERMS,
        bundled="msstsvis-lite.safetensors",
        sha256="9490f6697dbfb3ac1674baf5bd2ca9f2f99695eb6ed49e087ce4e6fea46b4630",
    ),
    _msstsvis("r101", trained_by="msstsvis --backbone r101"),
    _msstsvis("r50", trained_by="msstsvis"),
    _msstsvis("swin-l", trained_by="msstsvis --backbone swin-l"),
    _msstsvis("r18"),
    Entry(
        name="msstsvis-released",
        task="instances",
        build=partial(_NETWORK, "msstsvis-released", "r50"),
        signature="detr.transformer.decoder.layers.0.temp_attn_box.qkv.weight",
        paper="code beside Thawakar et al., ECCV 2022 (arXiv 2203.13253)",
        licence="not stated by the release, https://github.com/OmkarThawakar/MSSTS-VIS",
        source="a training with the released code, https://github.com/OmkarThawakar/MSSTS-VIS",
    ),
    _seqformer("x101", 2, "1cB9cleZWmiited6JEYVZ9P9PyfyAzy_m", (1024, 1024, 1, 1)),
    _seqformer("r101", 3, "1bUaMVz5zITzKzqnQC8aM9Ul0KrQ6sKgn"),
    _seqformer("r50", 4, "1ecKUrt9vNZscI4gaGCrvjRLu6rDM9wNX"),
    _seqformer("swin-l", 1, "1lENhEaMVhP9DylTcQFElPMVQOfKqmo0a"),
)
