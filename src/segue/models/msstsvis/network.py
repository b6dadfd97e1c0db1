"""MS-STS VIS: SeqFormer with attention over scales and time.

Thawakar et al., "Video Instance Segmentation via Multi-scale Spatio-temporal Split Attention Transformer"
(ECCV 2022). With every part off this is SeqFormer, parameter for parameter and number for number.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.attention import SelfAttention
from segue.models.msstsvis.temporal import BoxQueryAttention, InterMode, IntraMode, SplitAttention
from segue.models.seqformer.network import BackboneName, SeqFormer, Size

RELEASED_DEPTH = 3
"""Encoder and decoder layers of the released training script."""


R18_SIZE = Size(width=128, hidden=512, encoder_layers=3, decoder_layers=3, queries=100)
"""Size of ``msstsvis-r18``, the small network beside the published ones (ours)."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Which of the paper's parts are built in.

    Attributes:
        intra_mode, inter_mode: the two blocks of the split attention beside each encoder layer (section 3.1),
            inside scales and between them; see :class:`SplitAttention`.
        decoder_attention: attention of the box queries over the frames (section 3.2), from the second layer
            on: in the first the box queries have no frames yet.
    """

    intra_mode: IntraMode = "position"
    inter_mode: InterMode = "sequence"
    decoder_attention: bool = True

    @property
    def encoder_attention(self) -> bool:
        """Whether anything of the split attention is there."""
        return self.intra_mode != "none" or self.inter_mode != "none"

    def text(self) -> str:
        """As it is kept in a weight file; :meth:`parse` reads it."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> Parts:
        """Parts from the text of a weight file.

        Raises:
            ValueError: it is damaged, or asks for what there is not.
        """
        try:
            parts = cls(**json.loads(text))
        except (TypeError, ValueError):
            raise ValueError(f"its parts {text!r} are damaged") from None
        known = parts.intra_mode in get_args(IntraMode) and parts.inter_mode in get_args(InterMode)
        if not known or not isinstance(parts.decoder_attention, bool):
            raise ValueError(f"its parts {text!r} are unknown")
        return parts


class MSSTSVIS(SeqFormer):
    """SeqFormer with the parts of MS-STS VIS.

    Files of SeqFormer fit but for the new names ``*.ms_sts.*`` and ``*.temporal_attn.*``; these start as a
    network that does what SeqFormer does.
    """

    def __init__(
        self, backbone: BackboneName = "r50", size: Size | None = None, parts: Parts | None = None
    ) -> None:
        super().__init__(backbone, size)
        self.parts = parts or Parts()
        if self.parts.encoder_attention:
            for layer in self.detr.transformer.encoder.layers:
                layer.ms_sts = SplitAttention(
                    self.size.width,
                    self.size.heads,
                    self.size.dropout,
                    self.parts.intra_mode,
                    self.parts.inter_mode,
                )
        if self.parts.decoder_attention:
            for layer in list(self.detr.transformer.decoder.layers)[1:]:
                layer.temporal_attn = BoxQueryAttention(self.size.width, self.size.heads)


class ReleasedMSSTSVIS(SeqFormer):
    """The network of the public release: SeqFormer of half the depth with tensors that nothing reads.

    Each decoder layer holds a temporal attention as wide as there are queries. It cannot run (300 is no
    multiple of its 8 heads) and is never called; it is here so that released files load strictly.
    """

    def __init__(self, backbone: BackboneName = "r50", size: Size | None = None) -> None:
        super().__init__(backbone, size or Size(encoder_layers=RELEASED_DEPTH, decoder_layers=RELEASED_DEPTH))
        for layer in self.detr.transformer.decoder.layers:
            layer.temp_attn_box = SelfAttention(self.size.queries, heads=1)


_BLOCKS = ((256, 64), (64, 128), (128, 256), (256, 512), (512, 1))


class ChannelNorm(nn.Module):
    """Layer norm over the channels at each place of (B, C, h, w)."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        channels = (len(self.weight),)
        y = F.layer_norm(x.permute(0, 2, 3, 1), channels, self.weight, self.bias, self.eps)
        return y.permute(0, 3, 1, 2)


class Block(nn.Module):
    """Leaky ReLU, 3x3 convolution and norm, of which the ends leave something out."""

    def __init__(self, cin: int, cout: int, *, activate: bool, norm: bool) -> None:
        super().__init__()
        self.activate = activate
        self.conv = nn.Conv2d(cin, cout, 3, padding=1, bias=False)
        self.norm = ChannelNorm(cout) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(F.leaky_relu(x, 0.2) if self.activate else x)
        return y if self.norm is None else self.norm(y)


class Discriminator(nn.Module):
    """Judges patch by patch whether a foreground mask belongs to a frame."""

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3 + width + 1, width, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        widths = [(width, _BLOCKS[0][1]), *_BLOCKS[1:]]
        self.discriminator_blocks = nn.ModuleList(
            Block(cin, cout, activate=i > 0, norm=0 < i < len(widths) - 1)
            for i, (cin, cout) in enumerate(widths)
        )

    def forward(self, frames: Tensor, masks: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Logits (B, 1, ⌈h/4⌉, ⌈w/4⌉) of "this is the true mask"; the release applies a sigmoid.

        Args:
            frames: normalised pictures, (B, 3, h, w).
            masks: foreground in 0..1, (B, 1, h, w).
            features: three neighbouring levels, (B, C, h, w), (B, C, ⌈h/2⌉, ⌈w/2⌉), (B, C, ⌈h/4⌉, ⌈w/4⌉).
        """
        fine, middle, coarse = features
        x = self.conv1(torch.cat((frames, fine, masks), 1))
        x = F.max_pool2d(x, 3, stride=2, padding=1) + middle
        x = F.max_pool2d(self.conv2(x), 3, stride=2, padding=1) + coarse
        for block in self.discriminator_blocks:
            x = block(x)
        return x
