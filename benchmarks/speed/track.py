"""Speed and memory of tracking: segue against the published inference loops, written down plainly.

Both run the same random weights on the same made-up images, in turn, frame by frame; their results are
compared. The memory is filled artificially to the wanted number of frames. Prints Markdown tables.

Results differ by rounding. Where only the best positions of the memory are read, rounding also decides which
of two nearly equal ones is the last to be read; that shows as a few pixels with a larger difference. The
coarse-to-fine read of stcn-lite at 480p is an approximation, and --fast is another precision: there the
differences are real.

Example::

    python -m benchmarks.speed.track --models stcn,stm --objects 1,5 --memory 10,50 --threads 2
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import torch

from benchmarks.lib.machine import describe, names_of
from benchmarks.lib.memory import resident_peak
from benchmarks.lib.plain import PARTS, Clock, Network, PlainRunner, Runner, SegueRunner
from benchmarks.lib.scenes import randomise, scene
from segue.models.base import Schedule
from segue.models.stcn import STCN, STCNLite
from segue.models.stm import STM
from segue.types import IndexMask
from segue.utils.allocation import prepare_process

GIB, MIB = 1 << 30, 1 << 20

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
    child = [sys.executable, "-m", "benchmarks.speed.track", "--alone", variant, json.dumps(asdict(case))]
    done = subprocess.run(child, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{variant} on {case} failed: {done.stderr.strip()}")
    return int(done.stdout)


def run_alone(variant: Variant, case: Case) -> int:
    """What the child process of :func:`peak_memory` does."""
    torch.set_num_threads(case.threads)
    images, mask = scene(case.height, case.width, case.objects, 3)
    runner = case.runner(variant, case.network())
    runner.start(images[0], mask)
    runner.fill(case.memory)
    for image in images[1:]:
        runner.step(image)
    return torch.cuda.max_memory_allocated() if case.device == "cuda" else resident_peak()


@dataclass(frozen=True, slots=True)
class Row:
    """All that was measured on one case."""

    case: Case
    comparison: Comparison
    peaks: dict[Variant, int]


def measure(case: Case, memory_limit: float) -> Row:
    """Times, then peak memory; the plain loop is left out where it needs more than ``memory_limit`` GiB."""
    fits = case.plain_bytes() <= memory_limit * GIB
    variants: tuple[Variant, ...] = ("plain", "segue") if fits else ("segue",)
    comparison = compare(case, variants)
    return Row(case, comparison, {variant: peak_memory(case, variant) for variant in variants})


HEADER = (
    "| device | model | objects | memory frames | plain frames/s | segue frames/s | time ratio "
    "| plain MiB | segue MiB | memory ratio | largest difference | equal pixels |\n" + "| --- " * 12 + "|"
)


def main_row(row: Row) -> str:
    """One case: speed, memory, agreement."""
    case, found = row.case, row.comparison
    plain = found.plain
    cells = [
        case.device,
        case.model,
        str(case.objects),
        str(case.memory),
        f"{1 / plain.total:.2f}" if plain else f"needs {case.plain_bytes() / GIB:.0f} GiB",
        f"{1 / found.segue.total:.2f}",
        f"{found.segue.total / plain.total:.2f}" if plain else "–",
        f"{row.peaks['plain'] / MIB:.0f}" if plain else "–",
        f"{row.peaks['segue'] / MIB:.0f}",
        f"{row.peaks['segue'] / row.peaks['plain']:.2f}" if plain else "–",
        f"{found.difference:.1e}" if found.difference is not None else "–",
        f"{found.equal:.5f}" if found.equal is not None else "–",
    ]
    return f"| {' | '.join(cells)} |"


def parts_table(rows: Sequence[Row]) -> str:
    """Milliseconds and share of each part of a frame."""
    names = list(rows[0].comparison.segue.parts)
    lines = [
        f"| device | model | objects | memory frames | loop | {' | '.join(names)} |",
        "| --- " * (5 + len(names)) + "|",
    ]
    for row in rows:
        case = row.case
        pairs: list[tuple[str, Timing | None]] = [
            ("plain", row.comparison.plain),
            ("segue", row.comparison.segue),
        ]
        for variant, timing in pairs:
            if timing:
                cells = " | ".join(_part(timing, name) for name in names)
                start = f"| {case.device} | {case.model} | {case.objects} | {case.memory} | {variant} |"
                lines.append(f"{start} {cells} |")
    return "\n".join(lines)


def _part(timing: Timing, name: str) -> str:
    seconds = timing.parts[name]
    return f"{1000 * seconds:.0f} ms ({seconds / sum(timing.parts.values()):.0%})"


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """All combinations that were asked for."""
    height, width = options.size
    for device in options.devices:
        for model in options.models:
            for objects in options.objects:
                for memory in options.memory:
                    yield Case(
                        model, objects, memory, height, width, options.frames, options.threads, device,
                        options.fast,
                    )  # fmt: skip


def as_json(row: Row) -> dict[str, object]:
    """All numbers of a case; seconds and bytes."""
    return {"case": asdict(row.case), **asdict(row.comparison), "peak_bytes": row.peaks}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line."""
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add("--models", type=names_of(NETWORKS), default=list(NETWORKS), help=f"of {','.join(NETWORKS)}")
    add("--objects", type=_numbers, default=[1, 3, 10], help="numbers of objects (default: 1,3,10)")
    add("--memory", type=_numbers, default=[1, 5, 10, 20, 50], help="memory frames (default: 1,5,10,20,50)")
    add("--size", type=_size, default=(480, 854), help="height x width (default: 480x854)")
    add("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    add("--frames", type=_even, default=6, help="timed frames of a case, even (default: 6)")
    add("--devices", type=names_of(devices), default=devices, help=f"of {','.join(devices)}")
    add("--fast", action="store_true", help="segue in bfloat16; the plain loop stays in float32")
    add("--memory-limit", type=float, default=10, help="GiB that the plain loop may need (default: 10)")
    add("--quick", action="store_true", help="a small image, few cases, two frames: does it run?")
    add("--json", type=argparse.FileType("w"), help="write all numbers here")
    add("--alone", nargs=2, help=argparse.SUPPRESS)  # for peak_memory
    options = parser.parse_args(arguments)
    if options.quick:
        options.objects, options.memory, options.size, options.frames = [1, 2], [1, 3], (96, 128), 2
    return options


def _numbers(text: str) -> list[int]:
    numbers = [int(part) for part in text.split(",")]
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"{min(numbers)} is less than 1")
    return numbers


def _size(text: str) -> tuple[int, int]:
    height, width = (int(part) for part in text.split("x"))
    return height, width


def _even(text: str) -> int:
    number = int(text)
    if number < 2 or number % 2:
        raise argparse.ArgumentTypeError(f"{number} is not even and at least 2")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; numbers appear as they are found."""
    prepare_process()
    options = parse(arguments)
    if options.alone:
        variant, case = options.alone
        print(run_alone(variant, Case(**json.loads(case))))
        return 0
    torch.set_num_threads(options.threads)
    for device in options.devices:
        print(f"Measured on {describe(options.threads, device)}.")
    height, width = options.size
    print(f"Images have {width}x{height} pixels. STCN and STM have random weights.\n")
    print(HEADER, flush=True)
    rows = []
    for case in cases(options):
        rows.append(measure(case, options.memory_limit))
        print(main_row(rows[-1]), flush=True)
    print(f"\n{parts_table(rows)}")
    if options.json:
        json.dump([as_json(row) for row in rows], options.json, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
