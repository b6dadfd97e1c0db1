"""A small MS-STS VIS of our own that runs on a processor."""

from __future__ import annotations

from torch import Tensor

from segue.models.msstsvis.network import MSSTSVIS, Parts
from segue.models.msstsvis.proposals import DecodedProposals, Proposals
from segue.models.seqformer import Memory
from segue.models.seqformer.decoder import Decoded
from segue.models.seqformer.network import FOCAL_PRIOR, Size

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


class MSSTSVISLite(MSSTSVIS):
    """MS-STS VIS on the trunk of DeepLabV3, with fewer layers, channels and queries.

    The trunk is not trained. The queries start from what the encoder finds most like objects, see
    :mod:`segue.models.msstsvis.proposals`; the learned part of a query goes by its rank.
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
        return DecodedProposals(
            decoded.instances, decoded.boxes, decoded.references, decoded.refined, proposed, begun
        )

    def class_logits(self, decoded: Decoded, layer: int = -1) -> Tensor:
        """Class scores before the sigmoid, (N, Q, classes).

        In evaluation those of the decoder are averaged with those of the tokens that the queries started
        from: together they rank what was found better than either.
        """
        logits = super().class_logits(decoded, layer)
        if self.training or not isinstance(decoded, DecodedProposals):
            return logits
        return (logits + decoded.begun) / 2
