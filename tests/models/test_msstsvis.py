"""MS-STS VIS: the released layout, the released parts, and the paper's parts on top of SeqFormer."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from segue.layers.attention import SelfAttention
from segue.models.msstsvis import MSSTSVIS, Discriminator, Parts, ReleasedMSSTSVIS
from segue.models.msstsvis.network import SplitAttention
from segue.models.seqformer import SeqFormer
from segue.models.seqformer.encoder import Levels
from segue.models.seqformer.observing import EncoderAttention, observe_encoder
from tests.fill import fill_plainly
from tests.golden_arrays import best_golden
from tests.models.test_seqformer import (
    CONTRACTS,
    SMALL,
    GoldenReader,
    shapes_of,
    small_network,
    to_frames,
)

OFF = Parts("none", "none", decoder_attention=False)

READINGS = [Parts(), Parts(intra_mode="joint"), Parts(inter_mode="channel")]


def built(parts: Parts) -> MSSTSVIS:
    network = MSSTSVIS("r18", SMALL, parts).eval()
    network.load_state_dict(small_network().state_dict(), strict=False)
    return network


def test_names_and_shapes_are_those_of_the_release() -> None:
    with torch.device("meta"):
        network, judge = ReleasedMSSTSVIS(), Discriminator()
    assert shapes_of(network) == json.loads((CONTRACTS / "msstsvis_r50.json").read_text())
    assert shapes_of(judge) == json.loads((CONTRACTS / "msstsvis_discriminator.json").read_text())
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == 40_733_892


def test_a_clip_gives_the_numbers_of_the_release(golden: GoldenReader) -> None:
    expected = golden("msstsvis_release_r50_forward")
    network = fill_plainly(ReleasedMSSTSVIS)
    assert isinstance(network, SeqFormer)
    with torch.inference_mode():
        memory = network.encode(to_frames(expected["image_u8"]))
        decoded = network.decode(memory)
        expected.check("pred_logits", network.class_logits(decoded))
        expected.check("pred_boxes", decoded.refined[-1])
        queries = torch.from_numpy(expected["top_flat"] // 42)
        expected.check("top_masks", network.mask_logits(memory, decoded, 0, queries))


def test_the_discriminator_is_that_of_the_release() -> None:
    golden = best_golden("msstsvis_units")
    image, mask, *levels = (torch.from_numpy(golden[name]) for name in ("img", "mask", "f0", "f1", "f2"))
    with torch.inference_mode():
        golden.check("disc_out", fill_plainly(Discriminator)(image, mask, levels).sigmoid())


def test_temporal_attention_is_that_of_the_release() -> None:
    golden = best_golden("msstsvis_units")
    with torch.inference_mode():
        for key, attention in (
            ("ta_out_nobias", SelfAttention(32, 4)),
            ("ta_out_bias", SelfAttention(32, 4, qkv_bias=True)),
        ):
            golden.check(key, fill_plainly(attention)(torch.from_numpy(golden["ta_in"])))


def test_a_width_that_the_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="width is 300"):
        SelfAttention(300, 8)


def test_files_of_seqformer_fit_but_for_the_new_names() -> None:
    network = MSSTSVIS("r18", SMALL)
    result = network.load_state_dict(small_network().state_dict(), strict=False)
    assert not result.unexpected_keys
    assert result.missing_keys
    assert all(".ms_sts." in name or ".temporal_attn." in name for name in result.missing_keys)
    off = MSSTSVIS("r18", SMALL, OFF)
    off.load_state_dict(small_network().state_dict())


def test_ms_sts_without_its_parts_equals_seqformer() -> None:
    off = built(OFF)
    plain = small_network()
    assert off.state_dict().keys() == plain.state_dict().keys()
    assert not off.relates_frames
    clip = torch.rand(1, 3, 3, 64, 96)
    with torch.inference_mode():
        one, two = plain.decode(plain.encode(clip)), off.decode(off.encode(clip))
        assert torch.equal(one.refined[-1], two.refined[-1])
        assert torch.equal(plain.class_logits(one), off.class_logits(two))


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"encoder": true}', '{"intra_mode": "all"}', '{"decoder_attention": 1}']
)
def test_damaged_parts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="its parts"):
        Parts.parse(text)


@pytest.mark.parametrize("parts", READINGS)
def test_places_give_in_pieces_what_they_give_at_once(parts: Parts) -> None:
    shapes = ((5, 7), (3, 4), (2, 2))
    attention = SplitAttention(32, 4, 0.0, parts.intra_mode, parts.inter_mode).eval()
    nn.init.normal_(attention.out_proj.weight, generator=torch.Generator().manual_seed(0))
    tokens = torch.randn(2, 3, 51, 32, generator=torch.Generator().manual_seed(1))
    levels = Levels(shapes, None, torch.ones(2, 3, 2))
    attention.joint_tokens = 12  # the smallest scale alone
    with torch.inference_mode():
        expected = attention(tokens, levels)
        attention.places = 4
        torch.testing.assert_close(attention(tokens, levels), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("parts", READINGS)
def test_attention_of_the_encoder_is_equal_in_pieces(parts: Parts) -> None:
    network, frames = built(parts), torch.rand(1, 3, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    splits, seen = [part for part in network.modules() if isinstance(part, SplitAttention)], []
    for most in (splits[0].places, 4):
        for split in splits:
            split.places = most
        with torch.inference_mode(), observe_encoder(network) as attention:
            memory = network.encode(frames)
        seen.append(attention)
    whole, pieces = seen
    assert [len(maps) for maps in (whole.within, whole.between)] == [len(memory.levels.shapes)] * 2
    for kind in ("within", "between"):
        for shape, one, other in zip(whole.shapes, getattr(whole, kind), getattr(pieces, kind), strict=True):
            assert one.shape[:3] == (1, 3, shape[0] * shape[1])
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
            totals = one.flatten(3).sum(-1)
            torch.testing.assert_close(totals, torch.ones_like(totals))
    assert whole.places.shape[:2] == whole.weights.shape[:2] == (3, sum(memory.levels.areas))
    layer = network.detr.transformer.encoder.layers[-1]
    assert layer.self_attn.watch is None
    assert layer.ms_sts.intra_attn.watch is None, "nothing is kept afterwards"


def test_maps_show_where_tokens_look() -> None:
    """Two tokens: both read the first scale at x 1, y 0, one of them as much of the second."""
    places = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]]).expand(1, 2, 1, 2, 1, 2)
    weights = torch.tensor([[1.0, 0.0], [0.5, 0.5]]).reshape(1, 2, 1, 2, 1)
    fine, coarse = EncoderAttention(((2, 3), (2, 2)), places, weights).spatial_maps(frame=0)
    assert fine.tolist() == [[0.0, 0.75, 0.0], [0.0, 0.0, 0.0]]
    assert coarse.tolist() == [[0.0, 0.0], [0.25, 0.0]]
