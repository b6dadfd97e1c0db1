"""How far off the score of a tracked object is: expected IoU against the real one, on annotated clips.

    python -m benchmarks.accuracy.score_calibration --data ../shared/data/vos --sets dev240 --fast

Every object of every frame but the first counts, unless it is neither there nor found. Three scores are
judged: that of the session, calibrated as the network ships; the same, each clip by a calibration on the
other clips; and the mean probability inside the mask, which most programs report. Prints Markdown.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch

from benchmarks.lib.machine import describe, names_of
from benchmarks.lib.vos_clips import SETS, Video, open_set
from segue.errors import SegueError
from segue.sessions import TrackSession
from segue.types import ATTENTION_BELOW
from segue.weights import load

Array = npt.NDArray[np.float64]

VOID = 255
BAD, GOOD = 0.5, 0.7
"""A mask below and one above these IoUs should not change places."""

FACTORS, OFFSETS = np.linspace(0.2, 3.0, 57), np.linspace(-3.0, 3.0, 61)
"""Calibrations that are tried."""


class Sample(NamedTuple):
    """One object on one frame."""

    clip: str
    iou: float
    score: float
    inside: float


def samples(clip: Video, session: TrackSession) -> Iterator[Sample]:
    """Scores and real IoU of the objects that the first mask holds."""
    for frame in clip.frames():
        truth = clip.mask(frame.index)
        result = session.step(frame, np.where(truth == VOID, 0, truth) if frame.index == 0 else None)
        if frame.index == 0:
            continue
        known = truth != VOID
        for item, plane in zip(result.objects, result.probabilities[1:], strict=True):
            found, real = (result.mask == item.id) & known, truth == item.id
            union = (found | real).sum()
            if union:
                inside = float(plane[found].mean()) if found.any() else 0.0
                yield Sample(clip.name, float((found & real).sum() / union), item.score, inside)


def calibrated(score: Array, factor: float, offset: float) -> Array:
    """Log-odds of a score times a factor, plus an offset, as a score."""
    share = score.clip(1e-6, 1 - 1e-6)
    against: Array = np.exp(-offset) * ((1 - share) / share) ** factor
    return 1 / (1 + against)


def fit(score: Array, iou: Array) -> tuple[float, float]:
    """Factor and offset with the least mean absolute error."""
    pairs = itertools.product(FACTORS.tolist(), OFFSETS.tolist())
    return min(pairs, key=lambda pair: float(np.abs(calibrated(score, *pair) - iou).mean()))


def left_out(found: Sequence[Sample]) -> Array:
    """Scores of each clip, calibrated on the others."""
    clips, iou, score = (np.array(column) for column in list(zip(*found, strict=True))[:3])
    result = np.empty(len(found))
    for name in set(clips.tolist()):
        own = clips == name
        result[own] = calibrated(score[own], *fit(score[~own], iou[~own]))
    return result


def judge(score: Array, iou: Array) -> tuple[float, float, float]:
    """Mean absolute error, correlation, and how often a bad mask has the lower score than a good one."""
    bad, good = score[iou < BAD], score[iou > GOOD]
    ordered = float((bad[:, None] < good).mean()) if len(bad) and len(good) else float("nan")
    together = float(np.corrcoef(score, iou)[0, 1]) if score.std() and iou.std() else float("nan")
    return float(np.abs(score - iou).mean()), together, ordered


def table(found: Sequence[Sample]) -> str:
    """Markdown: the three scores over all samples, then the session's by clip."""
    iou, score, inside = (np.array([item[place] for item in found]) for place in (1, 2, 3))
    rows = {"as shipped": score, "mean probability inside": inside}
    names = list(dict.fromkeys(item.clip for item in found))
    if len(names) > 1:
        rows["calibrated on the other clips"] = left_out(found)
    lines = ["| score | mean error | correlation | bad below good |", "| --- | --- | --- | --- |"]
    for name, values in rows.items():
        error, together, ordered = judge(values, iou)
        lines.append(f"| {name} | {error:.3f} | {together:.3f} | {ordered:.3f} |")
    marked, low = score < ATTENTION_BELOW, iou < GOOD
    shares = marked.mean(), low[marked].mean() if marked.any() else 0.0, low[~marked].mean()
    lines += [
        "",
        "{:.1%} need attention; of these {:.0%} have an IoU below {}, of the others {:.0%}".format(
            *shares[:2], GOOD, shares[2]
        ),
    ]
    lines += ["", "| clip | masks | mean IoU | mean score | mean error |", "| --- | --- | --- | --- | --- |"]
    for name in names:
        own = np.array([item.clip == name for item in found])
        error = np.abs(score - iou)[own].mean()
        cells = f"{iou[own].mean():.3f} | {score[own].mean():.3f} | {error:.3f}"
        lines.append(f"| {name} | {own.sum()} | {cells} |")
    return "\n".join(lines)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of the DAVIS-style sets")
    add("--sets", type=names_of(tuple(SETS)), default=["dev240"], help=f"of {','.join(SETS)}")
    add("--model", default="stcn-lite", help="network by name (default: stcn-lite)")
    add("--weights", type=Path, help="weight file (default: the one that comes with segue)")
    add("--fast", action="store_true", help="bfloat16 where the processor has it")
    add("--device", default="cpu", help="default: cpu")
    add("--threads", type=int, default=torch.get_num_threads(), help="threads of torch and OpenCV")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Follow, judge and print; 0 if all went well, 2 if something did not fit."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    try:
        network: Any = load(options.model, options.weights)
        for name in options.sets:
            clips = open_set(name, options.data)
            found: list[Sample] = []
            for clip in clips.clips:
                session = TrackSession(network, device=options.device, fast=options.fast)
                found += samples(clip, session)
                print(f"  {clip.name}", file=sys.stderr, flush=True)
            print(f"\n### {clips.title}\n\n{table(found)}", flush=True)
    except SegueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"\nMeasured on {describe(options.threads, options.device)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
