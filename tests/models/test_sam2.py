"""SAM 2.1 against the published network, part by part."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.models.sam2 import SAM2, SIZES, Settings
from segue.models.sam2.images import still_image, video_image
from segue.models.sam2.memory import rotary, rotate, sine_distance
from segue.models.sam2.objects import ObjectMemory, ObjectSteps
from segue.models.sam2.trunk import sine_position
from segue.models.sam2.values import Constants, Encoded, Record
from tests.clips import clip
from tests.golden_arrays import Golden
from tests.models.sam2_videos import biased

CONTRACTS = Path(__file__).parent.parent / "contracts"
SIDE = 256

PROMPTS: dict[str, tuple[list[list[float]], list[int]]] = {
    "click": ([[100, 150]], [1]),
    "none": ([[0, 0]], [-1]),
    "neg": ([[100, 150]], [0]),
    "box": ([[40, 90], [130, 230]], [2, 3]),
    "boxpts": ([[40, 90], [130, 230], [90, 150], [10, 10]], [2, 3, 1, 0]),
    "mask": ([[100, 150]], [1]),
    "more0": ([[60, 60], [200, 200]], [1, 1]),
    "more1": ([[20, 30], [220, 120]], [2, 3]),
    "more2": ([[180, 60], [90, 40]], [1, 0]),
}

SWAPPED = {"click", "none", "more1"}
"""Prompts whose single mask is not stable."""


def rnd(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32))


@pytest.fixture(scope="module")
def constants(sam2_network: SAM2) -> Constants:
    with torch.inference_mode():
        return sam2_network.constants(SIDE)


@pytest.fixture(scope="module")
def image() -> Tensor:
    return video_image(clip(7, 12, 96, 144, 2)[0][0], SIDE, torch.device("cpu"))


@pytest.fixture(scope="module")
def encoded(sam2_network: SAM2, constants: Constants, image: Tensor) -> Encoded:
    with torch.inference_mode():
        return sam2_network.encode(image, constants)


@pytest.mark.parametrize("size", SIZES)
def test_names_and_shapes_are_those_of_the_official_file(size: str) -> None:
    with torch.device("meta"):
        network = SAM2(size)  # type: ignore[arg-type]
    state = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    assert state == json.loads((CONTRACTS / f"sam2_1_hiera_{size.replace('+', '_plus')}.json").read_text())


@torch.inference_mode()
def test_the_image_encoder(
    golden: Callable[[str], Golden],
    sam2_network: SAM2,
    constants: Constants,
    image: Tensor,
    encoded: Encoded,
) -> None:
    parts = golden("sam2_modules")
    parts.check("input_pil", image[0, :, ::8, ::8])
    parts.check(
        "input_tv", still_image(clip(7, 12, 96, 144, 2)[0][0], SIDE, torch.device("cpu"))[0, :, ::8, ::8]
    )
    parts.check("pos_embed", constants.trunk[0, ::4, ::4, ::8])
    trunk = sam2_network.image_encoder.trunk
    parts.check("pos_embed_256", trunk.position(256, 256)[0, ::32, ::32, ::16])
    x = trunk.patch_embed["proj"](image).permute(0, 2, 3, 1) + constants.trunk
    for number, block in enumerate(trunk.blocks):
        x = block(x)
        parts.check(f"block{number}", x[0, 1::4, 1::4, ::16])
    maps = trunk(image, constants.trunk)
    for stage, found in enumerate(maps):
        step = 2 if stage else 4
        parts.check(f"stage{stage}", found[0].permute(2, 0, 1)[::8, ::step, ::step])
    neck = sam2_network.image_encoder.neck
    planes = [found.permute(0, 3, 1, 2) for found in maps]
    levels = neck.convs[3](planes[0]), neck.convs[2](planes[1]), neck.coarse(maps), neck.convs[0](planes[3])
    for level, (found, step) in enumerate(zip(levels, (4, 2, 1, 1), strict=True)):
        parts.check(f"fpn{level}", found[0, ::16, ::step, ::step])
        side = found.shape[-1]
        position = sine_position(side, side, 256)
        parts.check(
            f"fpn_pos{level}", position[0, ::16, :: 2 * step, :: 2 * step] if level < 3 else position[0, ::16]
        )
    parts.check("s0", encoded.fine[0][0, ::4, ::4, ::4])
    parts.check("s1", encoded.fine[1][0, ::8, ::2, ::2])


@torch.inference_mode()
def test_the_prompt_encoder(
    golden: Callable[[str], Golden], sam2_network: SAM2, constants: Constants
) -> None:
    parts = golden("sam2_modules")
    encoder = sam2_network.sam_prompt_encoder
    points, labels = torch.from_numpy(parts["pe_points"]), torch.from_numpy(parts["pe_labels"]).long()
    parts.check("pe_sparse", encoder.points(points[None], labels[None], SIDE))
    corners = torch.tensor([[[12.0, 20.0], [128.0, 200.0]]])
    parts.check("pe_boxes", encoder.points(corners, torch.tensor([[2, 3]]), SIDE)[:, :2])
    parts.check("dense_pe", constants.grid[0, ::8, ::2, ::2])
    parts.check("pe_dense_mask", encoder.mask_downscaling(8 * rnd(3, 1, 1, 64, 64))[0, ::8])
    parts.check("pe_dense_none", encoder.no_mask())


@torch.inference_mode()
@pytest.mark.parametrize("tag", PROMPTS)
def test_the_mask_decoder(
    golden: Callable[[str], Golden], sam2_network: SAM2, constants: Constants, encoded: Encoded, tag: str
) -> None:
    parts = golden("sam2_modules")
    points, labels = PROMPTS[tag]
    mask = 8 * rnd(3, 1, 1, 64, 64) if tag == "mask" else None
    image = sam2_network.without_memory(encoded.coarse)
    found = sam2_network.decode(
        image, encoded, constants, torch.tensor([points]), torch.tensor([labels]), mask
    )
    parts.check(f"dec_{tag}_masks", found.logits[0, :, ::2, ::2])
    parts.check(f"dec_{tag}_iou", found.iou)
    parts.check(f"dec_{tag}_tokens", found.tokens[0, :, ::8])
    parts.check(f"dec_{tag}_obj", found.score)
    parts.check(f"dec_{tag}_stability", found.stability())
    single, iou = found.single(dynamic=True)
    parts.check(f"dec_{tag}_single", single[0, :, ::2, ::2])
    parts.check(f"dec_{tag}_single_iou", iou)
    parts.check(f"dec_{tag}_single_token", found.tokens[:, 0, ::8])
    assert torch.equal(single, found.logits[:, :1]) == (tag not in SWAPPED)
    assert torch.equal(found.single(dynamic=False)[0], found.logits[:, :1])


@torch.inference_mode()
@pytest.mark.parametrize(("tag", "multimask"), [("present3", True), ("present1", False), ("absent", True)])
def test_the_head_of_the_tracker(
    golden: Callable[[str], Golden],
    sam2_network: SAM2,
    constants: Constants,
    encoded: Encoded,
    tag: str,
    multimask: bool,
) -> None:
    parts = golden("sam2_modules")
    points, labels = torch.tensor([[[100.0, 150.0]]]), torch.tensor([[1]])
    image = sam2_network.without_memory(encoded.coarse)
    with biased(sam2_network, float(parts[f"head_{tag}_bias"])):
        found = sam2_network.predict_masks(
            image, encoded, constants, points, labels, multimask=multimask, dynamic=True
        )
    parts.check(f"head_{tag}_ptr", found.pointer)
    parts.check(f"head_{tag}_low", found.low_res_masks[0, :, ::4, ::4])
    parts.check(f"head_{tag}_obj", np.array([found.score], np.float32))
    assert (tag == "absent") == bool((found.low_res_masks == -1024).all())


@torch.inference_mode()
def test_a_mask_that_is_given(
    golden: Callable[[str], Golden], sam2_network: SAM2, constants: Constants, encoded: Encoded
) -> None:
    parts = golden("sam2_modules")
    mask = torch.from_numpy(np.unpackbits(parts["mask256"], axis=-1)).float()[None, None]
    for tag, given in (("mask", mask), ("empty", torch.zeros_like(mask))):
        found = sam2_network.answer_mask(given, encoded, constants)
        parts.check(f"asout_{tag}_low", found.low_res_masks[0, 0, ::2, ::2])
        parts.check(f"asout_{tag}_ptr", found.pointer)
        parts.check(f"asout_{tag}_obj", np.array([found.score], np.float32))
    parts.check("mask_downsample", sam2_network.mask_downsample(mask)[0, 0, ::2, ::2])


@torch.inference_mode()
def test_the_memory_encoder(
    golden: Callable[[str], Golden], sam2_network: SAM2, constants: Constants, encoded: Encoded
) -> None:
    parts = golden("sam2_modules")
    logits = F.interpolate(6 * rnd(4, 1, 1, 16, 16), size=(SIDE, SIDE), mode="bilinear")
    encoder = sam2_network.memory_encoder
    soft, hard = (x * 20 - 10 for x in (logits.sigmoid(), (logits > 0).float()))
    parts.check("mem_soft", encoder(encoded.coarse, soft)[0, ::2])
    parts.check("mem_hard", encoder(encoded.coarse, hard)[0, ::2])
    absent = encoder(encoded.coarse, soft) + sam2_network.no_obj_embed_spatial[..., None, None]
    parts.check("mem_absent", absent[0, ::2])
    downsampled = encoder.mask_downsampler(soft)
    parts.check("mem_mask_features", downsampled[0, ::8])
    parts.check("mem_fuser", encoder.fuser(encoder.pix_feat_proj(encoded.coarse) + downsampled)[0, ::8])
    parts.check("mem_pos", constants.memory.T.view(64, 16, 16)[::2, ::2, ::2])


@torch.inference_mode()
def test_memory_attention(golden: Callable[[str], Golden], sam2_network: SAM2, constants: Constants) -> None:
    parts = golden("sam2_modules")
    code = rotary(16)
    parts.check("rope_cis", torch.view_as_real(code).permute(2, 0, 1)[:, ::5, ::8])
    parts.check("rope_q", rotate(rnd(5, 1, 1, 256, 256)[0], code)[0, ::5, ::8])
    parts.check("rope_k", rotate(rnd(6, 1, 1, 512, 256)[0], code)[0, ::9, ::8])
    distances = torch.tensor([0, 1 / 15, 0.4, 1, 2.5, -1])
    parts.check("sine_1d", sine_distance(distances))

    attention = sam2_network.memory_attention
    current, position = (rnd(seed, 256, 1, 256).transpose(0, 1) for seed in (7, 8))
    memory, places = (rnd(seed, 780, 1, 64).transpose(0, 1) for seed in (9, 10))
    layer = attention.layers[0]
    x = current + 0.1 * (position * 0.5)
    normed = layer.norm1(x)
    own = layer.self_attn(normed, normed, normed, code)
    parts.check("ma_self0", own[0, ::3, ::4])
    x = x + own
    read = layer.cross_attn_image(layer.norm2(x), memory + places * 0.5, memory, code, 12)
    parts.check("ma_cross0", read[0, ::3, ::4])
    parts.check("ma_layer0", layer.cross_attend(x, memory, memory + places * 0.5, code, 12)[0, ::3, ::4])
    image_tokens = attention.encode_image(current, position * 0.5, code)
    parts.check("ma_out", attention(image_tokens, memory, places * 0.5, code, 12)[0, ::3, ::4])


BANKS = ("fwd", "fwd_short", "rev", "future", "stride3", "near2", "order")


@torch.inference_mode()
@pytest.mark.parametrize("tag", BANKS)
def test_memory_frames_that_a_frame_attends_to(
    golden: Callable[[str], Golden], sam2_network: SAM2, constants: Constants, encoded: Encoded, tag: str
) -> None:
    parts = golden("sam2_modules")
    asked = json.loads(str(parts[f"bank_{tag}_args"]))
    given = asked["settings"]
    settings = Settings(
        prompted_frames=given.get("max_cond_frames_in_attn"),
        stride=given.get("memory_temporal_stride_for_eval", 1),
    )
    frame, reverse = asked["frame"], asked["reverse"]

    def record(t: int) -> Record:
        features = rnd(100 + t, 1, 64, 16, 16).bfloat16().flatten(2).transpose(1, 2)
        return Record(rnd(200 + t, 1, 256), torch.ones(1), torch.ones(1), features)

    others = range(frame + 1, 30) if reverse else range(frame)
    memory = ObjectMemory(
        {t: record(t) for t in asked["cond"]}, {t: record(t) for t in others if t not in asked["cond"]}
    )
    seen = memory.view(frame, settings, asked["num_frames"], reverse)
    found, position, pointers = ObjectSteps(sam2_network, constants, settings).assemble(seen)
    assert [len(found), pointers] == parts[f"bank_{tag}_sizes"].tolist()
    parts.check(f"bank_{tag}_memory", found[::128, ::4])
    parts.check(f"bank_{tag}_pos", position[::128, ::4])
    parts.check(f"bank_{tag}_tail", found[-8:])
    parts.check(f"bank_{tag}_tail_pos", position[-8:])
    parts.check(f"bank_{tag}_ptr_pos", position[-pointers::4])
    out = sam2_network.with_memory(encoded, found[None], position[None], pointers, constants)
    parts.check(f"bank_{tag}_out", out[0, ::16])

    if not reverse:  # what no later frame sees is dropped; this one sees the same
        kept = ObjectMemory(dict(memory.prompted), dict(memory.tracked))
        ahead = [t for t in kept.prompted if t >= frame]
        if not ahead:
            kept.prune(frame - 1, settings)
            pruned = ObjectSteps(sam2_network, constants, settings).assemble(
                kept.view(frame, settings, asked["num_frames"])
            )
            assert torch.equal(pruned[0], found)
            assert torch.equal(pruned[1], position)
