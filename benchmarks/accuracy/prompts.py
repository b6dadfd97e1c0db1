"""How good masks from boxes and clicks are: segue-prompt, on images with ground truth.

Example::

    python -m benchmarks.accuracy.prompts --stills ../shared/data/static --stills ../shared/data/static_more
    python -m benchmarks.accuracy.prompts --davis ../shared/data/vos/davis2016_480p --clicks 20
    python -m benchmarks.accuracy.prompts --davis ../shared/data/vos/davis2016_480p --ways segue-prompt,motion
    python -m benchmarks.accuracy.prompts --davis ../shared/data/vos/davis2016_480p --ways segue-prompt,fast

Of still images only those count that ``segue train prompt`` leaves out, or all with ``--all``; of DAVIS the
first frames of val, or those at ``--at``. ``motion`` is segue-prompt that also sees the next frame, as in a
video; stills have none. ``fast`` is segue-prompt as ``--fast`` computes it on this machine, and ``click``
without the objects of a detector.
Clicks are simulated: the first is the deepest pixel of the object, each further one the deepest pixel of the
largest error, on or beside the object, with the mask so far as previous mask. A jittered box has its four
sides moved by up to 10 % of its width and height. The best
candidate is that of the highest IoU. Times are medians of single calls on the threads given.
"""

from __future__ import annotations

import argparse
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

import segue
from segue.datasets.davis import DAVIS_VAL, DavisFolder, Sequence
from segue.prompt_types import ImagePrompts
from segue.prompts.answers import ImagePrompter, MaskPrediction
from segue.prompts.motion import MotionPrompter
from segue.prompts.planes import tight_box
from segue.prompts.prompter import Prompter
from segue.types import Image
from segue.weights import prepare
from segue_train.data.footage import VOID, gather, object_ids
from segue_train.data.prompt_samples import click_on, is_held_out, largest_error

Mask = npt.NDArray[np.bool_]

COUNTS = (1, 2, 3, 5)
GOALS = (0.85, 0.90)
ANYWHERE = 2
"""First clicks at random places of each object, beside the one in its middle: people click on a face."""
MIN_PIXELS = 100
DAVIS = "DAVIS val"


@dataclass(frozen=True)
class Case:
    """One object: image, mask (H, W) of 0, 1 and void."""

    name: str
    image: Image
    truth: npt.NDArray[np.uint8]
    following: Image | None = None


@dataclass
class Scores:
    """What one way reached, an entry an object; IoU by click, and predicted minus real IoU."""

    box: list[float] = field(default_factory=list)
    jittered: list[float] = field(default_factory=list)
    clicks: list[list[float]] = field(default_factory=list)
    anywhere: list[float] = field(default_factory=list)
    best: list[float] = field(default_factory=list)
    box_error: list[float] = field(default_factory=list)
    click_error: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    further_ms: list[float] = field(default_factory=list)
    box_ms: list[float] = field(default_factory=list)

    def extend(self, other: Scores) -> None:
        """Add the objects of another kind of image."""
        for each in fields(self):
            getattr(self, each.name).extend(getattr(other, each.name))


Ask = Callable[[Case], ImagePrompter]


