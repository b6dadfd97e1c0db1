"""Cutie, both sizes, against the published networks, part by part."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.layers.attention import anisotropic_affinity, attend
from segue.layers.resnet import pool_stem
from segue.models.cutie import Cutie
from segue.models.cutie.tracker import aggregate_then_upsample
from segue.models.cutie.transformer import attention_mask, position_encoding
from segue.models.geometry import aggregate_logits
from segue.models.memory.similarity import key_rows, keys_of, potentiate
from segue.models.xmem import XMemFeatures
from tests.clips import clip
from tests.golden_arrays import Golden

HERE = Path(__file__).parent.parent
SIZES = {"base": "cutie_modules", "small": "cutie_modules_small"}

GoldenReader = Callable[[str], Golden]


def object_masks(ids: np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack([ids == 1, ids == 2]).astype(np.float32))


@pytest.fixture(scope="module", params=list(SIZES))
def measured(request: pytest.FixtureRequest) -> tuple[str, dict[str, Tensor]]:
    """Every array of the file of one size, measured here at full size, keyed alike."""
    name = "cutie_network" if request.param == "base" else "cutie_small_network"
    with torch.inference_mode():
        return SIZES[request.param], measure(request.getfixturevalue(name), SIZES[request.param])


def measure(network: Cutie, file: str) -> dict[str, Tensor]:
    frames, ids = clip(41, 4, 96, 128, 2)
    seen = [network.encode_query(network.prepare(torch.from_numpy(frame))) for frame in frames]
    first, last = seen[0], seen[3]
    f4, f8, f16 = network.pixel_encoder(first.image)
    found = {"key": first.key[0], "shrinkage": first.shrinkage[0], "selection": first.selection[0]}
    found |= {"f16": f16[0], "f8": f8[0], "f4": f4[0]}
    found["pix_feat"] = first.features[0][0]
    masks, soft = object_masks(ids[0]), 0.9 * object_masks(ids[1]) + 0.02
    found |= fusion(network, first, masks)

    small = [F.avg_pool2d(part[None], 16)[0] for part in (masks, soft)]
    value0, sensory0 = network.encode_memory(first, masks, sensory=torch.zeros(2, 256, 6, 8))
    value1, sensory1 = network.encode_memory(seen[1], soft, sensory=sensory0)
    assert sensory0 is not None
    assert sensory1 is not None
    summaries = [network.summarise(value, mask) for value, mask in zip((value0, value1), small, strict=True)]
    found |= {"value": value0, "sensory_deep0": sensory0, "value1": value1, "sensory_deep1": sensory1}
    found |= {"summaries0": summaries[0], "summary_area0": summaries[0][..., -1], "summaries1": summaries[1]}
    found["summary_logits0"] = network.object_summarizer.predict(value0)[1].view(2, 6, 8, 16)

    key, shrinkage = (
        torch.cat([getattr(query, name)[0].flatten(1) for query in seen[:2]], 1)
        for name in ("key", "shrinkage")
    )
    value = torch.cat([value0.flatten(2), value1.flatten(2)], 2)
    scores = anisotropic_affinity(key, last.key[0].flatten(1), shrinkage, last.selection[0].flatten(1))
    weights = attend(scores, 30)
    found |= {"similarity": scores, "affinity_top30": weights, "usage_top30": weights.sum(1)}
    readout = (value @ weights).view(2, 256, 6, 8)
    fused = network.fuse(last, readout, sensory1, small[1])
    alone = network.fuse(last, readout[:1], sensory1[:1], small[1][:1])
    found |= {"readout": readout, "fused": fused, "fused_single": alone}

    remembered = summaries[0] + summaries[1]
    found |= inside_transformer(network, fused, remembered)
    out, logits = network.object_transformer(fused, remembered)
    out1, logits1 = network.object_transformer(fused[:1], remembered[:1])
    chosen, _ = network.object_transformer(fused, remembered, selector=torch.tensor([1.0, 0.0]))
    found |= {"aux_logits": logits, "transformer_out": out, "transformer_single": out1}
    found |= {"aux_logits_single": logits1, "transformer_selector10": chosen}

    _, p8, p4 = network.mask_decoder(out, *last.features[1:])
    pred, moved = network.decode(last, out, sensory1, update=True)
    assert moved is not None
    odds = F.interpolate(aggregate_logits(pred.sigmoid())[None], scale_factor=4.0, mode="bilinear")[0]
    found |= {"dec_p8": p8, "dec_p4": p4, "dec_pred": pred, "sensory_out": moved, "log_odds": odds}
    found["prob"] = aggregate_then_upsample(pred, (96, 128))
    projected = network.aux_computer["sensory_aux"](last.features[0], sensory1[None])[0]
    found["aux_sensory"] = aggregate_logits(projected.sigmoid())
    found["aux_query"] = aggregate_logits(logits.transpose(0, 1).sigmoid()).transpose(0, 1)
    found |= consolidation(seen, value, file)
    return found


def fusion(network: Cutie, query: XMemFeatures, masks: Tensor) -> dict[str, Tensor]:
    """The steps inside the mask encoder."""
    encoder = network.mask_encoder
    planes = torch.stack([masks, masks.flip(0)], dim=1)
    image = query.image.expand(2, -1, -1, -1)
    stem = pool_stem(encoder.bn1(encoder.conv1(torch.cat([image, planes], dim=1))))
    own = encoder.layer3(encoder.layer2(encoder.layer1(stem)))
    joined = encoder.fuser.distributor(query.features[0], own.clone())
    return {"mask_layer3": own, "mask_fuser_block1": encoder.fuser.block1(joined)}


def shares(attention: Any, query: Tensor, key: Tensor, allowed: Tensor | None = None) -> Tensor:
    """What each key counts for each query, (B, heads, n, m)."""
    masked = None if allowed is None else ~allowed.repeat_interleave(attention.num_heads, 0)
    weights: Tensor = attention(query, key, key, attn_mask=masked, average_attn_weights=False)[1]
    return weights


def inside_transformer(network: Cutie, fused: Tensor, summaries: Tensor) -> dict[str, Tensor]:
    """What goes into the blocks and comes out of each, and the weights of the attention of the last."""
    transformer: Any = network.object_transformer
    x, xe = transformer.queries(summaries)
    y, pe = transformer.pixel_init_proj(fused), transformer.pixel_embedding(fused)
    found = {"query_init": x, "query_emb": xe, "pixel_init": y, "pixel_pe": pe}
    found["spatial_pe"] = position_encoding(6, 8, torch.device("cpu"))
    logits = transformer.mask_pred[0](y)
    for number, block in enumerate(transformer.blocks):
        allowed = attention_mask(logits[None, :, 0])[0]
        found[f"block{number}_attn_mask"] = ~allowed
        pixels = y.flatten(2).transpose(1, 2)
        normed = block.read_from_pixel.norm(x)
        found["q_weights"] = shares(block.read_from_pixel.cross_attn, normed + xe, pixels + pe, allowed)
        x_next, y_next = block(x, y, xe, pe, allowed)
        back = shares(block.read_from_query.cross_attn, pixels + pe, x_next + xe)
        found["p_weights"] = back.transpose(2, 3)
        x, y = x_next, y_next
        found |= {f"block{number}_query": x, f"block{number}_pixel": y}
        logits = transformer.mask_pred[number + 1](y)
    for name in ("q_weights", "p_weights"):
        found[name] = found[name].unflatten(-1, (6, 8))
    return found


def consolidation(seen: list[XMemFeatures], value: Tensor, file: str) -> dict[str, Tensor]:
    """Ten prototypes of two frames."""
    with np.load(HERE / "golden" / f"{file}.npz") as arrays:
        usage = torch.from_numpy(arrays["cons_usage"])
    rows = torch.cat(
        [
            key_rows(query.key[0].flatten(1).T, "anisotropic", shrinkage=query.shrinkage[0].flatten(1).T)
            for query in seen[:2]
        ]
    )
    selection = torch.cat([query.selection[0].flatten(1).T for query in seen[:2]])
    prototypes, (weights,) = potentiate(rows, selection, usage.topk(10).indices, [len(rows)])
    key, shrinkage = keys_of(prototypes)
    read = (weights @ value.transpose(1, 2)).transpose(1, 2)
    return {"cons_key": key.T, "cons_shrinkage": shrinkage.T, "cons_value": read}


FULL_SHAPES: dict[str, dict[str, tuple[int, ...]]] = json.loads(
    (HERE / "golden" / "cutie_module_shapes.json").read_text()
)
"""Shapes of the golden arrays, which hold every n-th channel, for the small copies that do not tell them."""


def thinned(value: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Every n-th entry along the axes on which the golden array has fewer."""
    for axis, (full, kept) in enumerate(zip(value.shape, shape, strict=True)):
        if full != kept:
            value = value[(slice(None),) * axis + (slice(None, None, -(-full // kept)),)]
    return value


def comparable(parts: dict[str, Tensor], file: str) -> Iterator[tuple[str, Tensor]]:
    """What was measured, as the golden file keeps it."""
    for key, value in parts.items():
        if key.endswith("attn_mask"):
            yield key, torch.from_numpy(np.packbits(value.numpy(), axis=-1))
        else:
            yield key, thinned(value, tuple(FULL_SHAPES[file][key]))


@pytest.mark.parametrize("size", list(SIZES))
def test_names_and_shapes_are_those_of_the_official_file(request: pytest.FixtureRequest, size: str) -> None:
    network = request.getfixturevalue("cutie_network" if size == "base" else "cutie_small_network")
    state = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    assert state == json.loads((HERE / "contracts" / f"cutie_{size}.json").read_text())


def test_modules_of_cutie_equal_the_release(
    measured: tuple[str, dict[str, Tensor]], golden: GoldenReader
) -> None:
    file, parts = measured
    expected = golden(file)
    assert parts.keys() == expected.arrays.keys() - {"memory1_masks", "cons_usage"}
    for key, value in comparable(parts, file):
        if key.endswith("attn_mask"):
            assert np.array_equal(value, expected[key])
        else:
            expected.check(key, value, relative=True)


def test_bfloat16_keeps_the_place_in_the_image_exact() -> None:
    network = Cutie("small").to(torch.bfloat16)
    exact = position_encoding(4, 5, torch.device("cpu")).flatten(0, 1)
    torch.testing.assert_close(
        network.object_transformer.spatial_pe(4, 5, torch.zeros(1, dtype=torch.float32)), exact
    )
