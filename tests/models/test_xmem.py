"""XMem against the published network, part by part."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.layers.attention import anisotropic_affinity, attend
from segue.models.geometry import aggregate_logits
from segue.models.memory.similarity import key_rows, keys_of, potentiate
from segue.models.xmem import XMem, XMemFeatures
from tests.clips import clip
from tests.golden_arrays import Golden

CONTRACT = Path(__file__).parent.parent / "contracts" / "xmem.json"

GoldenReader = Callable[[str], Golden]


def object_masks(ids: np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack([ids == 1, ids == 2]).astype(np.float32))


@pytest.fixture(scope="module")
def parts(xmem_network: XMem) -> dict[str, Tensor]:
    """Every array of ``xmem_modules.npz``, measured here, keyed alike."""
    with torch.inference_mode():
        return measure(xmem_network)


def measure(network: XMem) -> dict[str, Tensor]:
    frames, ids = clip(41, 4, 96, 128, 2)
    seen = [network.encode_query(network.prepare(torch.from_numpy(frame))) for frame in frames]
    first = seen[0]
    f16, f8, f4 = first.features
    found = {"key": first.key, "shrinkage": first.shrinkage, "selection": first.selection}
    found |= {"f16": f16[:, ::8], "f8": f8[:, ::16], "f4": f4[:, ::32]}
    masks, soft = object_masks(ids[0]), 0.9 * object_masks(ids[1]) + 0.02
    found |= fusion(network, first, masks)

    none = torch.zeros(2, 64, 6, 8)
    value0, hidden0 = network.encode_memory(first, masks, hidden=none)
    value1, hidden1 = network.encode_memory(seen[1], soft, hidden=hidden0)
    value2, _ = network.encode_memory(seen[2], soft, hidden=hidden1)
    alone, hidden_alone = network.encode_memory(first, masks[:1], hidden=none[:1])
    assert hidden0 is not None
    assert hidden1 is not None
    assert hidden_alone is not None
    found |= {"value": value0[:, ::2], "hidden_deep0": hidden0, "value1": value1[:, ::8]}
    found |= {"hidden_deep1": hidden1[:, ::4], "value_single": alone[:, ::8], "value2": value2[:, ::8]}
    found["hidden_single"] = hidden_alone[:, ::4]
    values = [value0, value1, value2]
    found |= reading(network, seen, values, hidden1)
    found |= consolidation(seen, values)
    return found


def fusion(network: XMem, query: XMemFeatures, masks: Tensor) -> dict[str, Tensor]:
    """The steps inside the value encoder."""
    encoder = network.value_encoder
    planes = torch.stack([masks, masks.flip(0)], dim=1)
    image = query.image.expand(2, -1, -1, -1)
    stem = F.relu(F.max_pool2d(encoder.bn1(encoder.conv1(torch.cat([image, planes], dim=1))), 3, 2, 1))
    own = encoder.layer3(encoder.layer2(encoder.layer1(stem)))
    joined = encoder.fuser.block1(own, query.features[0])
    return {
        "value_layer3": own[:, ::4],
        "value_fuser_block1": joined[:, ::8],
        "value_cbam": encoder.fuser.attention(joined)[:, ::8],
    }


def reading(
    network: XMem, seen: list[XMemFeatures], values: list[Tensor], hidden: Tensor
) -> dict[str, Tensor]:
    """The memory of two frames, and the decoder."""
    key, shrinkage = (
        torch.cat([getattr(query, name)[0].flatten(1) for query in seen[:2]], 1)
        for name in ("key", "shrinkage")
    )
    value = torch.cat([part.flatten(2) for part in values[:2]], 2)
    last = seen[3]
    query, selection = last.key[0].flatten(1), last.selection[0].flatten(1)
    scores = anisotropic_affinity(key, query, shrinkage, selection)
    found = {"similarity": scores}
    found["similarity_no_selection"] = anisotropic_affinity(key, query, shrinkage)[::4]
    found["similarity_plain"] = anisotropic_affinity(key, query)[::4]
    weights = attend(scores, 30)
    found |= {"affinity_top30": weights, "usage_top30": weights.sum(1)}
    readout = (value @ weights).view(2, 512, 6, 8)
    found["readout_top30"] = readout[:, ::4]
    found["readout_full"] = (value @ attend(scores)).view(2, 512, 6, 8)[:, ::16]

    own = torch.cat([readout, hidden], 1)
    _, (g16, g8, g4) = network.decoder(own, *last.features)
    logits, moved = network.decode(last, readout, hidden, update=True)
    assert moved is not None
    full = F.interpolate(logits[None], scale_factor=4.0, mode="bilinear")[0]
    merged = network.aggregate(full.sigmoid())
    found |= {"dec_g16": g16[:, ::8], "dec_g8": g8[:, ::16], "dec_g4": g4[:, ::32]}
    found |= {"dec_pred": logits, "hidden_out": moved, "prob": merged}
    found["log_odds"] = aggregate_logits(full.sigmoid())[:, ::2, ::2]
    return found


def consolidation(seen: list[XMemFeatures], values: list[Tensor]) -> dict[str, Tensor]:
    """Ten prototypes of three frames: two objects, and one of them that was there on the last frame only."""
    rows = torch.cat([rows_of(query) for query in seen[:3]])
    selection = torch.cat([query.selection[0].flatten(1).T for query in seen[:3]])
    usage = torch.from_numpy(CONSOLIDATED_USAGE)
    prototypes, (both, alone) = potentiate(rows, selection, usage.topk(10).indices, [len(rows), 48])
    key, shrinkage = keys_of(prototypes)
    value = torch.cat([part.flatten(2) for part in values], 2).transpose(1, 2)
    return {
        "cons_key": key.T,
        "cons_shrinkage": shrinkage.T,
        "cons_value0": (both @ value).transpose(1, 2)[:, ::8],
        "cons_value1": (alone @ value[:1, 96:]).transpose(1, 2)[:, ::4],
    }


def rows_of(query: XMemFeatures) -> Tensor:
    return key_rows(query.key[0].flatten(1).T, "anisotropic", shrinkage=query.shrinkage[0].flatten(1).T)


with np.load(Path(__file__).parent.parent / "golden" / "xmem_modules.npz") as file:
    CONSOLIDATED_USAGE = file["cons_usage"]


def test_names_and_shapes_are_those_of_the_official_file(xmem_network: XMem) -> None:
    state = {name: list(tensor.shape) for name, tensor in xmem_network.state_dict().items()}
    assert state == json.loads(CONTRACT.read_text())


def test_modules_of_xmem_equal_the_release(parts: dict[str, Tensor], golden: GoldenReader) -> None:
    expected = golden("xmem_modules")
    inputs = {"memory1_masks", "cons_usage"}
    assert parts.keys() == expected.arrays.keys() - inputs
    for key, measured in parts.items():
        expected.check(key, measured, relative=True)
