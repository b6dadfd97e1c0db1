"""segue on a GPU in eight minutes: published numbers, speed, memory, and how often it waits for the device.

Example::

    python -m benchmarks.gpu.gpu > gpu.md
    python -m benchmarks.gpu.gpu --parts speed --models stcn,sam2-tiny --size 1080x1920
    python -m benchmarks.gpu.gpu --device cpu --short  # small frames: does it run?

It needs the packages of the tests. Published numbers come from the golden files of SEGUE_SHARED, or of the
tests, in float32 without TF32. Speed compares sessions with the plain loops, see ``plain.py`` and
``recurrent.py``, with the same random weights, frame after frame on a clip whose first masks are given. With
``--device cpu`` there is no peak of memory, and reads of single numbers are counted instead of waits.

What does not fit into ``--budget`` seconds is listed as left out. The exit status is 1 where a part fails.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

import segue
from benchmarks.lib.machine import describe, names_of
from benchmarks.lib.plain import PlainSTCN, plain_loop
from benchmarks.lib.scenes import randomise, scene
from benchmarks.speed import recurrent
from benchmarks.speed.sam2 import plain as published_sam2
from segue.inference.running import choose_precision, inference_copy
from segue.masks.files import read_index_mask
from segue.models.base import Schedule
from segue.models.cutie import Cutie, CutieSchedule
from segue.models.sam2 import SAM2
from segue.models.sam2.tracker import SAM2Schedule
from segue.models.stcn import STCN, STCNLite
from segue.models.stm import STM
from segue.models.xmem import XMem, XMemSchedule
from segue.sessions import ForegroundSession, InstanceSession, TrackSession
from segue.types import Image, IndexMask
from segue.utils.cache import ASSETS
from segue.weights import Prepared, prepare
from tests.clips import clip
from tests.fill import fill
from tests.golden_arrays import best_golden
from tests.models.sam2_videos import Tolerance, compare, info_of
from tests.models.sam2_videos import run as sam2_video
from tests.sessions import recurrent_clips
from tests.sessions.test_golden_clips import stepped

CPU = torch.device("cpu")

TRACKERS: dict[str, Callable[[], Any]] = {
    "stcn": STCN,
    "stm": STM,
    "xmem": XMem,
    "cutie": Cutie,
    "sam2-tiny": lambda: SAM2("tiny"),
    "stcn-lite": STCNLite,
}
FINDERS = {"mustan-lite": ForegroundSession, "msstsvis-lite": InstanceSession}
"""Networks in the package that need no masks; they have no plain loop."""

PARTS = ("goldens", "precision", "speed", "compile")
SHORT_PARTS = ("goldens", "speed")

BUDGET = 480.0
"""Seconds of all parts together."""

WARM_UP, PROFILED = 6, 10
"""Frames that are not timed, one of which becomes memory; and frames whose waits are counted."""

WAITS = {
    "cuda": ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize"),
    "cpu": ("aten::_local_scalar_dense", "aten::nonzero"),
}
"""Events of the profiler that count as waits, by kind of device. PyTorch waits by them on a GPU; on a
processor the operations are counted that would."""

SAMPLE, SAMPLE_FRAMES = ASSETS / "sample", 20
"""The bundled video, and how much of it half precision is tried on."""

Step = Callable[[Image], object]
"""Segments the next frame; the result is on the processor."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a frame costs: milliseconds, waits, and MiB of the device at most (None on a processor)."""

    ms: float
    waits: float
    mebibytes: float | None


@contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """Inside, a GPU computes products and convolutions of float32 without TF32."""
    settings: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn]
    before = [setting.allow_tf32 for setting in settings]
    for setting in settings:
        setting.allow_tf32 = False
    try:
        yield
    finally:
        for setting, value in zip(settings, before, strict=True):
            setting.allow_tf32 = value