def main() -> int:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--stills", action="append", default=[], help="folder with images/ and masks/")
    parser.add_argument(
        "--davis",
        action="append",
        default=[],
        help="DAVIS folder; of a video that two have, the first counts",
    )
    parser.add_argument("--all", action="store_true", help="stills of sources that no training had")
    parser.add_argument("--at", default="0", help="places in its val sequences, as shares of their length")
    parser.add_argument("--weights", type=Path, help="weights of segue-prompt, instead of those that ship")
    parser.add_argument("--ways", default="segue-prompt", help="of segue-prompt, click, fast and motion")
    parser.add_argument("--clicks", type=int, default=20, help="most clicks for an object")
    parser.add_argument("--limit", type=int, help="objects of each kind, chosen by the hash of their names")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    network = segue.load("segue-prompt", arguments.weights)
    fast = prepare(network, device="cpu", fast=True)
    ways: dict[str, Ask] = {
        "fast": lambda case: Prompter(case.image, fast),
        "segue-prompt": lambda case: Prompter(case.image, network, device="cpu"),
        "click": lambda case: Prompter(case.image, network, device="cpu", objects=False),
        "motion": lambda case: MotionPrompter(
            Prompter(case.image, network, device="cpu"), case.image, lambda: case.following
        ),
    }
    places = [float(place) for place in arguments.at.split(",")]
    found = kinds(arguments.stills, arguments.davis, arguments.limit, places, everything=arguments.all)
    names = arguments.ways.split(",")
    whole = {name: Scores() for name in names}
    for kind, cases in found.items():
        table = {name: score(ways[name], cases, arguments.clicks) for name in names}
        print(f"\n{kind}, {len(cases)} objects\n")
        report(table, arguments.clicks)
        if kind != DAVIS:
            for name in names:
                whole[name].extend(table[name])
    if len(found) - (DAVIS in found) > 1:
        print(f"\nall stills, {len(whole[names[0]].box)} objects\n")
        report(whole, arguments.clicks)
    return 0


def kinds(
    stills: Iterable[str],
    davis: Iterable[str],
    limit: int | None,
    places: Iterable[float],
    *,
    everything: bool = False,
) -> dict[str, list[Case]]:
    """The objects by kind of image."""
    found: dict[str, list[Case]] = {}
    for case in _cases_of(stills, everything):
        found.setdefault(case.name.split("_")[0], []).append(case)
    for cases in found.values():
        cases.sort(key=lambda case: zlib.crc32(case.name.encode()))
        del cases[len(cases) if limit is None else limit :]
    videos = {item.name: item for folder in reversed([*davis]) for item in DavisFolder(Path(folder))}
    frames = [
        _frame_of(videos[name], int(place * len(videos[name])))
        for name in sorted(videos.keys() & DAVIS_VAL)
        for place in places
    ]
    if frames:
        found[DAVIS] = frames
    return found


def _frame_of(video: Sequence, index: int) -> Case:
    following = video.read_image(index + 1) if index + 1 < len(video) else None
    truth = (video.read_mask(index) > 0).astype(np.uint8)
    return Case(f"{video.name}/{index}", video.read_image(index), truth, following)


def _cases_of(folders: Iterable[str], everything: bool) -> Iterator[Case]:
    for still in gather(folders, report=print).stills:
        if everything or is_held_out(still.name):
            image, mask = still.read(0)
            for i in object_ids(mask, MIN_PIXELS):
                truth = np.where(mask == VOID, np.uint8(VOID), (mask == i).astype(np.uint8))
                yield Case(f"{still.name}/{i}", image, truth)


def score(way: Ask, cases: Iterable[Case], clicks: int) -> Scores:
    """Ask for each object by box, by jittered box and by clicks."""
    scores = Scores()
    for case in cases:
        rng = np.random.default_rng(zlib.crc32(case.name.encode()))
        box = np.array(tight_box(case.truth == 1))
        reach = np.array([box[2] - box[0], box[3] - box[1]] * 2)
        moved = box + rng.uniform(-0.1, 0.1, 4) * reach
        answer, ms = timed(lambda: way(case).answer(ImagePrompts(box=tuple(box))))  # noqa: B023
        scores.box.append(overlap(answer.mask, case.truth))
        scores.box_error.append(float(answer.iou[0]) - scores.box[-1])
        scores.box_ms.append(ms)
        answer = way(case).answer(ImagePrompts(box=tuple(moved)))
        scores.jittered.append(overlap(answer.mask, case.truth))
        scores.clicks.append(_clicked(way, case, clicks, scores))
        middle = click_on(case.truth == 1, np.random.default_rng(0), 1.0)
        offered = way(case).candidates(ImagePrompts(points=[middle]))
        scores.best.append(max(overlap(each.mask, case.truth) for each in offered))
        rows, columns = np.nonzero(case.truth == 1)
        for place in rng.integers(0, len(rows), ANYWHERE):
            answer = way(case).answer(ImagePrompts(points=[(float(columns[place]), float(rows[place]))]))
            scores.anywhere.append(overlap(answer.mask, case.truth))
    return scores


