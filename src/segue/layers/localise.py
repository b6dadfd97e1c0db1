"""Refinement of localisation, as our reading of MUSTAN's RLIM has it."""

from __future__ import annotations

from torch import Tensor, nn

from segue.layers.cbam import gate_positions


class RLIM(nn.Module):
    """A gate over positions, (B, C, H, W) → (B, C, H, W); 99 parameters.

    The paper names the module and gives no internals. The name says localisation, and the smallest block that
    weighs *where* is a 7x7 convolution of the maximum and the mean over channels; it also fits the size that
    the paper states.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        return gate_positions(x, self.conv)