def golden_checks(device: torch.device) -> dict[str, Callable[[], None]]:
    """Clips of each network against the published numbers; each raises AssertionError where one differs."""

    def stcn() -> None:
        frames, masks = clip(11, 10, 96, 144, 2)
        schedule = Schedule(mem_every=3)
        run = stepped(filled(STCN(), "stcn"), frames, {0: masks[0]}, schedule, str(device))
        expected = best_golden("stcn_clip2")
        expected.check("argmax_top20", run.masks)
        expected.check("prob_top20", run.probabilities(expected["prob_frames"]))

    def stm() -> None:
        frames, masks = clip(11, 10, 96, 144, 2)
        run = stepped(filled(STM(), "stm"), frames, {0: masks[0]}, STM.schedule, str(device))
        expected = best_golden("stm_clip2")
        expected.check("argmax", run.masks)
        expected.check("prob", run.probabilities(expected["prob_frames"]))

    def of_clip(network: nn.Module, topic: str, schedule: Any, file: str, variant: str) -> None:
        _, masks = recurrent_clips.video("A")
        run = recurrent_clips.run(
            filled(network, topic), schedule, "A", {0: masks[0]}, lambda tracker: 0, device=str(device)
        )
        golden = best_golden(file)
        golden.arrays.pop(f"sizes_{variant}", None)
        run.check(golden, variant)

    def sam2() -> None:
        golden = best_golden("sam2_sizes")
        click = {"do": "points", "frame": 0, "obj": 1, "points": [[56, 40]], "labels": [1]}
        info = {**info_of(golden, "tiny"), "steps": [click, {"do": "go"}]}
        network = filled(SAM2("tiny"), "sam2").to(device)
        compare(golden, "tiny", sam2_video(network, info, 128), Tolerance())

    xmem, cutie = XMemSchedule(mem_every=4, official=True), CutieSchedule(mem_every=2, memory_frames=3)
    return {
        "STCN, two objects": stcn,
        "STM, two objects": stm,
        "XMem, one object": lambda: of_clip(XMem(), "xmem", xmem, "xmem_single", "sync"),
        "Cutie, one object": lambda: of_clip(Cutie(), "cutie", cutie, "cutie_single", "fifo"),
        "SAM 2.1 tiny, one click": sam2,
    }


def filled(network: Any, topic: str) -> Any:
    """A network with the weights of its golden files."""
    with torch.no_grad():
        return fill(network, topic)


