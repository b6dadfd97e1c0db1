"""Speed and memory of XMem and Cutie: segue against the published loops, written down plainly.

Both run the same weights on the same made-up images, frame by frame in turn; their results are compared.
The plain loops hold the whole affinity at once, multiply it densely, concatenate their memory, compute batch
norms, and repeat what the network does for a frame for each object. The memory is filled with made-up frames,
and for XMem with long-term elements. Prints a Markdown table.

Example::

    python -m benchmarks.speed.recurrent --models xmem,cutie --objects 1 --threads 1 --frames 10
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.lib.machine import describe, names_of
from benchmarks.lib.scenes import scene
from segue.models.cutie import Cutie
from segue.models.cutie.tracker import aggregate_then_upsample
from segue.models.geometry import aggregate, padding
from segue.models.memory.similarity import key_rows
from segue.models.xmem import XMem, XMemFeatures
from segue.sessions import TrackSession
from segue.types import Frame, Image
from segue.utils.allocation import prepare_process

NETWORKS = {"xmem": XMem, "cutie": Cutie, "cutie-small": lambda: Cutie("small")}
FILLED = {"xmem": (7, 5000), "cutie": (5, 0), "cutie-small": (5, 0)}
"""Frames and long-term elements in the memory: for XMem half full on average."""

EVERY = 5
TOP_K = 30
CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table."""

    model: str
    objects: int
    height: int
    width: int
    frames: int
    threads: int

    def network(self) -> Any:
        """The network with weights as PyTorch begins them."""
        torch.manual_seed(0)
        return NETWORKS[self.model]().eval()  # type: ignore[operator]


@dataclass(slots=True)
class PlainMemory:
    """Keys (C, N), shrinkages (1, N) and values (K, Cv, N)."""

    key: Tensor
    shrinkage: Tensor
    value: Tensor

    def add(self, key: Tensor, shrinkage: Tensor, value: Tensor, limit: int | None = None) -> None:
        """Concatenate; of more than ``limit`` positions those after the first frame go."""
        first = key.shape[1]
        parts = []
        for old, new in ((self.key, key), (self.shrinkage, shrinkage), (self.value, value)):
            joined = torch.cat([old, new], -1)
            if limit is not None and joined.shape[-1] > limit:
                surplus = joined.shape[-1] - limit
                joined = torch.cat([joined[..., :first], joined[..., first + surplus :]], -1)
            parts.append(joined)
        self.key, self.shrinkage, self.value = parts

    def read(self, query: XMemFeatures) -> Tensor:
        """What the objects read, (K, Cv, h, w)."""
        key, selection = query.key[0].flatten(1), query.selection[0].flatten(1)
        squares = self.key.square().T @ selection
        products = 2 * (self.key.T @ (key * selection))
        scores = (products - squares - (selection * key.square()).sum(0)) * self.shrinkage.T / 8
        best, index = scores.topk(min(TOP_K, len(scores)), dim=0)
        weights = best.exp_()
        weights /= weights.sum(0)
        affinity = torch.zeros_like(scores).scatter_(0, index, weights)
        affinity.sum(1)  # usage
        return (self.value @ affinity).view(*self.value.shape[:2], *query.key.shape[-2:])


class Plain:
    """One video, its objects all given on the first frame."""

    def __init__(self, network: Any, device: torch.device = CPU) -> None:
        self.network, self.device, self.time = network.to(device), device, 0

    @torch.inference_mode()
    def start(self, image: Image, mask: Any) -> None:
        ids = torch.from_numpy(mask.astype(np.int64)).to(self.device)
        planes = F.one_hot(ids).permute(2, 0, 1)[1:].float()
        self.size = image.shape[0], image.shape[1]
        self.pads = padding(self.size[0], self.size[1], 16)
        query = self.network.encode_query(self.network.prepare(torch.from_numpy(image).to(self.device)))
        self.state = query.key.new_zeros(len(planes), self.channels, *query.key.shape[-2:])
        self.probabilities = aggregate(F.pad(planes, self.pads))
        self.memory: PlainMemory | None = None
        self.remember(query)

    @torch.inference_mode()
    def step(self, image: Image) -> Tensor:
        self.time += 1
        query = self.network.encode_query(self.network.prepare(torch.from_numpy(image).to(self.device)))
        assert self.memory is not None
        due = self.time % EVERY == 0
        self.predict(query, self.memory.read(query), due)
        if due:
            self.remember(query)
        left, _, top, _ = self.pads
        return self.probabilities[:, top : top + self.size[0], left : left + self.size[1]]

    def add(self, query: XMemFeatures, value: Tensor, limit: int | None = None) -> None:
        parts = query.key[0].flatten(1), query.shrinkage[0].flatten(1), value.flatten(2)
        if self.memory is None:
            self.memory = PlainMemory(*parts)
        else:
            self.memory.add(*parts, limit)

    channels = 0

    def predict(self, query: Any, readout: Tensor, due: bool) -> None:
        raise NotImplementedError

    def remember(self, query: Any) -> None:
        raise NotImplementedError


