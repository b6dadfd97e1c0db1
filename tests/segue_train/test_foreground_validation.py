"""F during training is the F of a session over a video."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from segue.datasets.foreground import open_plain
from segue.models.mustan_lite import MustanLite
from segue_train.validation import f_measure
from tests.segue_train.test_foreground_videos import save_video


class Everything(MustanLite):
    """Takes all of the image for foreground, or nothing."""

    def __init__(self, logit: float) -> None:
        super().__init__()
        self.decoder.requires_grad_(False)
        self.decoder.head.weight.zero_()
        self.decoder.head.bias = nn.Parameter(torch.tensor([logit, -9.0]), requires_grad=False)


@pytest.mark.parametrize("logit", [9.0, -9.0])
def test_f_follows_from_what_is_foreground(tmp_path: Path, logit: float) -> None:
    save_video(tmp_path, "walk", range(1, 5))
    found = f_measure(Everything(logit).eval(), [(video, None) for video in open_plain(tmp_path)])
    share = 100 / (60 * 90)
    precision, recall = (share, 1.0) if logit > 0 else (0.0, 0.0)
    expected = 2 * precision * recall / (precision + recall) if logit > 0 else 0.0
    assert found == pytest.approx(expected, abs=1e-3)
