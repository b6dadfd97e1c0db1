"""Ids through many windows: a network that sees colours, and squares whose places are known."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from segue.models.seqformer import Memory, SeqFormer
from segue.models.seqformer.encoder import Levels
from segue.sessions.instances import InstanceSession, WindowOptions
from segue.types import Frame

SIZE = (48, 64)

SIDE = 12

COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
"""Red and green look alike to the network, blue does not."""

AWAY = range(60, 90)
"""Frames without the blue square."""

OPTIONS = WindowOptions(window=5, overlap=2, score=0.5, top=5, short_side=SIZE[0])


class SeesColours(nn.Module):
    """Finds the squares by their colour, under another query in each window."""

    relates_frames = False
    join = staticmethod(SeqFormer.join)

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.noise = np.random.default_rng(0)

    def encode(self, frames: Tensor) -> Memory:
        count = frames.shape[1]
        levels = Levels((SIZE,), None, torch.ones(1, 1, 2))
        return Memory(
            frames.permute(0, 1, 3, 4, 2).flatten(2, 3), levels, torch.zeros(1, count, 8, 6, 8), SIZE
        )

    def decode(self, memory: Memory) -> Any:
        colours = self.noise.permutation(3)
        look = torch.eye(2)[[0, 0, 1]][colours] + torch.from_numpy(self.noise.normal(0, 0.05, (3, 2))).float()
        return SimpleNamespace(instances=[look[None]], colours=colours, memory=memory)

    def embeddings(self, decoded: Any) -> Tensor:
        looks: Tensor = decoded.instances[-1]
        return looks

    def class_logits(self, decoded: Any) -> Tensor:
        seen = self.planes(decoded.memory, decoded.colours).flatten(1).any(1)
        logits = torch.full((1, 3, 3), -6.0)
        logits[0, :, 1] = torch.where(seen, 3.0, -6.0)
        return logits

    def mask_logits(self, memory: Memory, decoded: Any, sample: int, queries: Tensor) -> Tensor:
        assert sample == 0
        return self.planes(memory, decoded.colours[queries.numpy()]).float() * 20 - 10

    def planes(self, memory: Memory, colours: npt.NDArray[np.int64]) -> Tensor:
        """Where each of these colours is, (K, T, H, W)."""
        pixels = memory.tokens[0].unflatten(1, SIZE)
        wanted = torch.from_numpy(COLOURS[colours]).float() / 255
        distance: Tensor = (pixels[None] - wanted[:, None, None, None]).abs().amax(-1)
        return distance < 0.1


def there_and_back(t: int, speed: int) -> int:
    """Left side of a square at frame ``t``."""
    room = SIZE[1] - SIDE
    step = t * speed % (2 * room)
    return min(step, 2 * room - step)


def film(count: int) -> Iterator[tuple[Frame, npt.NDArray[np.uint8]]]:
    """Frames with red, green and blue squares on rows of their own, and where they are (1, 2, 3)."""
    for t in range(count):
        image, truth = np.full((*SIZE, 3), 128, np.uint8), np.zeros(SIZE, np.uint8)
        for i, speed in enumerate((1, 2, 3)):
            if i < 2 or t not in AWAY:
                left = there_and_back(t + 20 * i, speed)
                place = np.s_[2 + 15 * i : 2 + 15 * i + SIDE, left : left + SIDE]
                image[place], truth[place] = COLOURS[i], i + 1
        yield Frame(t, t / 25, image), truth


def test_every_square_keeps_one_id_through_a_hundred_windows() -> None:
    session = InstanceSession(
        cast(SeqFormer, SeesColours().eval()), OPTIONS, names={1: "square"}, device="cpu"
    )
    truths, results = [], []
    for frame, truth in film(300):
        truths.append(truth)
        result = session.step(frame)
        results += [] if result is None else [result]
    results += session.finish()
    assert [result.index for result in results] == list(range(300))
    names: dict[int, int] = {}
    for truth, result in zip(truths, results, strict=True):
        for square in np.unique(truth[truth > 0]).tolist():
            names.setdefault(square, int(result.mask[truth == square][0]))
        renamed = np.zeros_like(truth)
        for square, number in names.items():
            renamed[truth == square] = number
        assert np.array_equal(result.mask, renamed)
        assert {item.label for item in result.objects} == {"square"}
    assert sorted(names.values()) == [1, 2, 3]
