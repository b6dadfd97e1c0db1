"""A prompter with weights of its own: what has the colour under the clicks, as near as it has learnt."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from segue.prompts import ImagePrompter, ImagePrompts, MaskPrediction
from segue.registry import Entry, PrompterEntry, PrompterOptions
from segue.types import Image
from segue.weights import load


class Nearness(nn.Module):
    """How near a colour must be, which the weights say."""

    def __init__(self) -> None:
        super().__init__()
        self.nearness = nn.Parameter(torch.tensor(0.2))

    def forward(self, distance: Tensor) -> Tensor:
        return torch.sigmoid(40 * (self.nearness - distance))


class ColourPrompter(ImagePrompter):
    """It on one image."""

    def __init__(self, image: Image, network: Nearness) -> None:
        super().__init__(image)
        self._pixels, self._network = torch.from_numpy(np.array(image)).float() / 255, network

    @torch.inference_mode()
    def _segment(self, prompts: ImagePrompts) -> MaskPrediction:
        height, width = self.size
        points = list(prompts.positive)
        if prompts.box is not None:
            x0, y0, x1, y1 = prompts.box
            points.append(((x0 + x1) / 2, (y0 + y1) / 2))
        colour = torch.stack([self._pixels[int(y), int(x)] for x, y in points]).mean(0)
        plane = self._network((self._pixels - colour).norm(dim=-1))
        return MaskPrediction(
            (height, width), (0, 0, width, height), np.ones(1, np.float32), plane[None].numpy()
        )


def build(options: PrompterOptions) -> partial[ColourPrompter]:
    return partial(ColourPrompter, network=load("nearness", options.weights))  # type: ignore[arg-type]


NEARNESS = Entry("nearness", "prompt", Nearness, licence="MIT", signature="nearness")
SAME_COLOUR = PrompterEntry("same-colour", build, network="nearness")
