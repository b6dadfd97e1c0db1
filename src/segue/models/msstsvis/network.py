"""MS-STS VIS: SeqFormer with attention over the frames of a clip, within and between levels.

Thawakar et al., "Video Instance Segmentation via Multi-scale Spatio-temporal Split Attention Transformer"
(ECCV 2022). With every part off this is SeqFormer, parameter for parameter and number for number. The release
holds no working version of the parts of sections 3.1 and 3.2; what the paper leaves open is our reading and
marked so.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from segue.layers.activated import LayerNorm2d
from segue.layers.attention import SelfAttention
from segue.layers.linear import ActivatedLinear, mlp
from segue.layers.pieces import cat
from segue.models.base import Shape
from segue.models.seqformer.encoder import Levels
from segue.models.seqformer.network import BackboneName, SeqFormer, Size
from segue.options import option

IntraMode = Literal["position", "joint", "none"]
InterMode = Literal["sequence", "channel", "none"]

JOINT_TOKENS = 2048
"""Largest scale whose tokens all attend to one another."""

FEW_KEYS = 20
"""Maximum number of keys for which matrix products and a softmax beat fused attention on several threads."""

PLACES = 1024
"""Places of a scale that a processor works on at a time: their tokens stay near its cache."""

R18_SIZE = Size(width=128, hidden=512, encoder_layers=3, decoder_layers=3, queries=100)
"""Size of ``msstsvis-r18``, the small network of segue."""


# The parts come from weight files.
_STRICT = ConfigDict(strict=True, extra="forbid", use_attribute_docstrings=True)


@dataclass(frozen=True, slots=True, config=_STRICT)
class Parts:
    """Switches of the parts of the paper.

    The two modes are of the split attention beside each encoder layer (section 3.1), see
    :class:`SplitAttention`. The attention over the frames (section 3.2) is in the decoder from the second
    layer on: in the first the box queries have no frames yet.
    """

    intra_mode: IntraMode = option("position", flags="intra")
    """Attention inside each scale of the encoder: over time at each position (position), over all positions
    and times of small scales (joint), or none."""

    inter_mode: InterMode = option("sequence", flags="inter")
    """Attention between neighbouring scales: frames of both as one sequence, concatenated channels, or
    none."""

    decoder_attention: bool = option(True)
    """Attention of the box queries over the frames."""

    def text(self) -> str:
        """The parts as JSON, for a weight file."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> Parts:
        """Read the parts from a weight file; ValueError if they are damaged or unknown."""
        try:
            return cls(**json.loads(text))
        except (TypeError, ValueError):
            raise ValueError(f"its parts {text!r} are damaged or unknown") from None


class MSSTSVIS(SeqFormer):
    """SeqFormer with the parts of MS-STS VIS.

    Files of SeqFormer fit but for the new names ``*.ms_sts.*`` and ``*.temporal_attn.*``; these start as a
    network that does what SeqFormer does.

    Args:
        backbone: name of the backbone.
        size: widths and depths; None uses those of the paper.
        parts: parts of MS-STS VIS to use; None uses all.
    """

    def __init__(
        self, backbone: BackboneName = "r50", size: Size | None = None, parts: Parts | None = None
    ) -> None:
        super().__init__(backbone, size)
        self.parts = parts or Parts()
        modes = self.parts.intra_mode, self.parts.inter_mode
        if modes != ("none", "none"):
            for layer in self.detr.transformer.encoder.layers:
                layer.ms_sts = SplitAttention(self.size.width, self.size.heads, self.size.dropout, *modes)
        if self.parts.decoder_attention:
            for layer in list(self.detr.transformer.decoder.layers)[1:]:
                layer.temporal_attn = BoxQueryAttention(self.size.width, self.size.heads)


class ReleasedMSSTSVIS(SeqFormer):
    """Network of the released training script: SeqFormer of half the depth, with unused tensors.

    Each decoder layer holds a temporal attention as wide as there are queries. It cannot run (300 is no
    multiple of its 8 heads) and is never called; it is here so that released files load strictly.
    """

    def __init__(self, backbone: BackboneName = "r50", size: Size | None = None) -> None:
        super().__init__(backbone, size or Size(encoder_layers=3, decoder_layers=3))
        for layer in self.detr.transformer.decoder.layers:
            layer.temp_attn_box = SelfAttention(self.size.queries, heads=1)


class BoxQueryAttention(SelfAttention):
    """Attention of each box query (N, T, Q, C) over its other frames; zero at first (our reading)."""

    def __init__(self, width: int = 256, heads: int = 8) -> None:
        super().__init__(width, heads)
        nn.init.zeros_(self.proj.weight)
        nn.init.zeros_(self.proj.bias)

    def forward(self, box: Tensor) -> Tensor:
        samples, frames, queries, _ = box.shape
        attended = super().forward(box.transpose(1, 2).flatten(0, 1))
        return attended.view(samples, queries, frames, -1).transpose(1, 2)


