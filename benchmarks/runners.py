"""segue's session and the plain loop behind one face, so that a benchmark can drive both alike."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from plain import Memory, PlainLoop, PlainSTCN, PlainSTCNLite, PlainSTM
from segue.models.base import Schedule
from segue.models.stcn import STCN, STCNLite
from segue.models.stm import STM
from segue.sessions import TrackSession
from segue.types import Frame, Image, IndexMask

Network = STCN | STM | STCNLite

PARTS = {
    "encode_query": "key encoder",
    "encode_memory": "value encoder",
    "read": "read",
    "decode": "decoder",
}
"""Methods that are timed on their own; whatever else a step does is the rest."""

NOISE = 0.1
"""Deviation of the noise in made-up memory, relative to that of the values."""


class Clock:
    """Seconds spent in each part."""

    def __init__(self, device: torch.device) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(PARTS.values(), 0.0)
        self._device = device

    def now(self) -> float:
        """Time after everything that was started on the device is done."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def timed(self, target: Any, name: str) -> Callable[..., Any]:
        """The method ``name`` of ``target``, counted as its part."""
        method, part = getattr(target, name), PARTS[name]

        def run(*arguments: Any, **named: Any) -> Any:
            start = self.now()
            result = method(*arguments, **named)
            self.seconds[part] += self.now() - start
            return result

        return run


class Runner(ABC):
    """A tracker on one clip with all objects given on the first frame, whose memory can be filled and cut."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    @abstractmethod
    def start(self, image: Image, mask: IndexMask) -> None:
        """Take the first frame, which becomes the first memory frame."""

    @abstractmethod
    def fill(self, frames: int) -> None:
        """Let the permanent memory hold ``frames`` frames: variations of what stands there already."""

    @abstractmethod
    def cut(self, frames: int) -> None:
        """Forget all but the first ``frames`` frames of memory."""

    @abstractmethod
    def step(self, image: Image) -> IndexMask:
        """Segment the next frame, from RGB image to index mask."""

    @abstractmethod
    def probabilities(self) -> npt.NDArray[np.float32]:
        """Of the latest frame, (K+1, H, W)."""

    @abstractmethod
    def watch(self, clock: Clock) -> None:
        """From now on, count the time of the parts."""


class SegueRunner(Runner):
    """A :class:`segue.sessions.TrackSession`."""

    def __init__(
        self, network: Network, device: torch.device, schedule: Schedule, *, fast: bool = False
    ) -> None:
        super().__init__(device)
        self._session = TrackSession(network, schedule, device=device, fast=fast)
        tracker: Any = self._session.tracker
        self._bank, self._network = tracker.memories[0], tracker.network
        self._index = 0

    def start(self, image: Image, mask: IndexMask) -> None:
        """Give the mask as a prompt."""
        self._result = self._session.step(Frame(0, 0.0, image), mask)

    @torch.inference_mode()
    def fill(self, frames: int) -> None:
        """Write to the memory, past the session: thousands of real frames would take too long."""
        memory, ids = self._bank, self._session.ids
        states = [table.state() for table in memory.tables]
        grid = states[0][1]["grid"]
        rows, channels = grid[0] * grid[1], self._network.key_channels
        keys = torch.stack([tensors["keys"][:rows, :channels] for tensors, _ in states])
        values = {name: rows for tensors, _ in states for name, rows in tensors.items()}
        masks = torch.stack([values[f"value.{i}"][:rows] for i in ids])
        keys, masks = (each.mT.unflatten(2, grid) for each in (keys, masks))
        for number in range(1, frames):
            memory.write(ids, vary(keys, number), vary(masks, number))

    @torch.inference_mode()
    def cut(self, frames: int) -> None:
        """Only where no previous frame stands behind the permanent ones."""
        for table in self._bank.tables:
            table._keep_frames(range(frames))

    def step(self, image: Image) -> IndexMask:
        """One step of the session."""
        self._index += 1
        self._result = self._session.step(Frame(self._index, self._index / 24, image))
        return self._result.mask

    def probabilities(self) -> npt.NDArray[np.float32]:
        """Those of the segmentation."""
        return self._result.probabilities

    def watch(self, clock: Clock) -> None:
        """Wrap the parts of the network and the read of the bank."""
        for name in ("encode_query", "encode_memory", "decode"):
            setattr(self._network, name, clock.timed(self._network, name))
        self._session.tracker.memories[0] = WatchedBank(self._bank, clock)  # type: ignore[attr-defined]


class WatchedBank:
    """A memory bank whose reads are timed; everything else passes through."""

    def __init__(self, bank: Any, clock: Clock) -> None:
        self._bank = bank
        self.read = clock.timed(bank, "read")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bank, name)


class PlainRunner(Runner):
    """One of the plain loops."""

    def __init__(self, network: Network, device: torch.device, schedule: Schedule) -> None:
        super().__init__(device)
        self._loop = plain_loop(network, device, schedule)

    def start(self, image: Image, mask: IndexMask) -> None:
        """Take the first frame."""
        self._loop.start(image, mask)
        if isinstance(self._loop, PlainSTM):
            self._sample = self._loop.memorised()
        else:
            assert self._loop.permanent is not None
            self._sample = self._loop.permanent

    @torch.inference_mode()
    def fill(self, frames: int) -> None:
        """Concatenate all made-up frames at once."""
        if frames == 1:
            return
        keys, values = self._sample.keys[:, :, 0], self._sample.values[:, :, 0]
        self._loop.extend(
            Memory(
                torch.stack([vary(keys, number) for number in range(1, frames)], 2),
                torch.stack([vary(values, number) for number in range(1, frames)], 2),
            )
        )

    def cut(self, frames: int) -> None:
        """Drop the frames that were concatenated last."""
        memory = self._loop.permanent
        assert memory is not None
        self._loop.permanent = Memory(memory.keys[:, :, :frames], memory.values[:, :, :frames])

    def step(self, image: Image) -> IndexMask:
        """One step of the loop."""
        return self._loop.step(image)

    def probabilities(self) -> npt.NDArray[np.float32]:
        """Those that the loop left."""
        return self._loop.probabilities.cpu().numpy()

    def watch(self, clock: Clock) -> None:
        """Wrap the parts of the loop."""
        for name in PARTS:
            setattr(self._loop, name, clock.timed(self._loop, name))


def plain_loop(network: Network, device: torch.device, schedule: Schedule) -> PlainLoop:
    """The plain loop for a network."""
    network.to(device)
    if isinstance(network, STM):
        return PlainSTM(network, device, mem_every=schedule.mem_every)
    make = PlainSTCNLite if isinstance(network, STCNLite) else PlainSTCN
    return make(
        network, device,
        mem_every=schedule.mem_every, top_k=schedule.top_k, include_last=schedule.include_last,
    )  # fmt: skip


def vary(x: Tensor, number: int) -> Tensor:
    """Maps (K, C, h, w) moved a little and with noise, as of the ``number``-th later frame."""
    generator = torch.Generator().manual_seed(number)
    moved = x.roll((number % 3, number % 7), (2, 3))
    noise = torch.randn(x.shape, generator=generator).to(x)
    return moved + noise * (NOISE * x.std())