class Bench:
    """Measures on one device until the time is over, and prints tables."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.device = options, torch.device(options.device)
        self.end = time.monotonic() + options.budget
        self.failed, self.left_out = list[str](), list[str]()
        height, width = options.size
        count = options.warm_up + options.frames + options.profiled
        self.images, self.mask = scene(height, width, options.objects, count + 1)

    def attempt(self, name: str, call: Callable[[], str]) -> str:
        """A cell: the result of a call, or why there is none."""
        if time.monotonic() > self.end:
            self.left_out.append(name)
            return "left out"
        try:
            return call()
        except (AssertionError, RuntimeError, TypeError, ValueError) as error:
            self.failed.append(f"{name}: {type(error).__name__}: {error}")
            return "**fails**"

    def goldens(self) -> None:
        """Print which networks give the published numbers here."""
        print("| golden clip | result | seconds |\n| --- | --- | --- |")
        for name, check in golden_checks(self.device).items():
            begun = time.perf_counter()

            def result(check: Callable[[], None] = check) -> str:
                with exact(self.device):
                    check()
                return "as published"

            said = self.attempt(name, result)
            print(f"| {name} | {said} | {time.perf_counter() - begun:.1f} |", flush=True)
        print()

    def precision(self) -> None:
        """Print how far half precision changes what two networks find in the bundled video."""
        print("| network | precision | equal pixels | mean IoU of what is found |\n" + "| --- " * 4 + "|")
        for model in ("stcn-lite", "mustan-lite"):  # instances are too unsure there
            exact = self.found(model, torch.float32)
            for precision in (torch.bfloat16, torch.float16):
                name = str(precision).removeprefix("torch.")
                cells = self.attempt(f"{model}, {name}", partial(self.agreement, model, precision, exact))
                print(f"| {model} | {name} | {cells} |", flush=True)
        print()

    def agreement(self, model: str, precision: torch.dtype, exact: Sequence[IndexMask]) -> str:
        """Cells: how far masks in another precision agree."""
        pairs = list(zip(exact, self.found(model, precision), strict=True))
        equal = statistics.fmean(float((a == b).mean()) for a, b in pairs)
        seen = [(a > 0, b > 0) for a, b in pairs if a.any() or b.any()]
        return f"{equal:.3%} | {statistics.fmean(float((a & b).sum() / (a | b).sum()) for a, b in seen):.4f}"

    def found(self, model: str, precision: torch.dtype) -> list[IndexMask]:
        """Masks of the first frames of the bundled video, by a network of the package."""
        with segue.open_source(SAMPLE / "video.mp4", end=SAMPLE_FRAMES) as source:
            first, *images = [frame.image for frame in source]
        copy: Any = inference_copy(segue.load(model), self.device, precision)
        ready = Prepared(copy, self.device, precision, "")
        session: Any = TrackSession(ready) if model not in FINDERS else FINDERS[model](ready)
        given = () if model in FINDERS else (read_index_mask(SAMPLE / "first.png"),)
        results = [session.step(first, *given), *map(session.step, images), *session.finish()]
        return [result.mask for result in results if result is not None]

    def speed(self) -> None:
        """Print what a frame costs by the plain loop and by a session, in float32 and fast."""
        low = str(choose_precision(None, self.device, fast=True)).removeprefix("torch.")
        print(f"`fast` is {low} here, for networks without a form of 8-bit integers.\n")
        print("| network | loop | precision | ms a frame | waits a frame | MiB |\n" + "| --- " * 6 + "|")
        for model in self.options.models:
            if model in FINDERS:
                rows = [("segue", fast) for fast in (False, True)]
            else:
                rows = [(loop, fast) for fast in (False, True) for loop in ("plain", "segue")]
            for loop, fast in rows:
                precision = "float32" if not fast else "bfloat16" if loop == "plain" else "fast"
                make = self.maker(model, loop, fast)
                cells = self.attempt(f"{model}, {loop}, {precision}", partial(self.cells, make))
                print(f"| {model} | {loop} | {precision} | {cells} |", flush=True)
        print()

    def compile(self) -> None:
        """Print what torch.compile gains, beside the time of the first frames."""
        print("| network | SEGUE_COMPILE | precision | ms a frame | waits a frame | MiB | first frames, s |")
        print("| --- " * 7 + "|")
        kinds = ("off", "on", "graphs") if self.device.type == "cuda" else ("off", "on")
        for model in self.options.models:
            for kind in kinds:
                for fast in (False, True):

                    def result(model: str = model, fast: bool = fast) -> str:
                        begun = time.perf_counter()
                        step = self.maker(model, "segue", fast)()
                        for image in self.images[1 : self.options.warm_up]:
                            step(image)
                        first = time.perf_counter() - begun
                        return f"{row(self.cost(lambda: step))} | {first:.1f}"

                    name = f"{model}, compile {kind}, {'fast' if fast else 'float32'}"
                    with environment("SEGUE_COMPILE", kind):
                        cells = self.attempt(name, result)
                    print(f"| {model} | {kind} | {'fast' if fast else 'float32'} | {cells} |", flush=True)
        print()

    def maker(self, model: str, loop: str, fast: bool) -> Callable[[], Step]:
        """A function that begins a clip with its first frame and mask."""

        def make() -> Step:
            if model in FINDERS:
                session = FINDERS[model](model, device=self.device, fast=fast)
                return session.step  # type: ignore[no-any-return]
            network = TRACKERS[model]()
            randomise(network)
            if loop == "plain":
                return self.plain(model, network.eval(), fast)
            return self.session(prepare(network.eval(), device=self.device, fast=fast))

        return make

    def session(self, network: Prepared[Any]) -> Step:
        """A session of segue after the first frame."""
        schedule = SAM2Schedule(short_side=self.options.side) if isinstance(network.network, SAM2) else None
        session = TrackSession(network, schedule)
        session.step(self.images[0], self.mask)
        return session.step

    def plain(self, model: str, network: Any, fast: bool) -> Step:
        """The plain loop after the first frame; ``fast`` is bfloat16 by autocast."""
        if model == "sam2-tiny":  # a session, with the network run in the published way
            precision = torch.bfloat16 if fast else torch.float32
            moved = published_sam2(network).to(self.device, precision)
            return self.session(Prepared(moved, self.device, precision, ""))

        def mixed() -> Any:
            return torch.autocast(self.device.type, torch.bfloat16) if fast else nullcontext()

        with mixed():
            step = plain_step(model, network, self.device, self.images[0], self.mask)

        def run(image: Image) -> object:
            with mixed():
                return step(image)

        return run

    def cells(self, make: Callable[[], Step]) -> str:
        """What a frame costs, as cells of a table."""
        return row(self.cost(make))

    def cost(self, make: Callable[[], Step]) -> Cost:
        """Mean time of a frame, waits in it, and the peak of memory, from the first frame on."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
        step = make()
        timed = iter(self.images[1:])
        seconds = []
        for number in range(self.options.warm_up + self.options.frames):
            self.wait()
            begun = time.perf_counter()
            step(next(timed))
            self.wait()
            if number >= self.options.warm_up:
                seconds.append(time.perf_counter() - begun)
        waits = self.waits(step, list(timed))
        peak = torch.cuda.max_memory_allocated(self.device) / 2**20 if self.device.type == "cuda" else None
        return Cost(1000 * statistics.fmean(seconds), waits, peak)

    def waits(self, step: Step, images: Sequence[Image]) -> float:
        """How often a frame waits for the device."""
        kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self.device.type == "cuda" else [])]
        with profile(activities=kinds, acc_events=True) as seen:
            for image in images:
                step(image)
        names = WAITS.get(self.device.type, WAITS["cpu"])
        count = sum(int(event.count) for event in seen.key_averages() if event.key in names)
        return count / len(images)

    def wait(self) -> None:
        """Until everything that was started on the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def plain_step(model: str, network: Any, device: torch.device, image: Image, mask: IndexMask) -> Step:
    """The plain loop of a network after the first frame."""
    if model in ("xmem", "cutie"):
        kind = recurrent.PlainXMem if model == "xmem" else recurrent.PlainCutie
        loop = kind(network, device)
        loop.start(image, mask)
        return lambda image: loop.step(image).argmax(0).cpu()
    found: PlainSTCN | Any = plain_loop(network, device, network.schedule)
    found.start(image, mask)
    return found.step


def row(cost: Cost) -> str:
    """Cells of a table."""
    peak = "–" if cost.mebibytes is None else f"{cost.mebibytes:.0f}"
    return f"{cost.ms:.1f} | {cost.waits:.1f} | {peak}"


@contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    """Inside, a variable of the environment has a value."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    known = [*TRACKERS, *FINDERS]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--device", default="cuda", help="cuda, cuda:1 or cpu (default: cuda)")
    add(
        "--parts",
        type=names_of(PARTS),
        help=f"of {','.join(PARTS)} (default: all; --short: {','.join(SHORT_PARTS)})",
    )
    add("--models", type=names_of(known), default=known, help=f"of {','.join(known)} (default: all)")
    add("--objects", type=int, default=3, help="objects (default: 3)")
    add("--size", type=size, default=(480, 854), help="height x width (default: 480x854)")
    add("--side", type=int, default=1024, help="side of the square of SAM 2 (default: 1024)")
    add("--frames", type=int, default=20, help="frames that are timed (default: 20)")
    add("--budget", type=float, default=BUDGET, help=f"seconds of all parts (default: {BUDGET:.0f})")
    add("--short", action="store_true", help="small frames, few of them: does it run?")
    parser.set_defaults(warm_up=WARM_UP, profiled=PROFILED)
    options = parser.parse_args(arguments)
    if options.short:
        options.size, options.side, options.frames, options.objects = (64, 96), 64, 2, 2
        options.warm_up, options.profiled = 1, 2
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error("--device cuda: PyTorch finds no GPU here; --device cpu --short tries the script")
    parts = options.parts or (SHORT_PARTS if options.short else PARTS)
    print(f"Measured on {describe(torch.get_num_threads(), options.device)}.")
    height, width = options.size
    print(f"Images {width}x{height}, {options.objects} objects, random weights for speed.\n")
    bench = Bench(options)
    for part in parts:
        print(f"### {part.capitalize()}\n")
        run: Callable[[], None] = getattr(bench, part)
        run()
    for name in bench.left_out:
        print(f"- left out, no time: {name}")
    for name in bench.failed:
        print(f"- fails: {name}")
    return 1 if bench.failed else 0


def size(text: str) -> tuple[int, int]:
    """Height and width, as ``480x854``."""
    height, width = map(int, text.split("x"))
    return height, width


if __name__ == "__main__":
    sys.exit(main())
