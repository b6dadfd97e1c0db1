"""What weights are known by."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import nn

from segue.errors import CheckpointError
from segue.weights.identity import WeightsIdentity


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def test_the_same_values_are_the_same_weights_also_after_json() -> None:
    one, two = WeightsIdentity.of(network()), WeightsIdentity.of(network())

    assert one.difference(two) is None
    assert WeightsIdentity.from_json(json.loads(json.dumps(one.to_json()))) == two


@torch.no_grad()
def test_any_changed_value_is_reported_also_in_a_network_that_was_known() -> None:
    changed = network()
    before = WeightsIdentity.of(changed)
    changed.state_dict()["1.running_mean"][1] += 1e-3

    assert "the weights of Sequential were" in str(before.difference(WeightsIdentity.of(changed)))
    assert "the network was Sequential" in str(before.difference(WeightsIdentity.of(nn.Linear(3, 2))))


def test_changes_through_data_are_seen() -> None:
    changed = network()
    before = WeightsIdentity.of(changed)
    changed.get_parameter("0.weight").data[0, 0] += 1e-3
    assert before.difference(WeightsIdentity.of(changed)) is not None


def test_types_and_shapes_count_beside_the_bytes() -> None:
    class Holder(nn.Module):
        def __init__(self, values: torch.Tensor) -> None:
            super().__init__()
            self.register_buffer("values", values)

    zeros = [torch.zeros(4), torch.zeros(2, 2), torch.zeros(4, dtype=torch.int32), torch.zeros(8).bfloat16()]

    assert len({WeightsIdentity.of(Holder(values)) for values in zeros}) == 4


def test_tensors_of_inference_mode_are_read_each_time() -> None:
    with torch.inference_mode():
        made = network()
        before = WeightsIdentity.of(made)
        made.state_dict()["0.bias"][0] = 9.0

        assert before.difference(WeightsIdentity.of(made)) is not None


@pytest.mark.parametrize("values", [None, {"network": "A"}, {"network": "A", "digest": 3}])
def test_damaged_values_are_refused(values: Any) -> None:
    with pytest.raises(CheckpointError, match="no identity of weights"):
        WeightsIdentity.from_json(values)
