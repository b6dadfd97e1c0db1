"""PSPNet and DeepLabV3+ of segmentation_models_pytorch as single-frame foreground networks.

Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017 (arXiv 1612.01105); Chen et al., "Encoder-Decoder with
Atrous Separable Convolution for Semantic Image Segmentation", ECCV 2018 (arXiv 1802.02611). Both are on
ResNet-50. HOFAM's release compares itself with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Literal, cast

from torch import Tensor, nn

from segue.errors import MissingExtraError
from segue.layers.colours import normalise_planes
from segue.models.base import Features, ForegroundCapabilities, Shape

Architecture = Literal["pspnet", "deeplabv3plus"]

CLASSES: dict[Architecture, str] = {"pspnet": "PSPNet", "deeplabv3plus": "DeepLabV3Plus"}
"""Names in the library."""

PACKAGE = "segmentation-models-pytorch"

ENCODER = "resnet50"


class SemanticNetwork(nn.Module):
    """A network of segmentation_models_pytorch with the single class foreground.

    Args:
        architecture: which of the two.

    Raises:
        MissingExtraError: the library is not installed.
    """

    context: tuple[tuple[int, str], ...] = ()
    current = "current"
    background: str | None = None
    channels = 1
    threshold = 0.5
    size_multiple = 32
    capabilities = ForegroundCapabilities()

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        try:
            library = import_module(PACKAGE.replace("-", "_"))
        except ImportError:
            raise MissingExtraError(f"{architecture} needs {PACKAGE}: pip install {PACKAGE}") from None
        build = getattr(library, CLASSES[architecture])
        self.network: nn.Module = build(encoder_name=ENCODER, encoder_weights=None, in_channels=3, classes=1)

    def encode(self, frames: Tensor, role: str) -> Features:
        """RGB (N, 3, H, W) in [0, 1] → logits (N, 1, H, W)."""
        return (cast(Tensor, self.network(normalise_planes(frames))),)

    def decode(
        self, current: Features, context: Sequence[Features], background: Features | None, size: Shape
    ) -> Tensor:
        """Resize logits to (N, 1, H, W) at ``size``; context and background are ignored."""
        return current[0][..., : size[0], : size[1]]

    def forward(self, frames: Tensor) -> Tensor:
        """RGB (N, 3, H, W) in [0, 1] → logits (N, 1, H, W)."""
        return self.decode(self.encode(frames, self.current), (), None, (frames.shape[-2], frames.shape[-1]))
