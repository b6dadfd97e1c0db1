"""Speed and memory of video instance segmentation: segue against the published inference.

The published form is written down plainly: it samples by grids, stacks all samples before it weighs them,
computes the masks of all queries in all decoder layers, and folds nothing. Both have the same random weights
and see the same made-up clip, in turn; scores and masks are compared. Peak memory is that of a process of its
own for each variant.

Example::

    python benchmarks/instances.py --models seqformer,msstsvis --frames 5 --size 360x640 --threads 1
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from machine import describe, names_of
from segue.models.msstsvis import MSSTSVIS
from segue.models.seqformer import SeqFormer
from segue.models.seqformer import attention as deformable
from segue.sessions.clips import best_entries, encode_frames
from segue.sessions.inference import inference_copy

TOP = 10
MIB = 1 << 20

NETWORKS: dict[str, Callable[[], SeqFormer]] = {"seqformer": SeqFormer, "msstsvis": MSSTSVIS}

Outcome = tuple[Tensor, Tensor]
"""Scores (10,) and mask logits (10, T, h, w) of the best entries."""


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
    ours = deformable.sample_levels
    deformable.sample_levels = stacked_sampling
    try:
        memory = network.encode(clip)
        decoded = network.decode(memory)
        everyone = torch.arange(network.size.queries)
        masks = [
            network.mask_logits(memory, decoded, 0, everyone, layer)
            for layer in range(network.size.decoder_layers)
        ]
    finally:
        deformable.sample_levels = ours
    found = best_entries(network.class_logits(decoded)[0], TOP)
    return found.scores, masks[-1][found.queries]


def segue(network: SeqFormer, clip: Tensor) -> Outcome:
    """Ours: frames one by one where they do not see each other, masks of the kept queries only."""
    memory = encode_frames(network, clip.split(1, dim=1))
    decoded = network.decode(memory)
    found = best_entries(network.class_logits(decoded)[0], TOP)
    return found.scores, network.mask_logits(memory, decoded, 0, found.queries)


def prepared(name: str, variant: str) -> SeqFormer:
    """The network with random weights; folded and laid out for ours, as it is for the plain form."""
    torch.manual_seed(0)
    network = NETWORKS[name]().eval().requires_grad_(False)
    for parameter in network.parameters():
        if parameter.ndim > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.01)
    if variant == "segue":
        return inference_copy(network, torch.device("cpu"), torch.float32)
    return network


@torch.inference_mode()
def measure(name: str, frames: int, size: tuple[int, int], rounds: int) -> tuple[float, float, float, float]:
    """Seconds of the plain form and of ours, and the largest differences of scores and (relative) masks."""
    clip = torch.rand(1, frames, 3, *size, generator=torch.Generator().manual_seed(1))
    variants = {"plain": (prepared(name, "plain"), plain), "segue": (prepared(name, "segue"), segue)}
    seconds: dict[str, list[float]] = {variant: [] for variant in variants}
    outcomes: dict[str, Outcome] = {}
    for _ in range(rounds + 1):
        for variant, (network, run) in variants.items():
            begun = time.perf_counter()
            outcomes[variant] = run(network, clip)
            seconds[variant].append(time.perf_counter() - begun)
    (scores, masks), (our_scores, our_masks) = outcomes["plain"], outcomes["segue"]
    apart = float((masks - our_masks).abs().max() / masks.abs().max())
    medians = [statistics.median(seconds[variant][1:]) for variant in ("plain", "segue")]
    return medians[0], medians[1], float((scores - our_scores).abs().max()), apart


@torch.inference_mode()
def peak(name: str, variant: str, frames: int, size: tuple[int, int]) -> None:
    """Print the process's peak memory over what it held with the network loaded, in bytes."""
    network = prepared(name, variant)
    clip = torch.rand(1, frames, 3, *size)
    before = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    (plain if variant == "plain" else segue)(network, clip)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before)


def peak_of(name: str, variant: str, frames: int, size: tuple[int, int], threads: int) -> int:
    """:func:`peak` in a process of its own."""
    command = [sys.executable, str(Path(__file__)), "--peak", variant, "--models", name]
    command += ["--frames", str(frames), "--size", f"{size[0]}x{size[1]}", "--threads", str(threads)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def main() -> None:
    """Measure and print a table."""
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
        slow, fast, scores, masks = measure(name, given.frames, (height, width), given.rounds)
        most, least = (
            peak_of(name, variant, given.frames, (height, width), given.threads)
            for variant in ("plain", "segue")
        )
        print(
            f"| {name} | {slow:.2f} | {fast:.2f} | {fast / slow:.2f} | {most / MIB:.0f} | {least / MIB:.0f} "
            f"| {least / most:.2f} | scores {scores:.1e}, masks {masks:.1e} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
