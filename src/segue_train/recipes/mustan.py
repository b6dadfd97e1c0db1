"""Recipe of MUSTAN1 and MUSTAN2: windows of labelled videos, half of each batch real, half rendered.

From the paper: Tversky loss and binary cross-entropy, Adam with a rate of 1e-4, ResNet-18 encoders. Ours: the
weights of the losses, the sizes, the augmentations, and how the rate falls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import BeforeValidator, Field
from torch import nn

from segue.datasets.foreground.folder import ForegroundSequence
from segue.errors import TrainingError
from segue.layers.resnet import ResNet18
from segue.models.mustan import MUSTAN1, MUSTAN2
from segue.options import option
from segue.utils.inputs import whole_number
from segue.weights import load_strict, read_checkpoint
from segue.weights.checkpoint import Option, match
from segue_train.data.foreground.videos import WindowBatches, WindowSampler
from segue_train.losses.masks import foreground_loss
from segue_train.recipe import UNCHECKED, CommonRecipe, Objective, checked_dataclass

RATE = 1e-4
STEPS = 40_000
SIZE = (240, 320)  # height and width of what a window shows; the commonest size in CDnet 2014
TVERSKY = (0.3, 0.7)  # prices of false alarms and of misses
NETWORKS: dict[str, type[MUSTAN1] | type[MUSTAN2]] = {"mustan1": MUSTAN1, "mustan2": MUSTAN2}


def _size(value: Any) -> Any:
    """Parse height and width, also from a text such as 240x320."""
    if not isinstance(value, str):
        return value
    sides = [whole_number(part) for part in value.split("x")]
    if len(sides) != 2 or None in sides:
        raise ValueError("must be height and width, as 240x320")
    return sides


Side = Annotated[int, Field(ge=32)]


@checked_dataclass()
class MustanRecipe(CommonRecipe):
    """Options of a training."""

    falls: ClassVar[tuple[float, ...]] = (0.5, 0.75, 0.9)
    fall_factor: ClassVar[float] = 0.5

    name: Literal["mustan1", "mustan2"]
    """Which of the two networks."""

    sources: Annotated[Sequence[Sequence[ForegroundSequence]], UNCHECKED]
    """Labelled videos by kind, such as real and rendered ones; each kind gives the same share of every batch.
    None of them may be used for scores."""

    options: dict[str, Option] = field(default_factory=dict)
    """Options of the network."""

    trunk: Path | None = option(None, flags="init")
    """ResNet-18 of torchvision, for all encoders."""

    start: Path | None = option(None)
    """Weights of this network to start from."""

    batch: int = option(8, ge=1)
    """Windows per batch and device."""

    size: Annotated[tuple[Side, Side], BeforeValidator(_size)] = option(SIZE, text=True)
    """Height and width of a window, at least 32."""

    rate: Annotated[float, option(gt=0)] = field(default=RATE, kw_only=True)
    """Learning rate; narrow networks from random weights need 1e-3."""

    def __post_init__(self) -> None:
        if not (self.sources and all(self.sources)):
            raise TrainingError("no videos to train on")

    def build(self) -> MUSTAN1 | MUSTAN2:
        """Create the network with random weights."""
        try:
            return NETWORKS[self.name](**self.options)  # type: ignore[arg-type]
        except ValueError as error:
            raise TrainingError(f"{self.name}: {error}") from error

    def network(self) -> nn.Module:
        network = self.build()
        if self.start is not None:
            load_strict(network, self.start)
        elif self.trunk is not None:
            load_trunks(network, self.trunk)
        background = network.background is not None
        normals = bool(network.options["normals"])
        loss = partial(foreground_loss, tversky=TVERSKY, background=background, normals=normals)
        return Objective(network, loss)

    def batches(self, count: int, seed: int) -> WindowBatches:
        with torch.device("meta"):
            network = self.build()
        background, depth = network.background is not None, network.capabilities.depth
        samplers = [
            WindowSampler(
                videos,
                network.offsets,
                self.size,
                background=background,
                depth=depth,
                normals=bool(network.options["normals"]),
            )
            for videos in self.sources
        ]
        return WindowBatches(count, seed, samplers, self.batch)


@torch.no_grad()
def load_trunks(network: nn.Module, path: Path) -> None:
    """Initialise all encoders from an ImageNet classifier in torchvision's layout.

    A context network over a whole window takes the first kernel once for each image of the window, divided
    by their number; the convolution of a depth map stays at zero.
    """
    tensors = read_checkpoint(path).tensors
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("fc.")}
    for encoder in network.modules():
        if not isinstance(encoder, ResNet18):
            continue
        parameters = {
            name: x for name, x in encoder.state_dict().items() if not name.startswith("conv1_depth")
        }
        images = parameters["conv1.weight"].shape[1] // 3
        expected = parameters | {"conv1.weight": parameters["conv1.weight"][:, :3]}
        for name, tensor in match(path, tensors, expected).items():
            first = name == "conv1.weight"
            parameters[name].copy_(tensor.repeat(1, images, 1, 1) / images if first else tensor)
