"""Networks for video object segmentation (tracking)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from segue.entries.networks import Remote
from segue.models.sam2.sizes import SIZES, SizeName
from segue.registry import Entry
from segue.utils.lazy import LazyCallable
from segue.weights.catalogue.terms import FREE, SEGUE_TERMS
from segue.weights.download import drive_address

_XMEM_PAPER = "Cheng and Schwing, ECCV 2022 (arXiv 2207.07115)"
_XMEM_LICENCE = "code MIT, weights not stated, https://github.com/hkchengrex/XMem"
_CUTIE_PAPER = "Cheng et al., CVPR 2024 (arXiv 2310.12982)"
_CUTIE_LICENCE = "code MIT, weights not stated, https://github.com/hkchengrex/Cutie"
_CUTIE_QUERIES = "object_transformer.query_init.weight"


_SAM2_FILES: Mapping[SizeName, tuple[int, str]] = {
    "tiny": (156_008_466, "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69"),
    "small": (184_416_285, "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38"),
    "base+": (323_606_802, "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5"),
    "large": (898_083_611, "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318"),
}
"""Bytes and SHA-256 of the released files, as at least two independent public sources state them."""


def _release(repository: str, name: str, **kwargs: Any) -> Remote:
    """A file of the release of XMem or Cutie."""
    address = f"https://github.com/hkchengrex/{repository}/releases/download/v1.0/{name}"
    return Remote(address, name, **kwargs)


def _sam2(size: SizeName) -> Entry:
    trunk, file = SIZES[size], f"sam2.1_hiera_{size.replace('+', '_plus')}.pt"
    width, (bytes_, digest) = trunk.widths[-1], _SAM2_FILES[size]
    return Entry(
        name=f"sam2-{size}",
        task="track",
        build=partial(LazyCallable("segue.models.sam2.network:SAM2"), size),
        # The last block: its number tells the depth, its shape the width.
        signature=f"image_encoder.trunk.blocks.{sum(trunk.blocks) - 1}.attn.qkv.weight",
        shape=(3 * width, width),
        required_key="no_obj_embed_spatial",  # SAM 2.0 has none
        paper="Ravi et al., 2024 (arXiv 2408.00714), SAM 2.1",
        licence="Apache-2.0, https://github.com/facebookresearch/sam2",
        commercial=True,
        remote=Remote(
            f"https://dl.fbaipublicfiles.com/segment_anything_2/092824/{file}",
            file,
            size=bytes_,
            sha256=digest,
        ),
        prompts=frozenset({"mask", "box", "point"}),
    )


# Of entries whose files have a name in common, the larger network comes first: see `recognise`.
ENTRIES = (
    Entry(
        name="stcn-lite",
        task="track",
        build=LazyCallable("segue.models.stcn:STCNLite"),
        signature="key_encoder.stem.weight",
        paper="after Cheng et al., NeurIPS 2021 (arXiv 2106.05210)",
        licence=SEGUE_TERMS,
        bundled="stcn-lite.safetensors",
        sha256="2ae79ceae0bcfb64fedb9a5a678e792b6602892e662915630bc4206d057823e8",
    ),
    Entry(
        name="stcn-lite-free",
        task="track",
        build=LazyCallable("segue.models.stcn:STCNLite"),
        signature="key_encoder.stem.weight",
        paper="after Cheng et al., NeurIPS 2021 (arXiv 2106.05210)",
        licence=FREE,
        commercial=True,
        bundled="stcn-lite-free.safetensors",
        sha256="0a43f0c200962660fe0c14188146b8cbbe441a5e47434ded8ddccc614e56f165",
        trained_by="stcn-lite",
        prompter="segue-prompt-free",
    ),
    Entry(
        name="stcn",
        task="track",
        build=LazyCallable("segue.models.stcn:STCN"),
        signature="value_encoder.fuser.block1.conv1.weight",
        required_key="key_comp.weight",
        paper="Cheng et al., NeurIPS 2021 (arXiv 2106.05210)",
        rank=1,
        licence="terms of the release, https://github.com/hkchengrex/STCN",
        remote=Remote(drive_address("1mRrE0uCI2ktdWlUgapJI_KmgeIiF2eOm"), "stcn.pth"),
    ),
    Entry(
        name="stm",
        task="track",
        build=LazyCallable("segue.models.stm:STM"),
        signature="KV_M_r4.Key.weight",
        paper="Oh et al., ICCV 2019 (arXiv 1904.00607)",
        licence="CC BY-NC-SA 4.0, non-commercial use only",
        remote=Remote("https://www.dropbox.com/s/mtfxdr93xc3q55i/STM_weights.pth?dl=1", "STM_weights.pth"),
    ),
    *(_sam2(size) for size in SIZES),
    Entry(
        name="edgetam",
        task="track",
        build=LazyCallable("segue.models.edgetam:EdgeTAM"),
        signature="spatial_perceiver.latents_2d",
        paper="Zhou et al., CVPR 2025 (arXiv 2501.07256)",
        licence="Apache-2.0, https://github.com/facebookresearch/EdgeTAM",
        commercial=True,
        remote=Remote(
            "https://github.com/facebookresearch/EdgeTAM/raw/"
            "9cc44bfe9e16cc374242917b91283c718410ea87/checkpoints/edgetam.pt",
            "edgetam.pt",
        ),
        prompts=frozenset({"mask", "box", "point"}),
    ),
    Entry(
        name="xmem",
        task="track",
        build=LazyCallable("segue.models.xmem:XMem"),
        signature="decoder.hidden_update.transform.weight",
        paper=_XMEM_PAPER,
        licence=_XMEM_LICENCE,
        remote=_release(
            "XMem",
            "XMem.pth",
            size=249_026_057,
            sha256="27776291d2f0639b4e6b372a67651579b51180aa4d8f8f89bbff2dcc09ebf6f9",
        ),
    ),
    Entry(
        name="xmem-no-sensory",
        task="track",
        build=partial(LazyCallable("segue.models.xmem:XMem"), hidden_channels=0),
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
        build=LazyCallable("segue.models.cutie.network:Cutie"),
        signature="pixel_encoder.res2.0.conv3.weight",
        required_key=_CUTIE_QUERIES,
        paper=_CUTIE_PAPER,
        licence=_CUTIE_LICENCE,
        remote=_release(
            "Cutie",
            "cutie-base-mega.pth",
            size=140_443_788,
            sha256="9c05402ee36d3a356fb72715d263ba7e1ea06ad3bada48c1306491792da43023",
            md5="a6071de6136982e396851903ab4c083a",
        ),
    ),
    Entry(
        name="cutie-small",
        task="track",
        build=partial(LazyCallable("segue.models.cutie.network:Cutie"), "small"),
        signature="pixel_encoder.res2.0.conv1.weight",
        required_key=_CUTIE_QUERIES,
        shape=(64, 64, 3, 3),
        paper=_CUTIE_PAPER,
        licence=_CUTIE_LICENCE,
        trained_by="cutie --size small",
        remote=_release("Cutie", "cutie-small-mega.pth"),
    ),
)
