"""Images of attention show what the network reads."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from segue.models.msstsvis.lite import MSSTSVISLite
from segue.models.seqformer import SeqFormer, Size
from segue.models.seqformer.encoder import DeformableAttention
from tests.fill import fill_plainly

TINY = Size(width=64, hidden=32, encoder_layers=1, decoder_layers=1, heads=4, queries=6, classes=3)


@pytest.mark.parametrize("build", [MSSTSVISLite, lambda: SeqFormer("mobilenet-v2", TINY)])
def test_maps_are_those_of_the_last_layer(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    network = fill_plainly(build()).eval()
    asked: list[tuple[torch.Tensor, torch.Tensor]] = []
    read = DeformableAttention.read

    def reading(self: DeformableAttention, offsets: Any, weights: Any, references: Any, *more: Any) -> Any:
        asked.append((self.places(offsets, references, more[1]), weights))
        return read(self, offsets, weights, references, *more)

    monkeypatch.setattr(DeformableAttention, "read", reading)
    frames = torch.rand(1, 2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        memory = network.encode(frames)
        decoded = network.decode(memory)
        places, weights = asked[-1]  # (T, Q, M, L, P)
        maps = network.attention(memory, decoded, torch.tensor([3, 1]))
    shapes = memory.levels.shapes
    assert maps.shape == (2, 2, *shapes[0])
    size = places.new_tensor([(w, h) for h, w in shapes])[:, None]
    finest = (places + 0.5) / size * size[0] - 0.5
    inside = ((finest >= 0) & (finest <= size[0] - 1)).all(-1)
    heads = weights.shape[2]
    for k, query in enumerate((3, 1)):
        for t in range(2):
            total = float(maps[k, t].sum())
            assert total <= 1 + 1e-5
            assert total >= float(weights[t, query][inside[t, query]].sum()) / heads - 1e-5
            rows = torch.arange(shapes[0][0]).float()
            if bool(inside[t, query].all()):
                middle = (weights[t, query] * finest[t, query][..., 1]).sum() / heads
                torch.testing.assert_close((maps[k, t].sum(1) * rows).sum(), middle, rtol=1e-4, atol=1e-4)
