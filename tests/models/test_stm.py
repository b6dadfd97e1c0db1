"""STM against the published network, part by part."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.layers.attention import affinity, attend, read
from segue.models.base import QueryFeatures
from segue.models.geometry import aggregate_logits
from segue.models.stm import STM
from tests.clips import clip
from tests.golden_arrays import Golden

CONTRACT = Path(__file__).parent.parent / "contracts" / "stm.json"

GoldenReader = Callable[[str], Golden]


@pytest.fixture(scope="module")
def parts(stm_network: STM) -> dict[str, Tensor]:
    """Every array of ``stm_modules.npz``, measured here, keyed alike."""
    with torch.inference_mode():
        return measure(stm_network)


def measure(network: STM) -> dict[str, Tensor]:
    frames, ids = clip(7, 4, 96, 128, 2)
    first, second, query = (encode(network, frames[t]) for t in (0, 1, 3))
    masks = object_masks(ids[0])
    key, value = network.encode_memory(first, masks)
    soft_key, soft_value = network.encode_memory(second, 0.9 * object_masks(ids[1]) + 0.03)
    found = memory_trunk(network, first, masks)
    found |= {"mem0_key": key, "mem0_value": value, "mem1_key": soft_key, "mem1_value": soft_value[:, ::4]}

    query_value, r3, r2 = query.features
    r4 = network.Encoder_Q(query.image)[-1]
    found |= {"query_r4": r4[:, ::4], "query_r3": r3[:, ::8], "query_r2": r2[:, ::8]}
    found |= {"query_key": query.key, "query_value": query_value[:, ::4]}

    memory_key = torch.cat([key.flatten(2), soft_key.flatten(2)], dim=2)
    memory_value = torch.cat([value.flatten(2), soft_value.flatten(2)], dim=2)
    weights = attend(affinity(memory_key, query.key.flatten(2), network.similarity))
    readout = read(weights, memory_value).view(2, 512, 6, 8)
    joined = torch.cat([readout, query_value.expand(2, -1, -1, -1)], dim=1)
    found |= {"attention": weights, "read": joined[:, ::2]}
    found |= decoding(network, query, joined)

    logits = network.decode(query, readout)
    probabilities = torch.sigmoid(F.interpolate(logits[None], scale_factor=4.0, mode="bilinear")[0])
    found["object_prob"] = probabilities
    with_unused = torch.cat([probabilities, torch.zeros(1, 96, 128)])
    return found | {"agg_logit": aggregate_logits(with_unused), "prob": network.aggregate(with_unused)}


def memory_trunk(network: STM, query: QueryFeatures, masks: Tensor) -> dict[str, Tensor]:
    encoder = network.Encoder_M
    own, others = masks[:, None], masks.flip(0)[:, None]
    stem = encoder.bn1(encoder.conv1(query.image) + encoder.conv1_m(own) + encoder.conv1_o(others))
    return {"mem0_stem_bn": stem[:, ::16], "mem0_r4": encoder(query.image, own, others)[:, ::8]}


def decoding(network: STM, query: QueryFeatures, joined: Tensor) -> dict[str, Tensor]:
    """The steps inside the decoder."""
    _, r3, r2 = query.features
    decoder = network.Decoder
    m4 = decoder.ResMM(decoder.convFM(joined))
    m3 = decoder.RF3(decoder.RF3.of_frame(r3), m4)
    m2 = decoder.RF2(decoder.RF2.of_frame(r2), m3)
    p2 = decoder.pred2(F.relu(m2))
    return {"dec_m4": m4[:, ::4], "dec_m3": m3[:, ::8], "dec_m2": m2[:, ::8], "dec_p2": p2}


def encode(network: STM, frame: np.ndarray) -> QueryFeatures:
    return network.encode_query(network.prepare(torch.from_numpy(frame)))


def object_masks(ids: np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack([ids == 1, ids == 2]).astype(np.float32))


def test_names_and_shapes_are_those_of_the_official_file(stm_network: STM) -> None:
    state = {f"module.{name}": list(tensor.shape) for name, tensor in stm_network.state_dict().items()}
    assert state == json.loads(CONTRACT.read_text())


def test_modules_of_stm_equal_the_release(parts: dict[str, Tensor], golden: GoldenReader) -> None:
    expected = golden("stm_modules")
    inputs = {"frames", "masks", "mem1_masks"}
    assert parts.keys() == expected.arrays.keys() - inputs
    for key, measured in parts.items():
        expected.check(key, measured)