class PlainXMem(Plain):
    """Fusion over concatenated features, for each object anew."""

    channels = 64

    def predict(self, query: XMemFeatures, readout: Tensor, due: bool) -> None:
        decoder = self.network.decoder
        f16, f8, f4 = query.features
        g16 = fused(decoder.fuser, f16, torch.cat([readout, self.state], 1))
        g8 = decoder.up_16_8(g16, f8)
        g4 = decoder.up_8_4(g8, f4)
        logits = decoder.pred(F.relu(g4))
        if not due:
            self.state = decoder.hidden_update.update(g16, g8, g4, logits, self.state)
        full = F.interpolate(logits, scale_factor=4.0, mode="bilinear")[:, 0]
        self.probabilities = aggregate(full.sigmoid())

    def remember(self, query: XMemFeatures) -> None:
        encoder, planes = self.network.value_encoder, both_masks(self.probabilities[1:], clamp=False)
        image = query.image.expand(len(planes), -1, -1, -1)
        x = encoder.bn1(encoder.conv1(torch.cat([image, planes], 1)))
        x = F.relu(F.max_pool2d(x, 3, 2, 1))
        own = encoder.layer3(encoder.layer2(encoder.layer1(x)))
        value = fused(encoder.fuser, query.features[0], own)
        self.state = encoder.hidden_reinforce(value, self.state)
        self.add(query, value)


class PlainCutie(Plain):
    """The last masks at full size; the newest of the first and four other frames are kept."""

    channels = 256
    summaries: Tensor

    def predict(self, query: XMemFeatures, readout: Tensor, due: bool) -> None:
        small = F.interpolate(self.probabilities[None, 1:], size=query.key.shape[-2:], mode="area")[0]
        pixel = self.network.fuse(query, readout, self.state, small)
        pixel, _ = self.network.object_transformer(pixel, self.summaries)
        logits, self.state = self.network.decode(query, pixel, self.state, update=True)
        self.probabilities = aggregate_then_upsample(logits, (query.image.shape[2], query.image.shape[3]))

    def remember(self, query: XMemFeatures) -> None:
        encoder, planes = self.network.mask_encoder, both_masks(self.probabilities[1:], clamp=True)
        image = query.image.expand(len(planes), -1, -1, -1)
        x = F.relu(F.max_pool2d(encoder.bn1(encoder.conv1(torch.cat([image, planes], 1))), 3, 2, 1))
        value = encoder.fuser(query.features[0], encoder.layer3(encoder.layer2(encoder.layer1(x))))
        self.state = encoder.sensory_update(value, self.state)
        small = F.interpolate(planes[:, :1], size=value.shape[-2:], mode="area")[:, 0]
        sums = self.network.summarise(value, small)
        self.summaries = sums if self.memory is None else self.summaries + sums
        self.add(query, value, 5 * value.shape[-2] * value.shape[-1])


def fused(fuser: Any, frame: Tensor, own: Tensor) -> Tensor:
    """XMem's fusion with the frame repeated for each object."""
    x = torch.cat([frame.expand(len(own), -1, -1, -1), own], 1)
    block = fuser.block1
    y = block.downsample(x) + block.conv2(F.relu(block.conv1(F.relu(x))))
    return fuser.block2(y + fuser.attention(y))  # type: ignore[no-any-return]


def both_masks(masks: Tensor, *, clamp: bool) -> Tensor:
    """Own and other masks, (K, 2, H, W)."""
    others = masks.sum(0, keepdim=True) - masks
    return torch.stack([masks, others.clamp(0, 1) if clamp else others], 1)


class Segue:
    """A session of segue."""

    def __init__(self, network: Any) -> None:
        self.session, self.time = TrackSession(network, device="cpu"), 0

    def start(self, image: Image, mask: Any) -> None:
        self.session.step(Frame(0, 0.0, image), mask)

    def step(self, image: Image) -> Tensor:
        self.time += 1
        result = self.session.step(Frame(self.time, self.time / 24, image))
        return torch.from_numpy(result.probabilities)