class CrossAttention(nn.Module):
    """Multi-head attention with separate projections; keys may be masked."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.watch: Callable[[Tensor], None] | None = None
        self.q, self.k, self.v = (ActivatedLinear(width, width) for _ in range(3))
        self.proj = ActivatedLinear(width, width)

    def forward(self, query: Tensor, key: Tensor, masked: Tensor | None = None) -> Tensor:
        """Attend from queries (B, n, C) to keys (B, m, C); ``masked``: (B, m), True for excluded keys."""
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, x in ((self.q, query), (self.k, key), (self.v, key))
        )
        allowed = None if masked is None else ~masked[:, None, None]
        if self.watch is not None:  # what each key counts for each query, (B, n, m), means over the heads
            self.watch(_weights(q.float(), k.float(), allowed).mean(1).detach())
        few = key.shape[1] <= FEW_KEYS and q.device.type == "cpu"
        if masked is None and key.shape[1] == 1:
            attended = v.expand_as(q)
        elif masked is None and few and (q.dtype == torch.bfloat16 or torch.get_num_threads() > 1):
            attended = _weights(q, k).to(v) @ v
        else:
            attended = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        return self.proj(attended.transpose(1, 2).flatten(2))


def _weights(query: Tensor, key: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Attention weights, (B, M, n, d) and (B, M, m, d) → (B, M, n, m)."""
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    return (scores if allowed is None else scores.masked_fill(~allowed, -torch.inf)).softmax(-1)


class SplitAttention(nn.Module):
    """Multi-scale spatio-temporal split attention: first inside each scale, then between neighbours.

    The figure of the paper leaves residuals, heads and the join of scales open; they are our reading. The
    output starts at zero, so that a network begins as SeqFormer.
    """

    def __init__(
        self,
        width: int = 256,
        heads: int = 8,
        dropout: float = 0.1,
        intra_mode: IntraMode = "position",
        inter_mode: InterMode = "sequence",
    ) -> None:
        super().__init__()
        self.intra_mode, self.inter_mode = intra_mode, inter_mode
        self.joint_tokens, self.places = JOINT_TOKENS, PLACES
        if intra_mode != "none":
            self.intra_linear = ActivatedLinear(width, width)
            self.intra_attn = CrossAttention(width, heads)
            self.intra_norm = nn.LayerNorm(width)
            self.intra_ffn = mlp(width, 2 * width, ("linear1", "linear2"), "relu")
        if inter_mode != "none":
            self.inter_own = ActivatedLinear(width, width)
            self.inter_partner = ActivatedLinear(width, width)
            self.inter_norm = nn.LayerNorm(width if inter_mode == "sequence" else 2 * width)
            self.inter_merge = ActivatedLinear(2 * width, width) if inter_mode == "channel" else None
            self.inter_attn = CrossAttention(width, heads)
            self.inter_dropout = nn.Dropout(dropout)
            self.inter_ffn_norm = nn.LayerNorm(width)
            self.inter_ffn = mlp(width, 2 * width, ("linear1", "linear2"), "relu")
        self.out_proj = ActivatedLinear(width, width)
        nn.init.zeros_(self.out_proj.weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, tokens: Tensor, levels: Levels) -> Tensor:
        """Tokens with their position code (N, T, S, C) → (N, T, S, C)."""
        raw = torch.split(tokens, levels.areas, 2)
        padding: list[Tensor | None] = [None] * len(raw)
        if levels.padding is not None:  # all frames of a sample share it
            padding = list(torch.split(levels.padding[:: tokens.shape[1]], levels.areas, 1))
        related = list(raw)
        if self.intra_mode != "none":
            related = [self._intra(level, mask) for level, mask in zip(raw, padding, strict=True)]
        projected = []
        for number, shape in enumerate(levels.shapes):
            level = related.pop(0)  # what is large is let go as soon as nobody needs it
            if self.inter_mode != "none":
                # Each scale is related to the next coarser one, the last to its own raw tokens.
                below = min(number + 1, len(raw) - 1)
                partner = related[0] if related else raw[-1]
                resized = self._resized(partner, padding[below], levels.shapes[below], shape)
                level = self._by_places(self._inter, level, resized)
            projected.append(self.out_proj(level))
        return torch.cat(projected, 2)

    def _by_places(self, relate: Callable[..., Tensor], *scales: Tensor) -> Tensor:
        """Apply ``relate`` to scales (N, T, HW, C) whose positions are independent."""
        first_scale = scales[0]
        if self.training or first_scale.device.type != "cpu" or first_scale.shape[2] <= self.places:
            return relate(*scales)
        pieces = zip(*(scale.split(self.places, 2) for scale in scales), strict=True)
        return cat([relate(*piece) for piece in pieces], 2)

    def _intra(self, u: Tensor, padding: Tensor | None) -> Tensor:
        """Attend over the frames of one scale, (N, T, HW, C) → the same."""
        _, frames, places, _ = u.shape
        if self.intra_mode == "joint" and frames * places <= self.joint_tokens:
            flat = self.intra_linear(u).flatten(1, 2)
            masked = None if padding is None else padding.repeat(1, frames)
            return self._intra_forward(u, self.intra_attn(flat, flat, masked).view_as(u))
        return self._by_places(self._intra_places, u)

    def _intra_places(self, u: Tensor) -> Tensor:
        """Attend over the frames at each position, (N, T, HW, C) → the same."""
        columns = _columns(self.intra_linear(u))
        attended = self.intra_attn(columns, columns)
        return self._intra_forward(u, attended.unflatten(0, (len(u), -1)).transpose(1, 2))

    def _intra_forward(self, u: Tensor, attended: Tensor) -> Tensor:
        a = self.intra_norm(u + attended)
        return a + self.intra_ffn(a)

    def _resized(self, partner: Tensor, padding: Tensor | None, shape: Shape, size: Shape) -> Tensor:
        """Project the partner scale and resize it to this scale, (N, T, HW, C)."""
        p = self.inter_partner(partner)
        if padding is not None:
            # Else the padding would leak over the border when the map is enlarged.
            p = p.masked_fill(padding[:, None, :, None], 0.0)
        if shape == size:
            return p
        samples, frames = p.shape[:2]
        maps = p.flatten(0, 1).transpose(1, 2).unflatten(2, shape)
        maps = F.interpolate(maps, size, mode="bilinear", align_corners=False)
        return maps.flatten(2).transpose(1, 2).reshape(samples, frames, -1, p.shape[-1])

    def _inter(self, tokens: Tensor, partner: Tensor) -> Tensor:
        """Attend from a scale to its partner of the same size, both (N, T, HW, C)."""
        samples, frames, places, _ = tokens.shape
        s = self.inter_own(tokens)
        if self.inter_merge is not None:
            keys = self.inter_merge(self.inter_norm(torch.cat((s, partner), -1)))
            keys = _columns(keys)
            queries = keys
        else:
            normed = [self.inter_norm(tokens).transpose(1, 2) for tokens in (s, partner)]
            keys = torch.cat(normed, 2).flatten(0, 1)
            queries = keys[:, :frames].contiguous()
        attended = self.inter_attn(queries, keys)
        attended = attended.view(samples, places, frames, -1).transpose(1, 2)
        d = tokens + self.inter_dropout(attended)
        return d + self.inter_ffn(self.inter_ffn_norm(d))


