"""msstsvis-lite: a small MS-STS VIS of our own that runs on a processor, and where it looks for objects.

Zhu et al., "Deformable DETR" (ICLR 2021), appendix A.4, starts its queries from the tokens that look most
like objects; here the tokens of all frames of a clip compete. This is no part of MS-STS VIS: learned queries
need far more training than a small network can have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from segue.models.msstsvis.network import MSSTSVIS, Parts
from segue.models.seqformer import Memory
from segue.models.seqformer.decoder import MLP, Decoded, refine
from segue.models.seqformer.encoder import Levels, reference_points
from segue.models.seqformer.network import FOCAL_PRIOR, Size

CELLS = 5.0
"""Side of the box that every token starts from, in cells of its level."""

PER_FRAME = 60
"""Tokens of a frame that compete."""

SAME = 0.65
"""Overlap (IoU) from which on a box gives way to a surer one."""

WAVES = 4
"""Frequencies that a box is told to its query in."""


@dataclass(frozen=True)
class Proposed:
    """What each token says of the object that it lies in.

    Attributes:
        logits: of the classes, (N, T, S, classes).
        boxes: (N, T, S, 4): cx, cy, width, height in 0..1 of the frame.
    """

    logits: Tensor
    boxes: Tensor


@dataclass(frozen=True)
class DecodedProposals(Decoded):
    """Queries after every decoder layer, and what they started from.

    Attributes:
        proposed: what all tokens say.
        begun: class logits of the tokens that became queries, (N, Q, classes).
    """

    proposed: Proposed
    begun: Tensor


class Proposals(nn.Module):
    """Class and box of every token, and queries from the best of them."""

    def __init__(self, width: int, classes: int, prior: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.classify = nn.Linear(width, classes)
        self.box = MLP(width, width, 4, 2)
        self.content = nn.Linear(width, width)
        self.place = nn.Linear(8 * WAVES, width)
        nn.init.constant_(self.classify.bias, -math.log((1 - prior) / prior))
        nn.init.zeros_(self.box.linears[-1].weight)
        nn.init.zeros_(self.box.linears[-1].bias)

    def forward(self, tokens: Tensor, levels: Levels) -> tuple[Tensor, Proposed]:
        """Tokens (N, T, S, C) → the same, normalised, and what they propose."""
        tokens = self.norm(tokens)
        boxes = refine(self.box(tokens).float(), anchors(levels)[:, None])
        return tokens, Proposed(self.classify(tokens), boxes)

    def queries(
        self, tokens: Tensor, proposed: Proposed, count: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Content (N, count, C), place (N, count, C), box (N, count, 4) and class logits of the queries."""
        chosen = torch.stack(
            [best(*clip, count) for clip in zip(proposed.logits, proposed.boxes, strict=True)]
        )
        picked = chosen[..., None]
        content = tokens.flatten(1, 2).gather(1, picked.expand(-1, -1, tokens.shape[-1]))
        starts = proposed.boxes.detach().flatten(1, 2).gather(1, picked.expand(-1, -1, 4))
        logits = proposed.logits.flatten(1, 2)
        begun = logits.gather(1, picked.expand(-1, -1, logits.shape[-1]))
        return self.content(content), self.place(waves(starts).to(content.dtype)), starts, begun


def anchors(levels: Levels) -> Tensor:
    """Boxes around the tokens, (B, S, 4), centre form, in 0..1 of the frames without padding."""
    sides = [(min(CELLS / w, 0.9), min(CELLS / h, 0.9)) for h, w in levels.shapes for _ in range(h * w)]
    centres = reference_points(levels)[:, :, 0] / levels.valid[:, :1]
    extents = centres.new_tensor(sides).expand(len(centres), -1, -1)
    return torch.cat((centres, extents), -1)


@torch.no_grad()
def best(logits: Tensor, boxes: Tensor, count: int) -> Tensor:
    """Indices into the T·S tokens of a clip, (count,): the surest that are apart, then the others.

    Args:
        logits: (T, S, classes).
        boxes: (T, S, 4), centre form.
        count: how many.
    """
    frames, tokens = logits.shape[:2]
    most = max(min(PER_FRAME, tokens), -(-count // frames))
    scores, places = logits.float().amax(-1).topk(most)
    places = places + torch.arange(frames, device=places.device)[:, None] * tokens
    order = scores.flatten().argsort(descending=True, stable=True)
    places = places.flatten()[order]
    repeats = overlaps(boxes.flatten(0, 1)[places]).triu(1).amax(0) > SAME
    return places[torch.argsort(repeats.int(), stable=True)[:count]]


def overlaps(boxes: Tensor) -> Tensor:
    """IoU of all pairs, (n, n), of boxes (n, 4) in centre form."""
    low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
    inner = torch.minimum(high[:, None], high) - torch.maximum(low[:, None], low)
    common = inner.clamp(min=0).prod(-1)
    areas = boxes[:, 2:].prod(-1)
    return common / (areas[:, None] + areas - common).clamp(min=1e-9)


def waves(boxes: Tensor) -> Tensor:
    """Sines and cosines of boxes (..., 4), (..., 8·WAVES)."""
    rates = math.pi * 2.0 ** torch.arange(WAVES, device=boxes.device)
    angles = (boxes[..., None] * rates).flatten(-2)
    return torch.cat((angles.sin(), angles.cos()), -1)


LITE_NAMES = {1: "person", 2: "animal", 3: "vehicle", 4: "object"}
"""Classes of ``msstsvis-lite`` by channel; channel 0 is never right, as in the published networks."""

LITE_SIZE = Size(
    width=128,
    hidden=384,
    encoder_layers=1,
    decoder_layers=3,
    heads=4,
    levels=3,
    points=2,
    queries=40,
    classes=len(LITE_NAMES) + 1,
    dropout=0.0,
)


class FormerLite(MSSTSVIS):
    """MS-STS VIS on the trunk of DeepLabV3, with fewer layers, channels and queries.

    The trunk is not trained. The queries start from what the encoder finds most like objects, see
    :mod:`segue.models.msstsvis.former`; the learned part of a query goes by its rank.
    """

    short_side = 240
    score = 0.35

    def __init__(self) -> None:
        super().__init__("deeplab", LITE_SIZE, Parts())
        del self.detr.transformer.reference_points
        self.proposals = Proposals(LITE_SIZE.width, LITE_SIZE.classes, FOCAL_PRIOR)
        self.class_names = dict(LITE_NAMES)

    def decode(self, memory: Memory) -> DecodedProposals:
        """Ask about the clips where objects seem to be."""
        tokens, proposed = self.proposals(memory.tokens, memory.levels)
        content, place, boxes, begun = self.proposals.queries(tokens, proposed, self.size.queries)
        position, rank = self.detr.query_embed.weight.split(self.size.width, -1)
        decoder = self.detr.transformer.decoder
        decoded = decoder(content + rank, place + position, boxes, memory.tokens, memory.levels)
        return DecodedProposals(**vars(decoded), proposed=proposed, begun=begun)

    def class_logits(self, decoded: Decoded, layer: int = -1) -> Tensor:
        """Class scores before the sigmoid, (N, Q, classes).

        In evaluation those of the decoder are averaged with those of the tokens that the queries started
        from: together they rank what was found better than either.
        """
        logits = super().class_logits(decoded, layer)
        if self.training or not isinstance(decoded, DecodedProposals):
            return logits
        return (logits + decoded.begun) / 2
