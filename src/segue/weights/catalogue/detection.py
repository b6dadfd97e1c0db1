"""Detectors on single images, and networks for appearance features."""

from __future__ import annotations

from functools import partial
from typing import Any

from segue.entries.networks import Remote
from segue.registry import Entry
from segue.utils.lazy import LazyCallable

_TORCHVISION = "BSD-3-Clause, https://github.com/pytorch/vision"


def _dino(name: str, width: int, release: str, **kwargs: Any) -> Entry:
    return Entry(
        name=name,
        task="features",
        build=partial(LazyCallable("segue.models.dino:DINO"), width),
        signature="pos_embed",
        required_key="blocks.0.attn.qkv.weight",
        shape=(1, 197, width),
        paper="Caron et al., ICCV 2021 (arXiv 2104.14294)",
        licence="terms of the release, https://github.com/facebookresearch/dino",
        remote=Remote(
            f"https://dl.fbaipublicfiles.com/dino/{release}/{release}.pth", f"{release}.pth", **kwargs
        ),
        rename=LazyCallable("segue.models.dino:rename_training"),
    )


ENTRIES = (
    Entry(
        name="nanodet",
        task="detect",
        build=LazyCallable("segue.models.detection.nanodet:NanoDetPlus"),
        signature="head.gfl_cls.0.weight",
        paper="NanoDet-Plus-m 416, https://github.com/RangiLyu/nanodet",
        licence="Apache-2.0, copyright 2020-2021 RangiLyu",
        bundled="nanodet.safetensors",
        sha256="b3a87fcf07279935f2ce17a2fffe9ec5c5e0cbbc2fb7ee3a0a39d2b15c080f51",
    ),
    Entry(
        name="maskrcnn",
        task="detect",
        build=LazyCallable("segue.models.detection.mask_rcnn:MaskRCNN"),
        signature="roi_heads.box_head.5.weight",
        required_key="roi_heads.mask_predictor.conv5_mask.weight",
        paper="He et al., ICCV 2017 (arXiv 1703.06870); Li et al., 2021 (arXiv 2111.11429)",
        licence=_TORCHVISION,
        remote=Remote(
            "https://download.pytorch.org/models/maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth",
            "maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth",
            sha256="73cbd0190fcbe3ba339921fbce2c3a0b6bb9126c9a133c85e43a2a8e060a109e",
            size=185_828_065,
        ),
    ),
    Entry(
        name="maskrcnn-v1",
        task="detect",
        build=partial(LazyCallable("segue.models.detection.mask_rcnn:MaskRCNN"), 1),
        signature="roi_heads.box_head.fc6.weight",
        required_key="roi_heads.mask_predictor.conv5_mask.weight",
        paper="He et al., ICCV 2017 (arXiv 1703.06870)",
        licence=_TORCHVISION,
        remote=Remote(
            "https://download.pytorch.org/models/maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
            "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
            sha256="bf2d0c1efbc936eeee2bc95a48e80ebc86b891f61b0106485937fc29f9315fc0",
            size=178_090_079,
        ),
        rename=LazyCallable("segue.models.detection.mask_rcnn:rename_v1"),
    ),
    Entry(
        name="pointrend",
        task="detect",
        build=LazyCallable("segue.models.detection.pointrend:PointRend"),
        signature="roi_heads.mask_head.point_head.predictor.weight",
        paper="Kirillov et al., CVPR 2020 (arXiv 1912.08193)",
        licence="terms of the release, https://github.com/facebookresearch/detectron2",
        remote=Remote(
            "https://dl.fbaipublicfiles.com/detectron2/PointRend/InstanceSegmentation/"
            "pointrend_rcnn_R_50_FPN_3x_coco/164955410/model_final_edd263.pkl",
            "pointrend_rcnn_R_50_FPN_3x_coco.pkl",
        ),
        rename=LazyCallable("segue.models.detection.pointrend:rename_release"),
    ),
    _dino("dino-s16", 384, "dino_deitsmall16_pretrain"),
    _dino(
        "dino-b16",
        768,
        "dino_vitbase16_pretrain",
        size=343_242_485,
        sha256="bf34ad0f424b9029b593e8dc3ed553bf26e88bcba0d32bf3e62a6209cb64c85e",
    ),
    Entry(
        name="deeplab",
        task="detect",
        build=LazyCallable("segue.models.deeplab:DeepLabV3"),
        signature="concat_projection.conv.weight",
        paper="Chen et al., 2017 (arXiv 1706.05587)",
        licence="Apache-2.0, https://github.com/google-coral/test_data",
        source=(
            "https://github.com/google-coral/test_data (deeplabv3_mnv2_pascal_quant.tflite), its weights "
            "stored as safetensors under the names of the network (see docs/detection.md)"
        ),
    ),
)
