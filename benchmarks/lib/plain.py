"""The published inference loops of STCN and STM, written down plainly: what segue is measured against.

The whole affinity matrix exists at once, the memory grows by concatenation, every object repeats all of its
network, batch norms are computed, tensors are contiguous (N, C, H, W). The weights are those of segue's own
networks; only their convolutions and norms are used, in the order in which the publications do.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.layers.resnet import pool_stem
from segue.models.base import Schedule
from segue.models.geometry import EPSILON, padding
from segue.models.stcn import STCN, STCNLite
from segue.models.stm import OBJECT_CHANNELS, STM
from segue.sessions import TrackSession
from segue.types import Frame, Image, IndexMask


class Query(NamedTuple):
    """A frame as the decoder needs it: prepared image, key (1, Ck, h, w), further features."""

    image: Tensor
    key: Tensor
    features: tuple[Tensor, ...]


class Memory(NamedTuple):
    """Keys (1 or K, Ck, T, h, w) and values (K, Cv, T, h, w) of T frames."""

    keys: Tensor
    values: Tensor

    def __add__(self, other: object) -> Memory:
        """Concatenate along time."""
        assert isinstance(other, Memory)
        return Memory(torch.cat([self.keys, other.keys], 2), torch.cat([self.values, other.values], 2))


class PlainLoop(ABC):
    """One video, its objects all given on the first frame with ids 1 to K.

    Args:
        device: of the network.
        mem_every: distance of two permanent memory frames.
        top_k: memory positions that a query position reads; None for all.
        include_last: whether the previous frame is read too.
    """

    permanent: Memory | None = None
    probabilities: Tensor

    def __init__(
        self, stride: int, device: torch.device, *, mem_every: int, top_k: int | None, include_last: bool
    ) -> None:
        self.device, self.mem_every, self.top_k, self.include_last = device, mem_every, top_k, include_last
        self._stride = stride
        self._time = 0
        self._size = (0, 0)

    @abstractmethod
    def start(self, image: Image, mask: IndexMask) -> None:
        """Take the first frame and its mask."""

    @abstractmethod
    def step(self, image: Image) -> IndexMask:
        """Segment the next frame; leaves its ``probabilities``, (K+1, H, W)."""

    @abstractmethod
    def encode_memory(self, query: Query, masks: Tensor) -> Memory:
        """Remember a frame with soft masks (K, H', W') in [0, 1]."""

    @abstractmethod
    def read(self, key: Tensor, memory: Memory) -> Tensor:
        """What each object reads, (K, Cv, h, w)."""

    def extend(self, memory: Memory) -> None:
        """Put more frames into the permanent memory."""
        self.permanent = memory if self.permanent is None else self.permanent + memory

    def _one_hot(self, mask: IndexMask) -> Tensor:
        ids = torch.from_numpy(mask.astype(np.int64)).to(self.device)
        return F.one_hot(ids).permute(2, 0, 1)[1:].float()

    def _pad(self, x: Tensor) -> Tensor:
        return F.pad(x, padding(x.shape[-2], x.shape[-1], self._stride))

    def _unpad(self, x: Tensor) -> Tensor:
        height, width = self._size
        left, _, top, _ = padding(height, width, self._stride)
        return x[..., top : top + height, left : left + width]


class PlainSTCN(PlainLoop):
    """Spec of STCN, section 2.2: dense first frame."""

    def __init__(self, network: STCN | STCNLite, device: torch.device, *, mem_every: int = 5,
                 top_k: int | None = 20, include_last: bool = False) -> None:  # fmt: skip
        super().__init__(network.stride, device, mem_every=mem_every, top_k=top_k, include_last=include_last)
        self.network = network
        self._temporary: Memory | None = None

    @torch.inference_mode()
    def start(self, image: Image, mask: IndexMask) -> None:
        """Aggregate the given masks and memorise them."""
        self._size = image.shape[:2]
        padded = aggregate(self._pad(self._one_hot(mask)))
        self.permanent = self.encode_memory(self.encode_query(self._prepare(image)), padded[1:])
        self.probabilities = self._unpad(padded)

    @torch.inference_mode()
    def step(self, image: Image) -> IndexMask:
        """Read, decode, and memorise every so often."""
        self._time += 1
        assert self.permanent is not None
        query = self.encode_query(self._prepare(image))
        memory = self.permanent if self._temporary is None else self.permanent + self._temporary
        logits = self.decode(query, self.read(query.key, memory))
        full = F.interpolate(logits, size=query.image.shape[-2:], mode="bilinear", align_corners=False)
        padded = aggregate(torch.sigmoid(full[:, 0]))
        due = self._time % self.mem_every == 0
        if due or self.include_last:
            new = self.encode_memory(query, padded[1:])
            if due:
                self.permanent, self._temporary = self.permanent + new, None
            else:
                self._temporary = new
        self.probabilities = self._unpad(padded)
        return np.asarray(self.probabilities.argmax(0).cpu().numpy())

    def encode_query(self, image: Tensor) -> Query:
        """Key side of a prepared image (1, 3, H', W')."""
        network = self.network
        assert isinstance(network, STCN)
        f4, f8, f16 = network.key_encoder(image)
        return Query(image, network.key_proj(f16), (f16, network.key_comp(f16), f8, f4))

    def encode_memory(self, query: Query, masks: Tensor) -> Memory:
        """Value side, every object with its own copy of image and feature."""
        assert isinstance(self.network, STCN)
        encoder = self.network.value_encoder
        count = len(masks)
        planes = [query.image.repeat(count, 1, 1, 1), masks[:, None], others(masks)[:, None]]
        x = pool_stem(encoder.bn1(encoder.conv1(torch.cat(planes, 1))))
        x = encoder.layer3(encoder.layer2(encoder.layer1(x)))
        x = residual(encoder.fuser.block1, torch.cat([x, query.features[0].repeat(count, 1, 1, 1)], 1))
        value = residual(encoder.fuser.block2, x + encoder.fuser.attention(x))
        return Memory(query.key[:, :, None], value[:, :, None])

    def read(self, key: Tensor, memory: Memory) -> Tensor:
        """Top-k of the whole affinity along the memory axis, then a dense product with the values."""
        memory_key, query_key = memory.keys[0].flatten(1), key[0].flatten(1)
        scores = 2 * (memory_key.T @ query_key) - memory_key.square().sum(0)[:, None]
        scores = scores / math.sqrt(len(query_key))
        if self.top_k is None:
            weights = torch.softmax(scores, 0)
        else:
            best, index = torch.topk(scores, min(self.top_k, len(scores)), dim=0)
            best = torch.softmax(best, 0)
            weights = torch.zeros_like(scores, dtype=best.dtype).scatter_(0, index, best)
        values = memory.values.flatten(2)
        readout = torch.bmm(values, weights.expand(len(values), -1, -1))
        return readout.view(*readout.shape[:2], *key.shape[-2:])

    def decode(self, query: Query, readout: Tensor) -> Tensor:
        """Log-odds (K, 1, h', w'); only the skip convolutions are shared by the objects, as published."""
        assert isinstance(self.network, STCN)
        decoder = self.network.decoder
        _, thin, f8, f4 = query.features
        x = residual(decoder.compress, torch.cat([readout, thin.repeat(len(readout), 1, 1, 1)], 1))
        for block, skip in ((decoder.up_16_8, f8), (decoder.up_8_4, f4)):
            up = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = residual(block.out_conv, block.skip_conv(skip) + up)
        logits: Tensor = decoder.pred(F.relu(x))
        return logits

    def _prepare(self, image: Image) -> Tensor:
        return self.network.prepare(torch.from_numpy(image).to(self.device)).contiguous()


class PlainSTCNLite(PlainSTCN):
    """The same loop around the parts of stcn-lite, for which nothing is published."""

    def encode_query(self, image: Tensor) -> Query:
        """Key side."""
        features = self.network.encode_query(image)
        return Query(features.image, features.key, features.features)

    def encode_memory(self, query: Query, masks: Tensor) -> Memory:
        """Value side."""
        assert isinstance(self.network, STCNLite)
        planes = torch.stack([masks, others(masks)], 1)
        value = self.network.value_encoder(query.image, query.features[0], planes)
        return Memory(query.key[:, :, None], value[:, :, None])

    def decode(self, query: Query, readout: Tensor) -> Tensor:
        """Log-odds (K, 1, h', w')."""
        assert isinstance(self.network, STCNLite)
        logits: Tensor = self.network.decoder(readout, *query.features[1:])
        return logits


class PlainSTM(PlainLoop):
    """Spec of STM, section 2.3: the previous frame is memorised before each frame is segmented."""

    def __init__(self, network: STM, device: torch.device, *, mem_every: int = 5, top_k: int | None = None,
                 include_last: bool = True) -> None:  # fmt: skip
        super().__init__(network.stride, device, mem_every=mem_every, top_k=top_k, include_last=include_last)
        assert top_k is None, "STM reads the whole memory"
        assert include_last, "STM reads the previous frame"
        self.network = network
        self._previous: tuple[Tensor, Tensor] | None = None

    @torch.inference_mode()
    def start(self, image: Image, mask: IndexMask) -> None:
        """Keep the given masks as they are."""
        self._size = image.shape[:2]
        objects = self._one_hot(mask)
        self.probabilities = torch.cat([1 - objects.sum(0, keepdim=True), objects])
        self._previous = self._prepare(image), objects

    @torch.inference_mode()
    def step(self, image: Image) -> IndexMask:
        """Memorise the previous frame, then read and decode."""
        new = self.memorised()
        memory = new if self.permanent is None else self.permanent + new
        if self._time % self.mem_every == 0:
            self.permanent = memory
        self._time += 1
        query = self.encode_query(self._prepare(image))
        readout = self.read(query.key, memory)
        scores = self.decode(query, readout)
        full = F.interpolate(scores, scale_factor=4, mode="bilinear", align_corners=False)
        log_odds = aggregate_logits(torch.softmax(full, 1)[:, 1], OBJECT_CHANNELS)
        estimate = torch.softmax(self._unpad(log_odds), 0)
        self.probabilities = estimate[: len(readout) + 1]
        self._previous = query.image, self.probabilities[1:]
        return np.asarray(estimate.argmax(0).cpu().numpy())

    @torch.inference_mode()
    def memorised(self) -> Memory:
        """Keys and values of the previous frame."""
        assert self._previous is not None
        image, masks = self._previous
        return self.encode_memory(Query(image, image, ()), self._pad(masks))

    def encode_query(self, image: Tensor) -> Query:
        """Query side of a prepared image (1, 3, H', W')."""
        r2, r3, r4 = self.network.Encoder_Q(image)
        key, value = self.network.KV_Q_r4(r4)
        return Query(image, key, (value, r3, r2))

    def encode_memory(self, query: Query, masks: Tensor) -> Memory:
        """Memory side, every object with its own copy of the image."""
        encoder: Any = self.network.Encoder_M
        x = encoder.conv1(query.image.repeat(len(masks), 1, 1, 1))
        x = x + encoder.conv1_m(masks[:, None]) + encoder.conv1_o(others(masks).clamp(0, 1)[:, None])
        x = encoder.res2(pool_stem(encoder.bn1(x)))
        key, value = self.network.KV_M_r4(encoder.res4(encoder.res3(x)))
        return Memory(key[:, :, None], value[:, :, None])

    def read(self, key: Tensor, memory: Memory) -> Tensor:
        """Softmax of the whole affinity of every object, then a dense product with its values."""
        memory_key = memory.keys.flatten(2)
        query_key = key.flatten(2).repeat(len(memory_key), 1, 1)
        scores = torch.bmm(memory_key.transpose(1, 2), query_key) / math.sqrt(key.shape[1])
        readout = torch.bmm(memory.values.flatten(2), torch.softmax(scores, 1))
        return readout.view(*readout.shape[:2], *key.shape[-2:])

    def decode(self, query: Query, readout: Tensor) -> Tensor:
        """Two class scores (K, 2, h', w'), every convolution repeated for every object."""
        decoder = self.network.Decoder
        value, r3, r2 = (x.repeat(len(readout), 1, 1, 1) for x in query.features)
        x = residual(decoder.ResMM, decoder.convFM(torch.cat([readout, value], 1)))
        for block, skip in ((decoder.RF3, r3), (decoder.RF2, r2)):
            up = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = residual(block.ResMM, residual(block.ResFS, block.convFS(skip)) + up)
        scores: Tensor = decoder.pred2(F.relu(x))
        return scores

    def _prepare(self, image: Image) -> Tensor:
        return self.network.prepare(torch.from_numpy(image).to(self.device)).contiguous()


def residual(block: nn.Module, x: Tensor) -> Tensor:
    """The pre-activation residual block that both decoders use, over whole inputs."""
    inner: Tensor = block.conv2(F.relu(block.conv1(F.relu(x))))  # type: ignore[operator]
    skip: Tensor = x if block.downsample is None else block.downsample(x)  # type: ignore[operator]
    return skip + inner


def others(masks: Tensor) -> Tensor:
    """For each object the sum of the masks of all others, (K, H, W)."""
    count = len(masks)
    return torch.stack([masks[[j for j in range(count) if j != i]].sum(0) for i in range(count)])


def aggregate_logits(probabilities: Tensor, channels: int) -> Tensor:
    """Soft aggregation before the softmax, (K, H, W) → (channels + 1, H, W); unused channels are empty."""
    count, height, width = probabilities.shape
    merged = probabilities.new_zeros(channels + 1, height, width)
    merged[0] = torch.prod(1 - probabilities, 0)
    merged[1 : count + 1] = probabilities
    merged = merged.clamp(EPSILON, 1 - EPSILON)
    return torch.log(merged / (1 - merged))


def aggregate(probabilities: Tensor) -> Tensor:
    """Soft aggregation, (K, H, W) → (K+1, H, W)."""
    return torch.softmax(aggregate_logits(probabilities, len(probabilities)), 0)


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
        grid, channels = memory.tables[0]._grid, self._network.key_channels
        rows = grid[0] * grid[1]
        tables = [table._tables for table in memory.tables]
        keys = torch.stack([table["keys"].rows[:rows, :channels] for table in tables])
        values = {name: table[name].rows for table in tables for name in table}
        masks = torch.stack([values[f"value.{i}"][:rows] for i in ids])
        keys, masks = (each.mT.unflatten(2, grid) for each in (keys, masks))
        for number in range(1, frames):
            memory.write(ids, vary(keys, number), vary(masks, number))

    @torch.inference_mode()
    def cut(self, frames: int) -> None:
        """Only where no previous frame stands behind the permanent ones."""
        for table in self._bank.tables:
            for each in table._tables.values():
                each.rows = each.rows[: len(each.rows) // len(table.frames) * frames]
            table.frames = table.frames[:frames]

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
