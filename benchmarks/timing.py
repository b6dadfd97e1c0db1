"""Times and peak memory of segue and of the plain loop, under equal conditions."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from machine import resident_peak
from runners import PARTS, Clock, Network, PlainRunner, Runner, SegueRunner
from scenes import randomise, scene
from segue.allocation import prepare_process
from segue.models.base import Schedule
from segue.models.stcn import STCN, STCNLite
from segue.models.stm import STM
from segue.types import IndexMask

Variant = Literal["plain", "segue"]

NETWORKS: dict[str, type[Network]] = {"stcn": STCN, "stm": STM, "stcn-lite": STCNLite}
NEVER = 1_000_000
WARM_UP_FRAMES = 2
"""Steps that are not timed, one that memorises and one that does not: segue arranges weights in them."""
WATCHED_FRAMES = 2


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table.

    Attributes:
        model: name of the network.
        objects, memory: number of objects and of permanent memory frames.
        height, width: of the images.
        frames: frames that are timed; even.
        threads: of torch.
        device: ``cpu`` or ``cuda``.
        fast: bfloat16 for segue; the plain loop stays in float32.
    """

    model: str
    objects: int
    memory: int
    height: int
    width: int
    frames: int
    threads: int
    device: str
    fast: bool = False

    def network(self) -> Network:
        """The network with random weights."""
        network = NETWORKS[self.model]()
        randomise(network)
        return network.eval()

    @property
    def published(self) -> Schedule:
        """Schedule of the publication."""
        return NETWORKS[self.model].schedule

    @property
    def schedule(self) -> Schedule:
        """The published one, but so that the memory has the wanted size throughout.

        Where the previous frame is read, every frame is memorised anyway and none is kept; else every second
        one is, and is discarded at once.
        """
        every = NEVER if self.published.include_last else 2
        return replace(self.published, mem_every=every, memory_frames=self.memory + 1)

    def memorises(self, t: int) -> bool:
        """Whether step ``t`` writes to the permanent memory."""
        return t % self.schedule.mem_every == 0

    @property
    def first_watched(self) -> int:
        """Number of the first step whose parts are timed; from then on the whole is not."""
        return 1 + WARM_UP_FRAMES + self.frames

    def plain_bytes(self) -> int:
        """Rough need of the plain loop: affinity matrices, values before and after concatenation."""
        network = NETWORKS[self.model]
        positions = (self.height // network.read_stride) * (self.width // network.read_stride)
        keys = 1 if network.shared_keys else self.objects
        affinity = (3 if network.shared_keys else 2) * keys * self.memory * positions**2
        values = 2 * self.objects * self.memory * positions * network.value_channels
        return 4 * (affinity + values)

    def runner(self, variant: Variant, network: Network) -> Runner:
        """A fresh tracker."""
        device = torch.device(self.device)
        if variant == "plain":
            return PlainRunner(network, device, self.schedule)
        return SegueRunner(network, device, self.schedule, fast=self.fast)


Step = dict[str, float]
"""Seconds of one step: ``all``, and each part where it was watched."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds per frame of one variant, over the whole and by parts."""

    total: float
    parts: dict[str, float]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both variants on one case.

    Attributes:
        plain: None where the plain loop was left out.
        difference: largest absolute difference of the probabilities.
        equal: share of the pixels with the same id.
    """

    plain: Timing | None
    segue: Timing
    difference: float | None
    equal: float | None


def compare(case: Case, variants: Sequence[Variant]) -> Comparison:
    """Time all variants frame by frame in turn, so that a busy machine slows both."""
    network = case.network()
    images, mask = scene(
        case.height, case.width, case.objects, 1 + WARM_UP_FRAMES + case.frames + WATCHED_FRAMES
    )
    runners = {variant: case.runner(variant, network) for variant in variants}
    for runner in runners.values():
        runner.start(images[0], mask)
        runner.fill(case.memory)
    steps: dict[Variant, dict[int, Step]] = {variant: {} for variant in variants}
    differences, equal = [], []
    clocks: dict[Variant, Clock] = {}
    for t, image in enumerate(images[1:], start=1):
        if t == case.first_watched:
            clocks = watch(runners)
        masks: list[IndexMask] = []
        for variant, runner in in_turn(runners, t):
            step, found = timed_step(case, runner, image, t, clocks.get(variant))
            steps[variant][t] = step
            masks.append(found)
        if len(runners) == 2:
            theirs, ours = runners["plain"].probabilities(), runners["segue"].probabilities()
            differences.append(float(np.abs(theirs - ours).max()))
            equal.append(float((masks[0] == masks[1]).mean()))
    timings = {variant: summarise(case, found) for variant, found in steps.items()}
    return Comparison(
        timings.get("plain"), timings["segue"], max(differences, default=None), min(equal, default=None)
    )


def in_turn(runners: dict[Variant, Runner], t: int) -> Iterable[tuple[Variant, Runner]]:
    """The runners, another one first each time."""
    order = list(runners.items())
    return order if t % 4 < 2 else reversed(order)


def watch(runners: dict[Variant, Runner]) -> dict[Variant, Clock]:
    """Count the time of the parts from now on."""
    clocks = {variant: Clock(runner.device) for variant, runner in runners.items()}
    for variant, runner in runners.items():
        runner.watch(clocks[variant])
    return clocks


def timed_step(case: Case, runner: Runner, image: Any, t: int, clock: Clock | None) -> tuple[Step, IndexMask]:
    """Segment one frame; the memory has its old size again afterwards."""
    before = dict(clock.seconds) if clock else {}
    outer = Clock(runner.device)
    start = outer.now()
    mask = runner.step(image)
    step = {"all": outer.now() - start}
    if clock:
        step |= {part: clock.seconds[part] - before[part] for part in clock.seconds}
    if case.memorises(t):
        runner.cut(case.memory)
    return step, mask


def summarise(case: Case, steps: dict[int, Step]) -> Timing:
    """Seconds of a frame in a run with the published schedule, without the warm-up."""
    timed = {t: step for t, step in steps.items() if WARM_UP_FRAMES < t < case.first_watched}
    watched = {t: step for t, step in steps.items() if t >= case.first_watched}
    parts = {part: per_frame(case, watched, part) for part in PARTS.values()}
    parts["rest"] = per_frame(case, watched, "all") - sum(parts.values())
    return Timing(per_frame(case, timed, "all"), parts)


def per_frame(case: Case, steps: dict[int, Step], name: str) -> float:
    """Median of the steps that memorise and of those that do not, weighted as in the published schedule."""
    keeping = [step[name] for t, step in steps.items() if case.memorises(t)]
    passing = [step[name] for t, step in steps.items() if not case.memorises(t)]
    if not keeping:
        return statistics.median(passing)
    every = case.published.mem_every
    return ((every - 1) * statistics.median(passing) + statistics.median(keeping)) / every


def peak_memory(case: Case, variant: Variant) -> int:
    """Bytes that a process of its own needs at most for filling the memory and two steps.

    On a GPU: bytes of its tensors. On a CPU: resident memory, with interpreter, libraries and weights.
    """
    child = [sys.executable, str(Path(__file__)), variant, json.dumps(asdict(case))]
    done = subprocess.run(child, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{variant} on {case} failed: {done.stderr.strip()}")
    return int(done.stdout)


def run_alone(variant: Variant, case: Case) -> int:
    """What the child process of :func:`peak_memory` does."""
    prepare_process()
    torch.set_num_threads(case.threads)
    images, mask = scene(case.height, case.width, case.objects, 3)
    runner = case.runner(variant, case.network())
    runner.start(images[0], mask)
    runner.fill(case.memory)
    for image in images[1:]:
        runner.step(image)
    return torch.cuda.max_memory_allocated() if case.device == "cuda" else resident_peak()


if __name__ == "__main__":
    name: Variant = "plain" if sys.argv[1] == "plain" else "segue"
    print(run_alone(name, Case(**json.loads(sys.argv[2]))))
