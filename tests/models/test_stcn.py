"""STCN against the published network, part by part."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.inference.running import inference_copy
from segue.layers.attention import affinity, attend, read
from segue.models.base import QueryFeatures
from segue.models.stcn import STCN
from tests.clips import clip
from tests.golden_arrays import Golden, best_golden

CONTRACT = Path(__file__).parent.parent / "contracts" / "stcn.json"

GoldenReader = Callable[[str], Golden]


@pytest.fixture(scope="module")
def parts(stcn_network: STCN) -> dict[str, Tensor]:
    """Every array of ``stcn_modules.npz``, measured here, keyed alike."""
    with torch.inference_mode():
        return measure(stcn_network)


def measure(network: STCN) -> dict[str, Tensor]:
    frames, ids = clip(7, 4, 96, 128, 2)
    first, second, last = (encode(network, frames[t]) for t in (0, 1, 3))
    masks = object_masks(ids[0])
    soft = 0.9 * object_masks(ids[1]) + 0.02

    found = {"k16": first.key}
    f16, thin, f8, f4 = first.features
    found |= {"f16_thin": thin, "f16": f16[:, ::4], "f8": f8[:, ::8], "f4": f4[:, ::8]}
    value = network.encode_memory(first, masks)[1]
    found |= {"value": value, "value_single_object": network.encode_memory(first, masks[:1])[1][:, ::2]}
    found |= fusion(network, first, masks)
    soft_value = network.encode_memory(second, soft)[1]
    found |= {"memory1_key": second.key, "memory1_value": soft_value[:, ::4]}
    found |= {"query_key": last.key, "query_thin": last.features[1][:, ::4]}

    memory_key = torch.cat([first.key.flatten(2), second.key.flatten(2)], dim=2)
    memory_value = torch.cat([value.flatten(2), soft_value.flatten(2)], dim=2)
    scores = affinity(memory_key, last.key.flatten(2), network.similarity)
    found["affinity_logits"] = scores
    for label, top_k in (("top20", 20), ("full", None)):
        weights = attend(scores, top_k)
        readout = read(weights, memory_value).view(2, 512, 6, 8)
        logits = network.decode(last, readout)
        probabilities = torch.sigmoid(F.interpolate(logits[None], scale_factor=4.0, mode="bilinear")[0])
        found |= {f"affinity_{label}": weights, f"readout_{label}": readout, f"dec_pred_{label}": logits}
        found |= {f"sigmoid_{label}": probabilities, f"prob_{label}": network.aggregate(probabilities)}
        if label == "top20":
            found |= decoding(network, last, readout)
    return found


def fusion(network: STCN, query: QueryFeatures, masks: Tensor) -> dict[str, Tensor]:
    """The steps inside the value encoder."""
    encoder = network.value_encoder
    planes = torch.stack([masks, masks.flip(0)], dim=1)
    image = query.image.expand(2, -1, -1, -1)
    stem = F.relu(encoder.bn1(encoder.conv1(torch.cat([image, planes], dim=1))))
    own = encoder.layer3(encoder.layer2(encoder.layer1(F.max_pool2d(stem, 3, 2, 1))))
    block = encoder.fuser.block1
    joined = block(own, query.features[0])
    gated = encoder.fuser.attention.ChannelGate(joined)
    both = encoder.fuser.attention.SpatialGate(gated)
    return {
        "value_layer3": own[:, ::2],
        "fuser_block1": joined[:, ::4],
        "cbam_channel_out": gated[:, ::4],
        "cbam_out": both[:, ::4],
    }


def decoding(network: STCN, query: QueryFeatures, readout: Tensor) -> dict[str, Tensor]:
    """The steps inside the decoder."""
    _, thin, f8, f4 = query.features
    decoder = network.decoder
    compressed = decoder.compress(readout, thin)
    stride8 = decoder.up_16_8(compressed, f8)
    stride4 = decoder.up_8_4(stride8, f4)
    return {
        "dec_compress_top20": compressed[:, ::4],
        "dec_up_16_8_top20": stride8[:, ::8],
        "dec_up_8_4_top20": stride4[:, ::8],
    }


def encode(network: STCN, frame: np.ndarray) -> QueryFeatures:
    return network.encode_query(network.prepare(torch.from_numpy(frame)))


def object_masks(ids: np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack([ids == 1, ids == 2]).astype(np.float32))


def test_names_and_shapes_are_those_of_the_official_file(stcn_network: STCN) -> None:
    state = {name: list(tensor.shape) for name, tensor in stcn_network.state_dict().items()}
    assert state == json.loads(CONTRACT.read_text())


def test_modules_of_stcn_equal_the_release(parts: dict[str, Tensor], golden: GoldenReader) -> None:
    expected = golden("stcn_modules")
    inputs = {"frames", "masks", "memory1_masks"}
    assert parts.keys() == expected.arrays.keys() - inputs
    for key, measured in parts.items():
        expected.check(key, measured)


def test_log_odds_of_a_network_prepared_for_inference_are_the_published_ones(stcn_network: STCN) -> None:
    network = inference_copy(stcn_network, torch.device("cpu"), torch.float32)
    frames, ids = clip(7, 4, 96, 128, 2)
    with torch.inference_mode():
        first, second, last = (encode(network, frames[t]) for t in (0, 1, 3))
        masks, soft = object_masks(ids[0]), 0.9 * object_masks(ids[1]) + 0.02
        values = [network.encode_memory(first, masks)[1], network.encode_memory(second, soft)[1]]
        keys = torch.cat([first.key.flatten(2), second.key.flatten(2)], dim=2)
        weights = attend(affinity(keys, last.key.flatten(2), network.similarity), 20)
        readout = read(weights, torch.cat([value.flatten(2) for value in values], dim=2))
        logits = network.decode(last, readout.view(2, 512, 6, 8))
    best_golden("stcn_modules").check("dec_pred_top20", logits)
