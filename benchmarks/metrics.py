"""Time J and F of 480p frames side by side with the plain method, on one core, and see that they are equal.

Example::

    python benchmarks/metrics.py --rounds 20

The plain method dilates both contours over the whole frame with a disk and compares each object for itself,
with OpenCV. Prints a Markdown table of processor times.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from machine import describe
from segue.datasets.davis import DavisFolder
from segue.datasets.results import open_results
from segue.metrics.measures import DEFAULT_BOUND_TH, contour_accuracies, count_pairs, region_similarities

Mask = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]

SIZE = (480, 854)

REPEATS = 5
"""Calls in a row that are timed together."""


@dataclass(frozen=True, slots=True)
class Case:
    """Two index masks (H, W) and the number of their objects."""

    title: str
    prediction: Mask
    truth: Mask
    objects: int


def ellipses(objects: int, radius: int, seed: int = 0) -> Case:
    """Objects with wavy outlines side by side; the prediction is some pixels off and differs in detail."""
    rng = np.random.default_rng(seed)
    masks = [np.zeros(SIZE, np.uint8) for _ in range(2)]
    for k in range(objects):
        centre = rng.uniform((radius, radius), (SIZE[1] - radius, SIZE[0] - radius))
        angles = np.linspace(0, 2 * math.pi, 200, endpoint=False)
        for mask in masks:
            waves = sum(rng.normal(0, 0.04) * np.sin(n * angles + rng.uniform(0, 6)) for n in range(2, 9))
            reach = radius * (1 + waves)[:, None]
            points = centre + rng.normal(0, 3, 2) + reach * np.stack((np.cos(angles), np.sin(angles)), axis=1)
            cv2.fillPoly(mask, [np.rint(points).astype(np.int32)], k + 1)
    return Case(f"{objects} object{'s' if objects > 1 else ''}, radius {radius}", *masks, objects)


def real_cases(root: Path, results: Path) -> list[Case]:
    """The middle frame of each sequence of a DAVIS-style folder with real results."""
    found = open_results(results)
    cases = []
    for sequence in (item for item in DavisFolder(root) if item.name in found):
        frame = list(sequence.annotations)[len(sequence.annotations) // 2]
        truth = sequence.read_mask(frame)
        prediction = found.read(sequence.name, sequence.annotations[frame].stem)
        masks = [np.minimum(mask, 1).astype(np.uint8) for mask in (prediction, truth)]
        cases.append(Case(f"{sequence.name}, {masks[1].mean():.0%} of the frame", *masks, 1))
    return cases


def plain_boundary(mask: npt.NDArray[np.bool_]) -> Mask:
    """Contour map, from three comparisons over the whole frame."""
    edge = np.zeros(mask.shape, np.bool_)
    edge[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    edge[:-1] |= mask[:-1] != mask[1:]
    edge[:-1, :-1] |= mask[:-1, :-1] != mask[1:, 1:]
    return edge.view(np.uint8)


def plain_contour_accuracies(prediction: Mask, truth: Mask, objects: int) -> Values:
    """F of each object, by two dilations of the whole frame with a disk."""
    radius = math.ceil(DEFAULT_BOUND_TH * math.hypot(*truth.shape))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disk = (y * y + x * x <= radius * radius).astype(np.uint8)
    return np.array([_plain_f(prediction == k, truth == k, disk) for k in range(1, objects + 1)])


def _plain_f(prediction: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_], disk: Mask) -> float:
    result, reference = plain_boundary(prediction), plain_boundary(truth)
    n_result, n_reference = np.count_nonzero(result), np.count_nonzero(reference)
    if n_result == 0 or n_reference == 0:
        return float(n_result == n_reference)
    precision = np.count_nonzero(result & cv2.dilate(reference, disk)) / n_result
    recall = np.count_nonzero(reference & cv2.dilate(result, disk)) / n_reference
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def plain_region_similarities(prediction: Mask, truth: Mask, objects: int) -> Values:
    """J of each object, from its two masks."""
    values = []
    for k in range(1, objects + 1):
        result, reference = prediction == k, truth == k
        union = np.count_nonzero(result | reference)
        values.append(np.count_nonzero(result & reference) / union if union else 1.0)
    return np.array(values)


def region(case: Case) -> Values:
    """J as segue finds it."""
    return region_similarities(count_pairs(case.prediction, case.truth, case.objects, case.objects))


def contour(case: Case) -> Values:
    """F as segue finds it."""
    return contour_accuracies(case.prediction, case.truth, range(1, case.objects + 1))


def milliseconds(rounds: int, *functions: Callable[[], Values]) -> list[float]:
    """Median processor time of each function; they take turns of `REPEATS` calls, so that noise meets all."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for taken, function in zip(times, functions, strict=True):
            start = time.process_time()
            for _ in range(REPEATS):
                function()
            taken.append(1000 * (time.process_time() - start) / REPEATS)
    return [statistics.median(taken) for taken in times]


def compare(case: Case, rounds: int) -> str:
    """One row of the table.

    Raises:
        AssertionError: a value is not equal to the last bit.
    """
    arguments = (case.prediction, case.truth, case.objects)
    functions: tuple[Callable[[], Values], ...] = (
        lambda: plain_region_similarities(*arguments),
        lambda: region(case),
        lambda: plain_contour_accuracies(*arguments),
        lambda: contour(case),
    )
    for plain, ours in (functions[:2], functions[2:]):
        np.testing.assert_array_equal(ours(), plain(), strict=True)
    j_plain, j, f_plain, f = milliseconds(rounds, *functions)
    return (
        f"| {case.title} | {j_plain:.2f} | {j:.2f} | {j_plain / j:.1f}× "
        f"| {f_plain:.1f} | {f:.2f} | {f_plain / f:.1f}× |"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="times that each is measured (default: 20)")
    parser.add_argument("--data", type=Path, help="DAVIS 2016 at 480p, for real masks")
    parser.add_argument("--results", type=Path, help="results of its sequences")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    cases = [ellipses(1, 60), ellipses(1, 120), ellipses(3, 60), ellipses(8, 40)]
    if options.data is not None and options.results is not None:
        cases += real_cases(options.data, options.results)
    print(f"Measured on {describe(1)}; milliseconds of one core, medians of {options.rounds} rounds.\n")
    print("| case | J plain | J | | F plain | F | |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for case in cases:
        print(compare(case, options.rounds), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
