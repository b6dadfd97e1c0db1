"""Speed and memory of video instance segmentation: segue against the published inference.

The published form is written down plainly: it samples by grids, stacks all samples before it weighs them,
computes the masks of all queries in all decoder layers, and folds nothing. Both have the same random weights
and see the same made-up clip, in turn. Compared are the class logits and boxes of every query, before any
ranking, and the masks of the queries that ours keeps with those of the same queries of the plain form. Peak
memory is that of a process of its own for each variant, over what it held after the imports: weights, their
copies and everything that three clips take one after the other.

Example::

    python -m benchmarks.speed.instances --models seqformer,msstsvis --frames 5 --size 360x640 --threads 1
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.lib.machine import describe, names_of
from benchmarks.lib.memory import resident_peak
from segue.models.msstsvis import MSSTSVIS
from segue.models.seqformer import SeqFormer
from segue.models.seqformer import encoder as deformable
from segue.sessions.official import best_entries
from segue.utils.allocation import prepare_process
from segue.weights import Prepared, prepare

TOP = 10
WARM_UP = 2  # clips in which the layers of segue make their weights; they are not timed on either side
CLIPS = 3  # of which memory is measured
MIB = 1 << 20

NETWORKS: dict[str, Callable[[], SeqFormer]] = {"seqformer": SeqFormer, "msstsvis": MSSTSVIS}


@dataclass(frozen=True)
class Outcome:
    """What a variant makes of the clip.

    Attributes:
        logits: of the classes, (Q, classes).
        boxes: (T, Q, 4), in 0..1.
        queries: those with a mask, (K,).
        masks: their logits, (K, T, h, w).
    """

    logits: Tensor
    boxes: Tensor
    queries: Tensor
    masks: Tensor


@dataclass(frozen=True)
class Differences:
    """How far two outcomes are apart.

    Attributes:
        logits, boxes: largest absolute difference of any query.
        masks: largest difference of the masks that both have, over the largest logit.
        pixels: share of their pixels that are on the same side of zero.
    """

    logits: float
    boxes: float
    masks: float
    pixels: float

    @classmethod
    def between(cls, plain: Outcome, ours: Outcome) -> Differences:
        """Query by query; ``plain`` has the masks of all of them, in order."""
        theirs = plain.masks[ours.queries]
        return cls(
            float((plain.logits - ours.logits).abs().max()),
            float((plain.boxes - ours.boxes).abs().max()),
            float((theirs - ours.masks).abs().max() / theirs.abs().max()),
            float(((theirs > 0) == (ours.masks > 0)).float().mean()),
        )


@dataclass(frozen=True)
class Times:
    """Median seconds of both variants for one clip."""

    plain: float
    segue: float


def stacked_sampling(
    values: Tensor, shapes: list[tuple[int, int]], points: Tensor, weights: Tensor
) -> Tensor:
    """The published core: one grid sampling per level, all samples stacked, weighed and added."""
    batch, queries, heads, levels, count = weights.shape
    samples = []
    for i, ((h, w), level) in enumerate(
        zip(shapes, values.split([h * w for h, w in shapes], dim=1), strict=True)
    ):
        maps = level.flatten(2).transpose(1, 2).reshape(batch * heads, -1, h, w)
        at = points[:, :, :, i].transpose(1, 2).flatten(0, 1)
        grid = (2 * at + 1) / at.new_tensor((w, h)) - 1
        samples.append(F.grid_sample(maps, grid, align_corners=False))
    shares = weights.transpose(1, 2).reshape(batch * heads, 1, queries, levels * count)
    read = (torch.stack(samples, -2).flatten(-2) * shares).sum(-1)
    return read.view(batch, -1, queries).transpose(1, 2).contiguous()


def plain(network: SeqFormer, clip: Tensor) -> Outcome:
    """The published inference: the clip as a whole, masks of every query after every layer."""
    ours = vars(deformable)["sample_levels"]
    vars(deformable)["sample_levels"] = stacked_sampling
    try:
        memory = network.encode(clip)
        decoded = network.decode(memory)
        everyone = torch.arange(network.size.queries)
        masks = [
            network.mask_logits(memory, decoded, 0, everyone, layer)
            for layer in range(network.size.decoder_layers)
        ]
    finally:
        vars(deformable)["sample_levels"] = ours
    return Outcome(network.class_logits(decoded)[0], decoded.refined[-1][0], everyone, masks[-1])


def segue(shared: Prepared[SeqFormer], clip: Tensor) -> Outcome:
    """Ours: frames one by one where they do not see each other, masks of the kept queries only."""
    network = shared.network
    with shared.inference_guard():
        frames = clip.split(1, dim=1)
        together = network.relates_frames
        memory = network.encode(clip) if together else network.join([network.encode(each) for each in frames])
        decoded = network.decode(memory)
        logits = network.class_logits(decoded)[0]
        kept = torch.tensor(sorted({query for query, _, _ in best_entries(logits, TOP)}))
        masks = network.mask_logits(memory, decoded, 0, kept)
    return Outcome(logits, decoded.refined[-1][0], kept, masks)


def prepared(name: str, variant: str) -> Callable[[Tensor], Outcome]:
    """A variant of the network with random weights."""
    torch.manual_seed(0)
    network = NETWORKS[name]().eval().requires_grad_(False)
    for parameter in network.parameters():
        if parameter.ndim > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.01)
    if variant == "plain":
        return partial(plain, network)
    shared: Prepared[SeqFormer] = prepare(network, device="cpu")
    return partial(segue, shared)


@torch.inference_mode()
def measure(name: str, frames: int, size: tuple[int, int], rounds: int) -> tuple[Times, Differences]:
    """Time both variants in turn, and compare what they give."""
    clip = torch.rand(1, frames, 3, *size, generator=torch.Generator().manual_seed(1))
    variants = {variant: prepared(name, variant) for variant in ("plain", "segue")}
    seconds: dict[str, list[float]] = {variant: [] for variant in variants}
    outcomes: dict[str, Outcome] = {}
    for _ in range(rounds + WARM_UP):
        for variant, run in variants.items():
            begun = time.perf_counter()
            outcomes[variant] = run(clip)
            seconds[variant].append(time.perf_counter() - begun)
    medians = {variant: statistics.median(taken[WARM_UP:]) for variant, taken in seconds.items()}
    return Times(**medians), Differences.between(outcomes["plain"], outcomes["segue"])


@torch.inference_mode()
def peak(name: str, variant: str, frames: int, size: tuple[int, int]) -> None:
    """Print the peak memory of CLIPS clips over what the process held after the imports, in bytes."""
    before = resident_peak()
    run = prepared(name, variant)
    clip = torch.rand(1, frames, 3, *size)
    for _ in range(CLIPS):
        run(clip)
    print(resident_peak() - before)


def peak_of(name: str, variant: str, frames: int, size: tuple[int, int], threads: int) -> int:
    """:func:`peak` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.speed.instances", "--peak", variant, "--models", name]
    command += ["--frames", str(frames), "--size", f"{size[0]}x{size[1]}", "--threads", str(threads)]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])


def main() -> None:
    """Measure and print a table."""
    prepare_process()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--models", type=names_of(NETWORKS), default=list(NETWORKS), help="seqformer,msstsvis"
    )
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--size", default="360x640", help="height x width")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds; the median counts")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    height, width = (int(side) for side in given.size.split("x"))
    if given.peak:
        peak(given.models[0], given.peak, given.frames, (height, width))
        return
    print(describe(given.threads))
    print("\n| model | plain s | segue s | time ratio | plain MiB | segue MiB | memory ratio | differences |")
    print("| --- " * 8 + "|")
    for name in given.models:
        times, apart = measure(name, given.frames, (height, width), given.rounds)
        most, least = (
            peak_of(name, variant, given.frames, (height, width), given.threads)
            for variant in ("plain", "segue")
        )
        print(
            f"| {name} | {times.plain:.2f} | {times.segue:.2f} | {times.segue / times.plain:.2f} "
            f"| {most / MIB:.0f} | {least / MIB:.0f} | {least / most:.2f} | logits {apart.logits:.1e}, "
            f"boxes {apart.boxes:.1e}, masks {apart.masks:.1e}, {apart.pixels:.3%} of pixels |",
            flush=True,
        )


if __name__ == "__main__":
    main()
