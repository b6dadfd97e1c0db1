"""F during training is the F of a session over a video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import segue
from segue.datasets.foreground.folder import open_plain
from segue.datasets.foreground.labels import MOTION
from segue.models.mustan_lite import MustanLite
from segue_train.validation import f_measure
from tests.segue_train.data.test_foreground_videos import save_video


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
    network, (video,) = Everything(logit).eval(), open_plain(tmp_path)
    found = f_measure(network, [(video, None)])
    images = [video.read_image(i) for i in range(len(video))]
    masks = [result.mask > 0 for result in segue.foreground(images, model=network, passes=1, device="cpu")]
    moving = [video.read_labels(i) == MOTION for i in range(len(video))]
    both = sum(int((mask & truth).sum()) for mask, truth in zip(masks, moving, strict=True))
    either = sum(map(np.count_nonzero, [*masks, *moving]))
    assert found == pytest.approx(2 * both / either, abs=1e-5)  # CDnet rounds precision and recall
    assert (both > 0) == (logit > 0)
