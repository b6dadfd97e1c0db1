"""SeqFormer against the published network: names, parts, whole clips, results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from segue.layers.attention import sample_levels
from segue.layers.running import inference_copy
from segue.models.seqformer import Memory, SeqFormer, Size
from segue.models.seqformer.decoder import Decoded, DecoderLayer, dynamic_masks, upsample_aligned
from segue.models.seqformer.encoder import (
    DeformableAttention,
    EncoderLayer,
    Levels,
    reference_points,
    sine_position,
)
from segue.models.seqformer.network import Backbone
from tests.fill import fill_plainly
from tests.golden_arrays import Golden, best_golden, load_golden

CONTRACTS = Path(__file__).parent.parent / "contracts"

GoldenReader = Callable[[str], Golden]

SMALL = Size(width=64, hidden=96, encoder_layers=2, decoder_layers=2, queries=12)


def shapes_of(network: torch.nn.Module) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in network.state_dict().items()}


def small_network(seed: int = 0) -> SeqFormer:
    torch.manual_seed(seed)
    return SeqFormer("mobilenet-v2", SMALL).eval()


@pytest.fixture(scope="module")
def network() -> SeqFormer:
    filled = fill_plainly(SeqFormer("r50"))
    assert isinstance(filled, SeqFormer)
    return filled


@pytest.fixture(scope="module")
def looked(network: SeqFormer) -> tuple[Memory, Decoded]:
    frames = to_frames(load_golden("seqformer_r50_forward")["image_u8"])
    with torch.inference_mode():
        memory = network.encode(frames)
        return memory, network.decode(memory)


def to_frames(pictures: np.ndarray) -> Tensor:
    """(T, H, W, 3), uint8 → (1, T, 3, H, W) in [0, 1]."""
    return torch.from_numpy(pictures).float().permute(0, 3, 1, 2)[None] / 255


@pytest.mark.parametrize("name", ["r50", "r101", "swin-l"])
def test_names_and_shapes_are_those_of_the_official_files(name: str) -> None:
    with torch.device("meta"):
        built = SeqFormer(name)  # type: ignore[arg-type]
    contract = CONTRACTS / f"seqformer_{name.replace('-', '_')}.json"
    assert shapes_of(built) == json.loads(contract.read_text())


def test_as_many_parameters_learn_as_in_the_release() -> None:
    counts = {"r50": 48_181_773, "r101": 67_121_677, "swin-l": 218_741_441}
    for name, count in counts.items():
        with torch.device("meta"):
            built = SeqFormer(name)  # type: ignore[arg-type]
        assert sum(p.numel() for p in built.parameters() if p.requires_grad) == count


def test_a_clip_gives_the_published_numbers(
    network: SeqFormer, looked: tuple[Memory, Decoded], golden: GoldenReader
) -> None:
    expected, (memory, decoded) = golden("seqformer_r50_forward"), looked
    with torch.inference_mode():
        expected.check("memory", memory.tokens[:, :, :256])
        expected.check("pred_logits", network.class_logits(decoded))
        expected.check("pred_boxes", decoded.refined[-1])
        expected.check("inter_references", torch.stack(decoded.refined))
        expected.check("hs_last", decoded.instances[-1])
        expected.check("hs_all_q0_9", torch.stack(decoded.instances)[:, :, :10])
        expected.check("hs_box_all_q0_9", torch.stack(decoded.boxes)[:, :, :, :10])
        expected.check("controller_last_q0_9", network.controller(decoded.instances[-1][:, :10]))
        expected.check("mask_feat_last_layer", memory.features)
        queries = torch.from_numpy(expected["top_flat"] // 42)
        expected.check("top_masks", network.mask_logits(memory, decoded, 0, queries))


def test_a_querys_mask_does_not_depend_on_the_others(
    network: SeqFormer, looked: tuple[Memory, Decoded]
) -> None:
    with torch.inference_mode():
        some = network.mask_logits(*looked, 0, torch.tensor([7, 203, 5]))
        fewer = network.mask_logits(*looked, 0, torch.tensor([203, 5]))
    assert torch.equal(some[1:], fewer)


def test_frames_encoded_one_by_one_are_the_same(network: SeqFormer, looked: tuple[Memory, Decoded]) -> None:
    frames = to_frames(load_golden("seqformer_r50_forward")["image_u8"])
    with torch.inference_mode():
        last = network.encode(frames[:, 2:])
    assert not network.relates_frames
    assert torch.allclose(last.tokens[0, 0], looked[0].tokens[0, 2], atol=1e-4)


def test_the_order_of_the_frames_carries_no_meaning() -> None:
    network = small_network()
    frames, order = torch.rand(1, 3, 3, 64, 96), torch.tensor([2, 0, 1])
    with torch.inference_mode():
        straight = network.decode(network.encode(frames))
        shuffled = network.decode(network.encode(frames[:, order]))
    assert torch.allclose(shuffled.refined[-1], straight.refined[-1][:, order], atol=1e-5)
    assert torch.allclose(shuffled.instances[-1], straight.instances[-1], atol=1e-5)


def test_what_lies_in_the_padding_of_the_frames_does_not_reach_the_transformer() -> None:
    network = small_network()
    valid = torch.zeros(1, 64, 96, dtype=torch.bool)
    valid[:, :64, :64] = True
    frames = torch.rand(1, 2, 3, 64, 96)
    other = torch.where(valid[:, None, None], frames, torch.rand_like(frames))
    with torch.inference_mode():
        one, two = (network.decode(network.encode(clip, valid)) for clip in (frames, other))
    assert torch.equal(one.refined[-1], two.refined[-1])


def test_swin_has_the_published_features() -> None:
    golden = best_golden("seqformer_swin_l_backbone")
    trunk = fill_plainly(Backbone("swin-l"), "detr.backbone.0.")
    assert isinstance(trunk, Backbone)
    with torch.inference_mode():
        maps = trunk.body(torch.from_numpy(golden["x"]))
    for i, level in enumerate(maps):
        golden.check(f"out{i}", level)


@pytest.fixture
def units() -> Golden:
    return best_golden("seqformer_deform_attn")


def tensors(golden: Golden, *names: str) -> list[Tensor]:
    return [torch.from_numpy(golden[name]) for name in names]


def layout(golden: Golden, prefix: str = "encode") -> Levels:
    shapes = tuple((int(h), int(w)) for h, w in golden["shapes"])
    padding, valid = tensors(golden, f"{prefix}_mask", "enc_valid_ratios")
    return Levels(shapes, padding.flatten(0, 1), valid.repeat_interleave(padding.shape[1], 0))


def test_sampling_is_that_of_the_release(units: Golden) -> None:
    shapes = [(int(h), int(w)) for h, w in units["shapes"]]
    values, places, weights = tensors(units, "core_value", "core_loc", "core_weight")
    size = places.new_tensor([(w, h) for h, w in shapes])[:, None]
    units.check("core_out", sample_levels(values, shapes, places * size - 0.5, weights))


def test_attention_of_the_encoder_is_that_of_the_release(units: Golden) -> None:
    attention = fill_plainly(DeformableAttention(64, 3, 4, 2))
    assert isinstance(attention, DeformableAttention)
    memory, query, reference = tensors(units, "encode_mem", "encode_query", "encode_ref")
    levels = layout(units)
    with torch.inference_mode():
        values = attention.values(memory.flatten(0, 1), levels.padding)
        reference = reference.repeat_interleave(memory.shape[1], 0)
        read = attention.read(*attention.plan(query.flatten(0, 1)), reference, values, levels)
        units.check("encode_out", attention.output_proj(read))


def test_places_and_shares_are_asked_for_by_one_layer_in_inference(units: Golden) -> None:
    attention = fill_plainly(DeformableAttention(64, 3, 4, 2)).eval()
    (query,) = tensors(units, "encode_query")
    with torch.inference_mode():
        copy = inference_copy(attention, torch.device("cpu"), torch.float32)
        assert isinstance(copy, DeformableAttention)
        assert not hasattr(copy, "sampling_offsets")
        count = 4 * 3 * 2
        offsets, weights = copy.plan(query)
        expected = attention.sampling_offsets(query).unflatten(-1, (4, 3, 2, 2))
        shares = attention.attention_weights(query).unflatten(-1, (4, -1)).softmax(-1)
        torch.testing.assert_close(offsets, expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(weights.flatten(-2), shares, atol=1e-6, rtol=0)
        assert offsets[..., 0].stride()[-3:] == (6, 2, 1), "all x before all y"
        assert attention.sampling_offsets.out_features == 2 * count, "the network stays as it is"
        for given, wanted in zip(attention.plan(query), (offsets, weights), strict=True):
            torch.testing.assert_close(given, wanted, atol=1e-5, rtol=0)


def test_an_encoder_layer_is_that_of_the_release(units: Golden) -> None:
    layer = fill_plainly(EncoderLayer(64, int(units["layer_dffn"]), 0.1, 3, 4, 2))
    memory, position = tensors(units, "encode_mem", "enc_pos")
    levels = layout(units)
    references = reference_points(levels)
    units.check("enc_ref_points", references[:: memory.shape[1]])
    with torch.inference_mode():
        refined = layer(memory.flatten(0, 1), position.flatten(0, 1), references, levels)
    units.check("enc_layer_out", refined)


def test_a_decoder_layer_is_that_of_the_release(units: Golden) -> None:
    layer = fill_plainly(DecoderLayer(64, int(units["layer_dffn"]), 0.1, 3, 4, 2))
    target, position, memory = tensors(units, "layer_tgt", "layer_query_pos", "decode_mem")
    first, second = tensors(units, "decode_ref2", "decode_ref4")
    levels = layout(units, "decode")
    with torch.inference_mode():
        instance, box = layer(target, target[:, None], position, first, memory, levels)
        units.check("layer_first_tgt", instance)
        units.check("layer_first_box", box)
        instance, box = layer(instance, box, position, second, memory, levels)
    units.check("layer_second_tgt", instance)
    units.check("layer_second_box", box)


def test_the_position_code_is_that_of_the_release(units: Golden) -> None:
    (padded,) = tensors(units, "pos_mask")
    units.check("pos_out", sine_position(~padded, 32))


def test_masks_of_chosen_queries_are_those_of_the_release() -> None:
    golden = best_golden("seqformer_mask_head")
    features, parameters, centres = tensors(golden, "mask_feats", "params", "ref_points_px")
    golden.check("masks_0", dynamic_masks(features[0], parameters[0], centres[0].transpose(0, 1)))
    (small,) = tensors(golden, "up_in")
    golden.check("up_x2", upsample_aligned(small, 2))
    golden.check("up_x4", upsample_aligned(small, 4))
