"""Networks for foreground segmentation."""

from __future__ import annotations

from functools import partial

from segue.registry import Entry
from segue.utils.lazy import LazyCallable
from segue.weights.catalogue.terms import SEGUE_TERMS

_MUSTAN_PAPER = "after Pokala et al., 2024 (arXiv 2402.00918)"


# Of entries whose files have a name in common, the larger network comes first: see `recognise`.
ENTRIES = (
    Entry(
        name="mustan-lite",
        task="foreground",
        build=LazyCallable("segue.models.mustan_lite:MustanLite"),
        signature="fuse.0.conv.weight",
        paper=_MUSTAN_PAPER,
        licence=SEGUE_TERMS,
        bundled="mustan-lite.safetensors",
        sha256="7751ce45d00cef2d231d54c461ee40f6c69053c4f9617b0990e3ca4e5e03fb94",
    ),
    Entry(
        name="mustan2",
        task="foreground",
        build=LazyCallable("segue.models.mustan:MUSTAN2"),
        signature="enc_cur.conv1.weight",
        paper=_MUSTAN_PAPER,
        licence="not published",
    ),
    Entry(
        name="mustan1",
        task="foreground",
        build=LazyCallable("segue.models.mustan:MUSTAN1"),
        signature="fnet.conv1.weight",
        paper=_MUSTAN_PAPER,
        licence="not published",
    ),
    Entry(
        name="hofam",
        task="foreground",
        needs_flow=True,
        build=LazyCallable("segue.models.hofam:HOFAM"),
        signature="enc_flow.1.conv.weight",
        paper="IEEE Transactions on Multimedia 2025 (CrossNet)",
        licence="not stated by the release, https://github.com/WeiZongqi/HOFAM",
        source="the release's TensorFlow checkpoint, exported to .npz (see docs/systems/hofam.md)",
    ),
    Entry(
        name="stam",
        task="foreground",
        needs_flow=True,
        build=partial(LazyCallable("segue.models.hofam:HOFAM"), flow_mode="single"),
        signature="enc_flow.1.conv.weight",
        paper="Liang et al., Sensors 2019, 19(23), 5142",
        licence="not published",
        trained_by="hofam --flow-mode single",
    ),
    *(
        Entry(
            name=name,
            task="foreground",
            build=partial(LazyCallable("segue.models.semantic:SemanticNetwork"), name),
            signature=signature,
            packages=("segmentation-models-pytorch",),
            paper=paper,
            licence="not published",
            trained_by=f"semantic --architecture {name}",
        )
        for name, signature, paper in (
            (
                "pspnet",
                "network.decoder.psp.blocks.0.pool.1.0.weight",
                "Zhao et al., CVPR 2017 (arXiv 1612.01105)",
            ),
            (
                "deeplabv3plus",
                "network.decoder.aspp.0.convs.0.0.weight",
                "Chen et al., ECCV 2018 (arXiv 1802.02611)",
            ),
        )
    ),
    Entry(
        name="fgsegnet",
        task="foreground",
        build=LazyCallable("segue.models.fgsegnet:FgSegNetV2"),
        signature="fpm.pool_proj.weight",
        paper="Lim and Keles, Pattern Analysis and Applications 2019 (arXiv 1808.01477)",
        licence="not published",
    ),
)