@torch.inference_mode()
def fill(runners: Sequence[Plain | Segue], case: Case) -> None:
    """Put the same made-up frames, and long-term elements, into the memory of all."""
    frames, elements = FILLED[case.model]
    height, width = -(-case.height // 16), -(-case.width // 16)
    channels = 512 if case.model == "xmem" else 256
    generator = torch.Generator().manual_seed(1)
    for number in range(frames - 1 + (elements > 0)):
        rows = elements if number == frames - 1 else height * width
        key, value = (torch.randn(size, rows, generator=generator) for size in (64, case.objects * channels))
        for runner in runners:
            values = value.view(case.objects, channels, rows) * 0.1
            if isinstance(runner, Plain):
                assert runner.memory is not None
                runner.memory.add(key, torch.ones(1, rows), values)
                continue
            memory = runner.session.tracker.memories[0]  # type: ignore[attr-defined]
            (table,) = memory.tables
            if number == frames - 1:
                made = dict(enumerate((v.T for v in values), start=1))
                table._append_long(key_rows(key.T, "anisotropic", shrinkage=torch.ones(rows, 1)), made)
            else:
                grid = (height, width)
                ones = {"shrinkage": torch.ones(1, 1, *grid), "selection": torch.ones(1, 64, *grid)}
                ids = list(runner.session.ids)
                memory.write(ids, key.view(1, 64, *grid), values.unflatten(2, grid), **ones)


def runner_of(case: Case, variant: str, network: Any) -> Plain | Segue:
    """A tracker of one kind."""
    if variant == "segue":
        return Segue(network)
    return PlainXMem(network) if case.model == "xmem" else PlainCutie(network)


def compare(case: Case) -> tuple[dict[str, float], float]:
    """Seconds a frame of each variant, the mean over a period of the schedule, and the largest difference."""
    network = case.network()
    images, mask = scene(case.height, case.width, case.objects, case.frames + 2)
    runners = {variant: runner_of(case, variant, network) for variant in ("plain", "segue")}
    for runner in runners.values():
        runner.start(images[0], mask)
    fill(list(runners.values()), case)
    seconds: dict[str, list[tuple[int, float]]] = {"plain": [], "segue": []}
    difference = 0.0
    for t, image in enumerate(images[1:], start=1):
        found = {}
        for variant in ("plain", "segue") if t % 2 else ("segue", "plain"):
            begin = time.process_time()
            found[variant] = runners[variant].step(image)
            seconds[variant].append((t, time.process_time() - begin))
        difference = max(difference, float((found["plain"] - found["segue"]).abs().max()))
    return {variant: per_frame(steps) for variant, steps in seconds.items()}, difference


def per_frame(steps: list[tuple[int, float]]) -> float:
    """Medians of the frames that are remembered and of the others, weighted as the schedule does."""
    keeping = [taken for t, taken in steps if t % EVERY == 0]
    passing = [taken for t, taken in steps if t % EVERY and t > 1]
    return ((EVERY - 1) * statistics.median(passing) + statistics.median(keeping)) / EVERY


def peak(case: Case, variant: str) -> int:
    """Resident bytes at most of a process of its own (Linux), less those with the network loaded."""
    child = [sys.executable, "-m", "benchmarks.speed.recurrent", "--child", variant, json.dumps(asdict(case))]
    done = subprocess.run(child, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout)


def run_alone(variant: str, case: Case) -> int:
    """What the child process of :func:`peak` does: fill the memory, and five frames.

    The network is dropped once it has a runner, as `segue track` does: the plain loop runs it, and a session
    has made a copy that is arranged for running. So both hold the weights once, which do not count.
    """
    network = case.network()
    images, mask = scene(case.height, case.width, case.objects, EVERY + 1)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is that of making the network
    runner = runner_of(case, variant, network)
    del network
    runner.start(images[0], mask)
    fill([runner], case)
    for image in images[1:]:
        runner.step(image)
    return resident("VmHWM") - before


def resident(name: str) -> int:
    """Bytes of resident memory, as /proc says."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    prepare_process()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", type=names_of(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--objects", default="1,5", help="numbers of objects (default: 1,5)")
    parser.add_argument("--size", default="480x854", help="height x width (default: 480x854)")
    parser.add_argument("--frames", type=int, default=10, help="frames that are timed (default: 10)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default: 1)")
    parser.add_argument("--no-memory", action="store_true", help="leave out the peak of memory")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.frames < EVERY - 1:
        parser.error(f"--frames {options.frames}: at least {EVERY - 1}, so that one becomes memory")
    if options.child:
        case = Case(**json.loads(options.child[1]))
        torch.set_num_threads(case.threads)
        print(run_alone(options.child[0], case))
        return 0
    torch.set_num_threads(options.threads)
    height, width = map(int, options.size.split("x"))
    print(f"Measured on {describe(options.threads)}; seconds are CPU time of the process.\n")
    print("| model | objects | plain s | segue s | ratio | plain MiB | segue MiB | ratio | difference |")
    print("| --- " * 9 + "|", flush=True)
    base = Case("", 1, height, width, options.frames, options.threads)
    for model in options.models:
        for objects in map(int, options.objects.split(",")):
            case = replace(base, model=model, objects=objects)
            times, difference = compare(case)
            memory = {} if options.no_memory else {v: peak(case, v) / 2**20 for v in ("plain", "segue")}
            cells = [model, str(objects), f"{times['plain']:.2f}", f"{times['segue']:.2f}"]
            cells.append(f"{times['segue'] / times['plain']:.2f}")
            cells += [f"{memory[v]:.0f}" if memory else "-" for v in ("plain", "segue")]
            cells.append(f"{memory['segue'] / memory['plain']:.2f}" if memory else "-")
            print(f"| {' | '.join([*cells, f'{difference:.1e}'])} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
