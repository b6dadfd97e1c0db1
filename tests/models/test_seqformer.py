"""SeqFormer against the published network: names, parts, whole clips, results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from segue.layers.resnet import Bottleneck
from segue.models.seqformer import Memory, SeqFormer, Size
from segue.models.seqformer.decoder import Decoded
from segue.models.seqformer.network import Backbone
from segue.weights import recognise
from tests.fill import built, fill_plainly
from tests.golden_arrays import Golden, best_golden, load_golden

SMALL = Size(width=64, hidden=96, encoder_layers=2, decoder_layers=2, queries=12)


def small_network(seed: int = 0) -> SeqFormer:
    torch.manual_seed(seed)
    return SeqFormer("r18", SMALL).eval()


CONTRACTS = Path(__file__).parent.parent / "contracts"

GoldenReader = Callable[[str], Golden]


def shapes_of(network: torch.nn.Module) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in network.state_dict().items()}


@pytest.fixture(scope="module")
def looked(seqformer_network: SeqFormer) -> tuple[Memory, Decoded]:
    frames = to_frames(load_golden("seqformer_r50_forward")["image_u8"])
    with torch.inference_mode():
        memory = seqformer_network.encode(frames)
        return memory, seqformer_network.decode(memory)


def to_frames(images: np.ndarray) -> Tensor:
    """(T, H, W, 3), uint8 → (1, T, 3, H, W) in [0, 1]."""
    return torch.from_numpy(images).float().permute(0, 3, 1, 2)[None] / 255


@pytest.mark.parametrize("name", ["r50", "r101", "swin-l"])
def test_names_and_shapes_are_those_of_the_official_files(name: str) -> None:
    with torch.device("meta"):
        built = SeqFormer(name)  # type: ignore[arg-type]
    contract = CONTRACTS / f"seqformer_{name.replace('-', '_')}.json"
    assert shapes_of(built) == json.loads(contract.read_text())


CLASSIFIER = 2048 * 1000 + 1000
"""Parameters of the classifier that torchvision counts with a trunk."""


def test_resnext_has_the_size_that_torchvision_states() -> None:
    with torch.device("meta"):
        resnet, resnext = (SeqFormer(name).state_dict() for name in ("r101", "x101"))  # type: ignore[arg-type]
    assert resnext.keys() == resnet.keys()
    body = [n.numel() for name, n in resnext.items() if ".body." in name and "running" not in name]
    assert sum(body) + CLASSIFIER == 88_791_336
    assert all(resnext[name].shape == n.shape for name, n in resnet.items() if ".body." not in name)


def test_the_files_of_resnet_and_resnext_are_told_apart() -> None:
    for name in ("r101", "x101"):
        with torch.device("meta"):
            tensors = SeqFormer(name).state_dict()  # type: ignore[arg-type]
        entry = recognise(tensors)
        assert entry is not None
        assert entry.name == f"seqformer-{name}"


def test_groups_of_a_bottleneck_are_blocks_of_a_dense_one() -> None:
    torch.manual_seed(0)
    grouped = Bottleneck(8, 16, 2, groups=4, group_width=32).eval()
    dense = Bottleneck(8, 16, 2, group_width=128).eval()
    tensors = grouped.state_dict()
    tensors["conv2.weight"] = torch.zeros_like(dense.conv2.weight)
    for block, weight in zip(range(0, 32, 8), grouped.conv2.weight.detach().split(8), strict=True):
        tensors["conv2.weight"][block : block + 8, block : block + 8] = weight
    dense.load_state_dict(tensors)
    x = torch.randn(2, 8, 10, 14)
    with torch.inference_mode():
        torch.testing.assert_close(grouped(x), dense(x))


def test_a_clip_gives_the_published_numbers(
    seqformer_network: SeqFormer, looked: tuple[Memory, Decoded], golden: GoldenReader
) -> None:
    expected, (memory, decoded) = golden("seqformer_r50_forward"), looked
    network = seqformer_network
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


@pytest.mark.parametrize("stages", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_swin_has_the_published_features(stages: int) -> None:
    """The third and the fourth stage repeat the blocks of the others with most of the weights."""
    golden = best_golden("seqformer_swin_l_backbone")
    trunk = built(lambda: Backbone("swin-l"))
    assert isinstance(trunk, Backbone)
    del trunk.body.layers[stages:]
    fill_plainly(trunk, "detr.backbone.0.")
    with torch.inference_mode():
        maps = trunk.body(torch.from_numpy(golden["x"]))
    assert len(maps) == stages
    for i, level in enumerate(maps):
        golden.check(f"out{i}", level)