def _columns(tokens: Tensor) -> Tensor:
    """Frames of each position, (N, T, HW, C) → (N·HW, T, C)."""
    # Laid out anew: else the projections become one tiny product for each place.
    return tokens.transpose(1, 2).flatten(0, 1).contiguous()


class Block(nn.Module):
    """Leaky ReLU, 3x3 convolution and norm; the first and last blocks omit parts."""

    def __init__(self, cin: int, cout: int, *, activate: bool, norm: bool) -> None:
        super().__init__()
        self.activate = activate
        self.conv = nn.Conv2d(cin, cout, 3, padding=1, bias=False)
        self.norm = LayerNorm2d(cout) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, h, w) to (B, cout, h, w)."""
        y = self.conv(F.leaky_relu(x, 0.2) if self.activate else x)
        return y if self.norm is None else self.norm(y)


class Discriminator(nn.Module):
    """Judges per patch whether a foreground mask belongs to a frame.

    Args:
        width: channels of the frame's features.
    """

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3 + width + 1, width, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        pairs = itertools.pairwise((width, 64, 128, 256, 512, 1))
        self.discriminator_blocks = nn.ModuleList(
            Block(cin, cout, activate=i > 0, norm=0 < i < 4) for i, (cin, cout) in enumerate(pairs)
        )

    def forward(self, frames: Tensor, masks: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Logits (B, 1, ⌈h/4⌉, ⌈w/4⌉) of "this is the true mask"; the release applies a sigmoid.

        ``frames``: normalised images, (B, 3, h, w); ``masks``: foreground in 0..1, (B, 1, h, w);
        ``features``: three neighbouring levels, (B, C, h, w), (B, C, ⌈h/2⌉, ⌈w/2⌉), (B, C, ⌈h/4⌉, ⌈w/4⌉).
        """
        fine, middle, coarse = features
        x = self.conv1(torch.cat((frames, fine, masks), 1))
        x = F.max_pool2d(x, 3, stride=2, padding=1) + middle
        x = F.max_pool2d(self.conv2(x), 3, stride=2, padding=1) + coarse
        for block in self.discriminator_blocks:
            x = block(x)
        return x
