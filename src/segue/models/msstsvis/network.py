"""MS-STS VIS: SeqFormer with attention over scales and time.

Thawakar et al., "Video Instance Segmentation via Multi-scale Spatio-temporal Split Attention Transformer"
(ECCV 2022). With every part off this is SeqFormer, parameter for parameter and number for number.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import get_args

from segue.layers.self_attention import SelfAttention
from segue.models.msstsvis.temporal import (
    BoxQueryAttention,
    InterMode,
    IntraMode,
    SplitAttention,
)
from segue.models.seqformer.backbones import BackboneName
from segue.models.seqformer.decoder import DecoderLayer
from segue.models.seqformer.encoder import EncoderLayer
from segue.models.seqformer.network import SeqFormer, Size

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
                assert isinstance(layer, EncoderLayer)
                layer.ms_sts = SplitAttention(
                    self.size.width,
                    self.size.heads,
                    self.size.dropout,
                    self.parts.intra_mode,
                    self.parts.inter_mode,
                )
        if self.parts.decoder_attention:
            for layer in list(self.detr.transformer.decoder.layers)[1:]:
                assert isinstance(layer, DecoderLayer)
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
