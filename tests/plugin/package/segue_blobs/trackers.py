"""Two trackers that remember colours: a recurrent one, and one that takes boxes and clicks itself."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from segue.errors import PromptError
from segue.models.base import FramePrompts, Schedule, Setup, Tracker, TrackOutput
from segue.prompt_types import BoxPrompt, PointPrompt
from segue.registry import Entry, PromptKind
from segue.state import Checkpointable, checkpointed
from segue.types import Image


class ColourTracker(Checkpointable):
    """A recurrent state of each object, its mean colour, which every frame moves on; no frame is kept."""

    prompts: frozenset[PromptKind] = frozenset()

    _colours: dict[int, Tensor] = checkpointed(dict)

    def __init__(self, network: ColourMemory, setup: Setup) -> None:
        self._network, self.device = network, setup.device
        self.reset()

    def reset(self) -> None:
        self.restart()

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(sorted(self._colours))

    @property
    def requires_update(self) -> bool:
        return bool(self._colours)  # every frame moves the state on

    def step(self, image: Image, given: FramePrompts | None = None, *, predict: bool = True) -> TrackOutput:
        pixels = self._pixels(image)
        if given is not None:
            self._colours |= self._asked(pixels, given)
        tracked = self._look(pixels)
        for channel, i in enumerate(self.ids, start=1):
            seen = tracked.probabilities[channel] > 0.5
            if seen.any():
                self._colours[i] = self._network(self._colours[i], pixels[seen].mean(0))
        return tracked

    def peek(self, image: Image) -> TrackOutput:
        return self._look(self._pixels(image))

    def skip(self) -> None:
        pass

    def forget(self, ids: Collection[int]) -> None:
        for i in ids:
            del self._colours[i]

    def _asked(self, pixels: Tensor, given: FramePrompts) -> dict[int, Tensor]:
        return {i: pixels[given.mask == i].mean(0) for i in given.masked}

    def _pixels(self, image: Image) -> Tensor:
        return torch.from_numpy(np.array(image)).to(self.device).float() / 255

    def _look(self, pixels: Tensor) -> TrackOutput:
        distances = [(pixels - self._colours[i]).norm(dim=-1) for i in self.ids]
        odds = torch.stack([torch.full(pixels.shape[:2], 0.0), *(6 - 40 * item for item in distances)])
        return TrackOutput(self.ids, odds.softmax(0))


class ClickTracker(ColourTracker):
    """Takes the colour under a click, or the commonest colour of a box; masks work as before."""

    prompts: frozenset[PromptKind] = frozenset({"box", "point"})

    def _asked(self, pixels: Tensor, given: FramePrompts) -> dict[int, Tensor]:
        return super()._asked(pixels, given) | {
            prompt.id: self._of_prompt(pixels, prompt) for prompt in given.prompts
        }

    @staticmethod
    def _of_prompt(pixels: Tensor, prompt: BoxPrompt | PointPrompt) -> Tensor:
        if isinstance(prompt, BoxPrompt):
            x0, y0, x1, y1 = map(int, prompt.box)
            return pixels[y0:y1, x0:x1].flatten(0, 1).median(0).values
        if not prompt.positive:
            raise PromptError(f"object {prompt.id}: click on it at least once")
        return torch.stack([pixels[int(y), int(x)] for x, y in prompt.positive]).mean(0)


class ColourMemory(nn.Module):
    """How a state follows what was seen."""

    schedule = Schedule()
    tracker: ClassVar[type[Tracker]] = ColourTracker

    def __init__(self) -> None:
        super().__init__()
        self.pace = nn.Parameter(torch.tensor(0.5))

    def forward(self, state: Tensor, seen: Tensor) -> Tensor:
        moved: Tensor = state + self.pace * (seen - state)
        return moved


class ClickedColour(ColourMemory):
    """The same with the other tracker."""

    tracker = ClickTracker


COLOUR_MEMORY = Entry("colour-memory", "track", ColourMemory)
CLICKED_COLOUR = Entry("clicked-colour", "track", ClickedColour, prompts=frozenset({"mask", "box", "point"}))
