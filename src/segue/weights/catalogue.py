"""The networks that can be loaded by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor

from segue.models.cutie import Cutie
from segue.models.deeplab import DeepLabV3
from segue.models.detection.mask_rcnn import MaskRCNN, rename_v1
from segue.models.detection.nanodet import NanoDetPlus
from segue.models.detection.pointrend import PointRend, rename_release
from segue.models.dino import DINO, rename_training
from segue.models.fgsegnet import FgSegNetV2
from segue.models.hf_video import VideoClass, fresh, read_folder
from segue.models.hofam import HOFAM
from segue.models.msstsvis import MSSTSVIS, Parts, ReleasedMSSTSVIS
from segue.models.msstsvis.lite import MSSTSVISLite
from segue.models.msstsvis.network import R18_SIZE
from segue.models.mustan import MUSTAN1, MUSTAN2
from segue.models.mustan_lite import MustanLite, shipped_slim
from segue.models.sam2 import SAM2, SizeName
from segue.models.sam2.network import SIZES
from segue.models.segue_prompt import SeguePrompt
from segue.models.seqformer import SeqFormer
from segue.models.seqformer.network import YOUTUBE_VIS_2019, BackboneName, parse_names
from segue.models.stcn import STCN, STCNLite
from segue.models.stm import STM
from segue.models.xmem import XMem
from segue.registry import MODELS, Entry
from segue.weights.download import Remote


def instance_network(kind: str, backbone: BackboneName, classes: str = "", parts: str = "") -> SeqFormer:
    """A network of the published size, or for the trunk ``r18`` a small one, with fresh weights.

    Class names are written as :func:`segue.models.seqformer.network.names_text` does; by default they are
    those of YouTube-VIS 2019, on which the published files were trained. Only ``msstsvis`` has parts, as
    :meth:`segue.models.msstsvis.Parts.text` writes them; by default all.

    Args:
        kind: ``seqformer``, ``msstsvis`` or ``msstsvis-released``.
        backbone: name of the trunk.
        classes: class names as text; empty takes those of YouTube-VIS 2019.
        parts: parts as text; empty takes all.

    Returns:
        The network.

    Raises:
        ValueError: there are parts for a network without them.
    """
    if parts and kind != "msstsvis":
        raise ValueError(f"{kind} has no parts")
    network: SeqFormer
    if kind == "msstsvis":
        chosen = Parts.parse(parts) if parts else Parts()
        network = MSSTSVIS(backbone, R18_SIZE if backbone == "r18" else None, chosen)
    else:
        network = {"seqformer": SeqFormer, "msstsvis-released": ReleasedMSSTSVIS}[kind](backbone)
    network.class_names = dict(YOUTUBE_VIS_2019)
    if classes:
        network.class_names = parse_names(classes, network.size.classes)
        network.options["classes"] = classes
    if parts:
        network.options["parts"] = parts
    return network


_MSSTSVIS_PAPER = "after Thawakar et al., ECCV 2022 (arXiv 2203.13253)"
_MUSTAN_PAPER = "after Pokala et al., 2024 (arXiv 2402.00918)"
_OWN = "see the model card; the training data are partly for research only"
_FREE = "MIT, as segue, and Apache-2.0 for the trunk it started from; see the model card"
_TORCHVISION = "BSD-3-Clause, https://github.com/pytorch/vision"

_XMEM_PAPER = "Cheng and Schwing, ECCV 2022 (arXiv 2207.07115)"
_XMEM_LICENCE = "code MIT, none is stated for the weights, https://github.com/hkchengrex/XMem"
_CUTIE_PAPER = "Cheng et al., CVPR 2024 (arXiv 2310.12982)"
_CUTIE_LICENCE = "code MIT, none is stated for the weights, https://github.com/hkchengrex/Cutie"
_CUTIE_QUERIES = "object_transformer.query_init.weight"

_TRUNKS: Mapping[BackboneName, str] = {
    "r18": "detr.backbone.0.body.layer4.1.conv2.weight",
    "r50": "detr.backbone.0.body.layer3.5.conv1.weight",
    "r101": "detr.backbone.0.body.layer3.22.conv1.weight",
    "swin-l": "detr.backbone.0.body.patch_embed.proj.weight",
}
"""A tensor that only files with the trunk have."""


def _seqformer(trunk: BackboneName, rank: int, drive: str) -> Entry:
    return Entry(
        name=f"seqformer-{trunk}",
        task="instances",
        build=partial(instance_network, "seqformer", trunk),
        signature="detr.transformer.decoder.layers.0.time_attention_weights.weight",
        required_key=_TRUNKS[trunk],
        paper="Wu et al., ECCV 2022 (arXiv 2112.08275)",
        licence="MIT, https://github.com/wjf5203/SeqFormer",
        rank=rank,
        source=f"https://drive.google.com/file/d/{drive}",
    )


def _msstsvis(trunk: BackboneName, trained_by: str | None = None) -> Entry:
    return Entry(
        name=f"msstsvis-{trunk}",
        task="instances",
        build=partial(instance_network, "msstsvis", trunk),
        signature="detr.transformer.encoder.layers.0.ms_sts.out_proj.weight",
        required_key=_TRUNKS[trunk],
        trained_by=trained_by,
        paper=_MSSTSVIS_PAPER,
        licence="none are published",
    )


def _release(repository: str, name: str, md5: str | None = None) -> Remote:
    """A file of the release of XMem or Cutie."""
    address = f"https://github.com/hkchengrex/{repository}/releases/download/v1.0/{name}"
    return Remote(address, name, md5=md5)


def _dino(name: str, width: int, release: str) -> Entry:
    return Entry(
        name=name,
        task="features",
        build=partial(DINO, width),
        signature="pos_embed",
        required_key="blocks.0.attn.qkv.weight",
        shape=(1, 197, width),
        paper="Caron et al., ICCV 2021 (arXiv 2104.14294)",
        licence="that of the release, https://github.com/facebookresearch/dino",
        remote=Remote(f"https://dl.fbaipublicfiles.com/dino/{release}/{release}.pth", f"{release}.pth"),
        rename=rename_training,
    )


def _sam2(size: SizeName) -> Entry:
    trunk, file = SIZES[size], f"sam2.1_hiera_{size.replace('+', '_plus')}.pt"
    width = trunk.widths[-1]
    return Entry(
        name=f"sam2-{size}",
        task="track",
        build=partial(SAM2, size),
        # The last block: its number tells the depth, its shape the width.
        signature=f"image_encoder.trunk.blocks.{sum(trunk.blocks) - 1}.attn.qkv.weight",
        shape=(3 * width, width),
        required_key="no_obj_embed_spatial",  # SAM 2.0 has none
        paper="Ravi et al., 2024 (arXiv 2408.00714), SAM 2.1",
        licence="Apache-2.0, https://github.com/facebookresearch/sam2",
        remote=Remote(f"https://dl.fbaipublicfiles.com/segment_anything_2/092824/{file}", file),
        prompts=frozenset({"mask", "box", "point"}),
    )


def _transformers(name: str, kind: VideoClass, signature: str, hub: str, paper: str) -> Entry:
    return Entry(
        name=name,
        task="track",
        build=partial(fresh, kind),
        signature=signature,
        required_key="memory_temporal_positional_encoding",
        read=partial(read_folder, kind),
        paper=paper,
        licence="Apache-2.0",
        source=f"https://huggingface.co/{hub} (hf download {hub} --local-dir FOLDER)",
        prompts=frozenset({"mask", "box", "point"}),
    )


# Of entries whose files have a name in common, the larger network comes first: see `recognise`.
ENTRIES = (
    Entry(
        name="stcn-lite",
        task="track",
        build=STCNLite,
        signature="key_encoder.stem.weight",
        paper="after Cheng et al., NeurIPS 2021 (arXiv 2106.05210)",
        licence=_OWN,
        bundled="stcn-lite.safetensors",
        sha256="9f290f36988fe0ab704d2566cb343db89da28477a3b8c6433e0588aba915275a",
    ),
    Entry(
        name="stcn-lite-free",
        task="track",
        build=STCNLite,
        signature="key_encoder.stem.weight",
        paper="after Cheng et al., NeurIPS 2021 (arXiv 2106.05210)",
        licence=_FREE,
        bundled="stcn-lite-free.safetensors",
        sha256="86d754cef44874c71b91422c0c1f30ecc7cf9ad15e181c55f6ab57916272f9ff",
        trained_by="stcn-lite",
        prompter="segue-prompt-free",
    ),
    Entry(
        name="stcn",
        task="track",
        build=STCN,
        signature="value_encoder.fuser.block1.conv1.weight",
        required_key="key_comp.weight",
        paper="Cheng et al., NeurIPS 2021 (arXiv 2106.05210)",
        rank=1,
        licence="that of the release, https://github.com/hkchengrex/STCN",
        source="https://drive.google.com/uc?id=1mRrE0uCI2ktdWlUgapJI_KmgeIiF2eOm (stcn.pth)",
    ),
    Entry(
        name="stm",
        task="track",
        build=STM,
        signature="KV_M_r4.Key.weight",
        paper="Oh et al., ICCV 2019 (arXiv 1904.00607)",
        licence="CC BY-NC-SA 4.0, non-commercial use only",
        source="https://www.dropbox.com/s/mtfxdr93xc3q55i/STM_weights.pth?dl=1 (STM_weights.pth)",
    ),
    *(_sam2(size) for size in SIZES),
    _transformers(
        "edgetam-hf",
        "EdgeTamVideo",
        "spatial_perceiver.layer_norm.weight",
        "yonigozlan/EdgeTAM-hf",
        "Zhou et al., CVPR 2025 (arXiv 2501.07256)",
    ),
    _transformers(
        "sam2-hf",
        "Sam2Video",
        "vision_encoder.backbone.pos_embed_window",
        "facebook/sam2.1-hiera-tiny",
        "Ravi et al., 2024 (arXiv 2408.00714)",
    ),
    Entry(
        name="xmem",
        task="track",
        build=XMem,
        signature="decoder.hidden_update.transform.weight",
        paper=_XMEM_PAPER,
        licence=_XMEM_LICENCE,
        remote=_release("XMem", "XMem.pth"),
    ),
    Entry(
        name="xmem-no-sensory",
        task="track",
        build=partial(XMem, hidden_channels=0),
        signature="decoder.fuser.block1.conv1.weight",
        required_key="key_proj.e_proj.weight",
        shape=(512, 1536, 3, 3),
        paper=_XMEM_PAPER,
        licence=_XMEM_LICENCE,
        remote=_release("XMem", "XMem-no-sensory.pth"),
    ),
    Entry(
        name="cutie",
        task="track",
        build=Cutie,
        signature="pixel_encoder.res2.0.conv3.weight",
        required_key=_CUTIE_QUERIES,
        paper=_CUTIE_PAPER,
        licence=_CUTIE_LICENCE,
        remote=_release("Cutie", "cutie-base-mega.pth", md5="a6071de6136982e396851903ab4c083a"),
    ),
    Entry(
        name="cutie-small",
        task="track",
        build=partial(Cutie, "small"),
        signature="pixel_encoder.res2.0.conv1.weight",
        required_key=_CUTIE_QUERIES,
        shape=(64, 64, 3, 3),
        paper=_CUTIE_PAPER,
        licence=_CUTIE_LICENCE,
        trained_by="cutie --size small",
        remote=_release("Cutie", "cutie-small-mega.pth"),
    ),
    Entry(
        name="mustan-lite",
        task="foreground",
        build=MustanLite,
        signature="fuse.0.conv.weight",
        paper=_MUSTAN_PAPER,
        licence=_OWN,
        bundled="mustan-lite.safetensors",
        sha256="5e93d08846ee30c6ec9951c85fe17b8fe4f50c4255ba5e6d4a684621a760feaf",
    ),
    Entry(
        name="mustan-slim",
        task="foreground",
        build=shipped_slim,
        signature="encoder.4.conv3.weight",
        paper=_MUSTAN_PAPER,
        licence=_OWN,
        bundled="mustan-slim.safetensors",
        sha256="dd176f64db10d7c36604bed51f2e857c05ca92e56d17074c4f3a567546ccf41b",
    ),
    Entry(
        name="mustan-slim-isd",
        task="foreground",
        build=shipped_slim,
        signature="encoder.4.conv3.weight",
        paper=_MUSTAN_PAPER,
        licence="MIT, as segue; trained on rendered rooms alone",
        bundled="mustan-slim-isd.safetensors",
        sha256="9e8119b983c482e5bb16e79749d00a690ef67f2cd65614f27eded1b1f8969a35",
        trained_by="mustan-slim",
    ),
    Entry(
        name="segue-prompt",
        task="prompt",
        build=SeguePrompt,
        signature="prompt.0.conv.weight",
        paper="after Sofiiuk et al., ICIP 2022 (arXiv 2102.06583)",
        licence=_OWN,
        bundled="segue-prompt.safetensors",
        sha256="a241bf96058d5ba75f4205d6c10118580c6f776cb4794d693d2c37173260357c",
        trained_by="prompt",
    ),
    Entry(
        name="segue-prompt-free",
        task="prompt",
        build=SeguePrompt,
        signature="prompt.0.conv.weight",
        paper="after Sofiiuk et al., ICIP 2022 (arXiv 2102.06583)",
        licence=_FREE,
        bundled="segue-prompt-free.safetensors",
        sha256="8a4cd7d1f193027c4d1e82abe3bdee6311c3fb4e15d4866c49784bc6f4e4fcf4",
        trained_by="prompt",
    ),
    Entry(
        name="mustan2",
        task="foreground",
        build=MUSTAN2,
        signature="enc_cur.conv1.weight",
        paper=_MUSTAN_PAPER,
        licence="none are published",
    ),
    Entry(
        name="mustan1",
        task="foreground",
        build=MUSTAN1,
        signature="fnet.conv1.weight",
        paper=_MUSTAN_PAPER,
        licence="none are published",
    ),
    Entry(
        name="hofam",
        task="foreground",
        short_side=256,
        needs_flow=True,
        build=HOFAM,
        signature="enc_flow.1.conv.weight",
        paper="IEEE Transactions on Multimedia 2025 (CrossNet)",
        licence="none is stated by the release, https://github.com/WeiZongqi/HOFAM",
        source="the release's TensorFlow checkpoint, exported to .npz (see docs/systems/hofam.md)",
    ),
    Entry(
        name="stam",
        task="foreground",
        short_side=256,
        needs_flow=True,
        build=partial(HOFAM, flow_mode="single"),
        signature="enc_flow.1.conv.weight",
        paper="Liang et al., Sensors 2019, 19(23), 5142",
        licence="none are published",
        trained_by="hofam --flow-mode single",
    ),
    Entry(
        name="fgsegnet",
        task="foreground",
        build=FgSegNetV2,
        signature="fpm.pool_proj.weight",
        paper="Lim and Keles, Pattern Analysis and Applications 2019 (arXiv 1808.01477)",
        licence="that of the release, https://github.com/lim-anggun/FgSegNet_v2",
        source="one .h5 file for each scene, https://github.com/lim-anggun/FgSegNet_v2",
    ),
    Entry(
        name="msstsvis-lite",
        task="instances",
        build=MSSTSVISLite,
        signature="queries.place.weight",
        paper=_MSSTSVIS_PAPER,
        licence=_OWN,
        bundled="msstsvis-lite.safetensors",
        sha256="9490f6697dbfb3ac1674baf5bd2ca9f2f99695eb6ed49e087ce4e6fea46b4630",
    ),
    Entry(
        name="nanodet",
        task="detect",
        build=NanoDetPlus,
        signature="head.gfl_cls.0.weight",
        paper="NanoDet-Plus-m 416, https://github.com/RangiLyu/nanodet",
        licence="Apache-2.0, copyright 2020-2021 RangiLyu",
        bundled="nanodet.safetensors",
        sha256="b3a87fcf07279935f2ce17a2fffe9ec5c5e0cbbc2fb7ee3a0a39d2b15c080f51",
    ),
    _msstsvis("r101", trained_by="msstsvis --backbone r101"),
    _msstsvis("r50", trained_by="msstsvis"),
    _msstsvis("swin-l", trained_by="msstsvis --backbone swin-l"),
    _msstsvis("r18"),
    Entry(
        name="msstsvis-released",
        task="instances",
        build=partial(instance_network, "msstsvis-released", "r50"),
        signature="detr.transformer.decoder.layers.0.temp_attn_box.qkv.weight",
        paper="code beside Thawakar et al., ECCV 2022 (arXiv 2203.13253)",
        licence="none is stated by the release, https://github.com/OmkarThawakar/MSSTS-VIS",
        source="a training with the released code, https://github.com/OmkarThawakar/MSSTS-VIS",
    ),
    _seqformer("r101", 2, "1bUaMVz5zITzKzqnQC8aM9Ul0KrQ6sKgn (SeqFormer_r101)"),
    _seqformer("r50", 3, "1ecKUrt9vNZscI4gaGCrvjRLu6rDM9wNX (SeqFormer_r50)"),
    _seqformer("swin-l", 1, "1lENhEaMVhP9DylTcQFElPMVQOfKqmo0a (SeqFormer_swin_L)"),
    Entry(
        name="maskrcnn",
        task="detect",
        build=MaskRCNN,
        signature="roi_heads.box_head.5.weight",
        required_key="roi_heads.mask_predictor.conv5_mask.weight",
        paper="He et al., ICCV 2017 (arXiv 1703.06870); Li et al., 2021 (arXiv 2111.11429)",
        licence=_TORCHVISION,
        remote=Remote(
            "https://download.pytorch.org/models/maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth",
            "maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth",
            sha256="73cbd019",
        ),
    ),
    Entry(
        name="maskrcnn-v1",
        task="detect",
        build=partial(MaskRCNN, 1),
        signature="roi_heads.box_head.fc6.weight",
        required_key="roi_heads.mask_predictor.conv5_mask.weight",
        paper="He et al., ICCV 2017 (arXiv 1703.06870)",
        licence=_TORCHVISION,
        remote=Remote(
            "https://download.pytorch.org/models/maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
            "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
            sha256="bf2d0c1e",
        ),
        rename=rename_v1,
    ),
    Entry(
        name="pointrend",
        task="detect",
        build=PointRend,
        signature="roi_heads.mask_head.point_head.predictor.weight",
        paper="Kirillov et al., CVPR 2020 (arXiv 1912.08193)",
        licence="that of the release, https://github.com/facebookresearch/detectron2",
        remote=Remote(
            "https://dl.fbaipublicfiles.com/detectron2/PointRend/InstanceSegmentation/"
            "pointrend_rcnn_R_50_FPN_3x_coco/164955410/model_final_edd263.pkl",
            "pointrend_rcnn_R_50_FPN_3x_coco.pkl",
        ),
        rename=rename_release,
    ),
    _dino("dino-s16", 384, "dino_deitsmall16_pretrain"),
    _dino("dino-b16", 768, "dino_vitbase16_pretrain"),
    Entry(
        name="deeplab",
        task="detect",
        build=DeepLabV3,
        signature="concat_projection.conv.weight",
        paper="Chen et al., 2017 (arXiv 1706.05587)",
        licence="Apache-2.0, https://github.com/google-coral/test_data",
        source=(
            "https://github.com/google-coral/test_data (deeplabv3_mnv2_pascal_quant.tflite), its weights "
            "stored as safetensors under the names of the network (see docs/detection.md)"
        ),
    ),
)


def recognise(tensors: Mapping[str, Tensor]) -> Entry | None:
    """The first entry whose files hold such tensors, or None.

    Args:
        tensors: tensors by name, as :func:`segue.weights.read_checkpoint` reads them. Names decide, and for
            some entries the shape of one tensor.

    Returns:
        An entry of the registry of networks, in its order; None if no entry fits.
    """
    return next((entry for entry in MODELS if entry.recognises(tensors)), None)
