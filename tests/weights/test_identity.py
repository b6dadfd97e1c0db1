"""What weights are known by."""

from __future__ import annotations

import torch
from torch import nn

from segue.weights.identity import network_digest


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def test_the_same_values_are_the_same_weights() -> None:
    assert network_digest(network()) == network_digest(network()) != network_digest(network(1))


@torch.no_grad()
def test_any_changed_value_changes_the_digest_also_of_a_network_that_was_known() -> None:
    changed = network()
    before = network_digest(changed)
    changed.state_dict()["1.running_mean"][1] += 1e-3

    assert network_digest(changed) != before
