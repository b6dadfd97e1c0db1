"""The mean of weights, as it is shipped."""

from __future__ import annotations

import pytest
import torch

from tools.ship import mean


def test_matrices_are_halved_and_whole_numbers_are_the_last() -> None:
    before = {"conv.weight": torch.ones(2, 3), "bn.running_mean": torch.zeros(2), "bn.count": torch.tensor(3)}
    after = {"conv.weight": torch.zeros(2, 3), "bn.running_mean": torch.ones(2), "bn.count": torch.tensor(5)}
    found = mean([before, after])
    torch.testing.assert_close(found["conv.weight"], torch.full((2, 3), 0.5, dtype=torch.float16))
    torch.testing.assert_close(found["bn.running_mean"], torch.full((2,), 0.5))
    assert int(found["bn.count"]) == 5
    with pytest.raises(ValueError, match="different names or shapes"):
        mean([before, {**after, "conv.weight": torch.zeros(3, 3)}])