def _clicked(way: Ask, case: Case, most: int, scores: Scores) -> list[float]:
    """IoU after each click; the clicking ends when the last goal is reached after the last count."""
    rng = np.random.default_rng(0)
    points, negative = [click_on(case.truth == 1, rng, 1.0)], list[tuple[int, int]]()
    prompter, mask = way(case), None
    reached: list[float] = []
    for count in range(1, most + 1):
        prompts = ImagePrompts(points=points, negative=negative, mask=mask)
        answer, ms = timed(lambda: prompter.answer(prompts))  # noqa: B023
        reached.append(overlap(answer.mask, case.truth))
        if count == 1:
            scores.click_error.append(float(answer.iou[0]) - reached[-1])
        (scores.first_ms if count == 1 else scores.further_ms).append(ms)
        if count >= COUNTS[-1] and max(reached) >= GOALS[-1]:
            break
        error, missing = largest_error(answer.mask, case.truth)
        if not error.any():
            continue
        (points if missing else negative).append(click_on(error, rng, 1.0))
        mask = answer.probability
    return reached


def timed(call: Callable[[], MaskPrediction]) -> tuple[MaskPrediction, float]:
    """What a call gives, its mask worked out, and how many milliseconds that took."""
    begun = time.perf_counter()
    answer = call()
    _ = answer.mask
    return answer, 1000 * (time.perf_counter() - begun)


def overlap(found: Mask, truth: npt.NDArray[np.uint8]) -> float:
    """IoU over the pixels that are not void."""
    found = found & (truth != VOID)
    return float((found & (truth == 1)).sum() / max(1, (found | (truth == 1)).sum()))


def report(table: dict[str, Scores], most: int) -> None:
    """Print one column a way."""
    rows: dict[str, Callable[[Scores], str]] = {
        "tight box": lambda s: f"{np.mean(s.box):.3f}",
        "box, sides moved by up to 10 %": lambda s: f"{np.mean(s.jittered):.3f}",
    }
    for count in (c for c in COUNTS if c <= most):
        rows[f"{count} clicks" if count > 1 else "1 click"] = partial(_after, count)
        if count == 1:
            rows["1 click, best of the three candidates"] = lambda s: f"{np.mean(s.best):.3f}"
            rows["1 click anywhere on the object"] = lambda s: f"{np.mean(s.anywhere):.3f}"
    for goal in GOALS:
        rows[f"clicks to {goal:.2f}, at most {most} (not reached)"] = partial(_to_goal, goal, most)
        rows[f"{goal:.2f} within 4 clicks"] = partial(_within, goal)
    rows["predicted IoU of boxes: mean error (bias)"] = lambda s: _error(s.box_error)
    rows["predicted IoU of first clicks: mean error (bias)"] = lambda s: _error(s.click_error)
    rows["ms: box / first click / further ones"] = lambda s: " / ".join(
        f"{np.median(v):.0f}" if v else "-" for v in (s.box_ms, s.first_ms, s.further_ms)
    )
    print(f"| | {' | '.join(table)} |\n|{' --- |' * (len(table) + 1)}")
    for name, cell in rows.items():
        print(f"| {name} | {' | '.join(cell(scores) for scores in table.values())} |", flush=True)


def _after(count: int, scores: Scores) -> str:
    return f"{np.mean([reached[min(count, len(reached)) - 1] for reached in scores.clicks]):.3f}"


def _within(goal: float, scores: Scores) -> str:
    return f"{np.mean([max(reached[:4]) >= goal for reached in scores.clicks]):.0%}"


def _to_goal(goal: float, most: int, scores: Scores) -> str:
    first = [next((i + 1 for i, v in enumerate(r) if v >= goal), None) for r in scores.clicks]
    counts, missed = [most if n is None else n for n in first], [n is None for n in first]
    return f"{np.mean(counts):.1f} ({np.mean(missed):.0%})"


def _error(errors: list[float]) -> str:
    return "-" if np.isnan(errors).any() else f"{np.abs(errors).mean():.3f} ({np.mean(errors):+.3f})"


if __name__ == "__main__":
    sys.exit(main())
