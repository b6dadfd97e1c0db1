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


@pytest.mark.parametrize("values", [None, {"network": "A"}, {"network": "A", "digest": 3}])
def test_damaged_values_are_refused(values: Any) -> None:
    with pytest.raises(CheckpointError, match="no identity of weights"):
        WeightsIdentity.from_json(values)
