"""Matching and losses of instance segmentation against the published training code."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from segue.models.seqformer import SeqFormer
from segue_train.losses.instances import (
    WEIGHTS,
    ClipTargets,
    box_losses,
    class_loss,
    instance_losses,
    mask_losses,
    mask_targets,
    match,
    matching_cost,
)
from tests.fill import fill_plainly
from tests.golden_arrays import Golden, load_golden

GoldenReader = Callable[[str], Golden]


@pytest.fixture(scope="module")
def units() -> Golden:
    return load_golden("seqformer_losses")


def tensor(golden: Golden, name: str) -> Tensor:
    return torch.from_numpy(np.array(golden[name]))


def targets_of(golden: Golden, sample: int, frames: int = 3) -> ClipTargets:
    labels, boxes, masks = (tensor(golden, f"t{sample}_{name}") for name in ("labels", "boxes", "masks"))
    return ClipTargets(labels, boxes.view(-1, frames, 4), masks.view(-1, frames, *masks.shape[1:]))


def test_queries_are_matched_as_published(units: Golden) -> None:
    logits, boxes = tensor(units, "pred_logits"), tensor(units, "pred_boxes")
    for sample in range(2):
        targets = targets_of(units, sample)
        units.check(f"cost{sample}", matching_cost(logits[sample], boxes[sample], targets))
        queries, objects = match(logits[sample], boxes[sample], targets)
        assert queries.tolist() == units[f"match{sample}_query"].tolist()
        assert objects.tolist() == units[f"match{sample}_target"].tolist()


def test_losses_and_their_gradients_are_the_published_ones(units: Golden) -> None:
    names = ("pred_logits", "pred_boxes", "pred_masks0", "pred_masks1")
    logits, boxes, *masks = (tensor(units, name).requires_grad_() for name in names)
    targets = [targets_of(units, sample) for sample in range(2)]
    matches = [match(logits[i].detach(), boxes[i].detach(), targets[i]) for i in range(2)]
    wanted = [clip[objects] for clip, (_, objects) in zip(mask_targets(targets), matches, strict=True)]
    distance, overlap = box_losses(boxes, targets, matches, 3.0)
    shape, dice = mask_losses(torch.cat(masks), torch.cat(wanted), 3.0)
    found = (class_loss(logits, targets, matches, 3.0), distance, overlap, shape, dice)
    total = torch.zeros(())
    for (name, weight), value in zip(WEIGHTS.items(), found, strict=True):
        assert float(value.detach()) == pytest.approx(float(units[f"loss:{name}"]), rel=1e-5)
        total = total + weight * value
    total.backward()
    for name, leaf in zip(("logits", "boxes", "masks0", "masks1"), (logits, boxes, *masks), strict=True):
        assert leaf.grad is not None
        units.check(f"grad_{name}", leaf.grad)


def test_a_training_step_gives_the_published_losses_and_gradients(golden: GoldenReader) -> None:
    expected = golden("seqformer_r50_train")
    network = fill_plainly(lambda: SeqFormer("r50"))
    assert isinstance(network, SeqFormer)
    images = tensor(expected, "image0_u8").float().permute(0, 3, 1, 2)[None] / 255
    height, width = (int(side) for side in expected["padded_size"])
    inner = images.shape[-2:]
    valid = torch.zeros(1, height, width, dtype=torch.bool)
    valid[:, : inner[0], : inner[1]] = True
    images = torch.nn.functional.pad(images, (0, width - inner[1], 0, height - inner[0]))
    memory = network.encode(images, valid)
    decoded = network.decode(memory)
    expected.check("valid_ratios", memory.levels.valid)
    expected.check("pred_logits", network.class_logits(decoded))
    expected.check("pred_boxes", decoded.refined[-1])

    total, parts, masks = instance_losses(network, memory, decoded, [targets_of(expected, 0)])
    expected.check("pred_masks0", masks[0])
    values = dict(zip(expected["loss_names"].tolist(), expected["loss_values"].tolist(), strict=True))
    for name, value in parts.items():
        assert float(value.detach()) == pytest.approx(values[name], rel=1e-4), name
    assert float(total.detach()) == pytest.approx(float(expected["total"]), rel=1e-5)

    total.backward()
    parameters = dict(network.named_parameters())
    for name, norm in zip(expected["grad_names"], expected["grad_norms"], strict=True):
        gradient = parameters[str(name)].grad
        assert gradient is not None, name
        assert float(gradient.norm()) == pytest.approx(float(norm), rel=5e-3), name
    silent = {name for name, parameter in parameters.items() if parameter.grad is None}
    assert silent == set(expected["no_grad_names"].tolist())
