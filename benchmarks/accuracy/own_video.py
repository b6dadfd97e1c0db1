"""What further training on corrected frames of a video brings for the rest of that video.

A labelled video is cut in two. Of the first part, evenly spaced frames are "corrected": their true masks are
known. The second part is tracked from its first true mask and scored: with the shipped network and with one
that was trained further on the corrected frames, and with the corrected frames as memory and without. The
printed command of the training is that of docs/cookbook.md.

Example::

    python -m benchmarks.accuracy.own_video --data ../shared/data/vos/davis2016_240p \\
        --video breakdance --steps 200
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.lib.machine import describe
from segue.datasets.davis import DavisFolder, Sequence
from segue.metrics.davis import DavisAccumulator
from segue.sessions import TrackSession
from segue.types import Frame
from segue.weights import load


def write_corrected(video: Sequence, frames: npt.NDArray[np.int64], folder: Path) -> None:
    """Write images and masks of frames as the page exports them (DAVIS folder, annotated frames only)."""
    for kind, of in (("JPEGImages", video.frames), ("Annotations", video.annotations)):
        target = folder / kind / "video"
        target.mkdir(parents=True)
        for index in frames:
            path = of[int(index)]
            shutil.copyfile(path, target / path.name)


def score(
    video: Sequence, start: int, weights: str | None, before: npt.NDArray[np.int64]
) -> tuple[float, float]:
    """J and F of the frames from ``start`` on; the frames ``before`` are given to the session first."""
    session = TrackSession(load("stcn-lite", weights))
    accumulator = DavisAccumulator(video.name)
    for count, index in enumerate([*map(int, before), *range(start, len(video.frames))]):
        given = video.read_mask(index) if index <= start else None
        result = session.step(Frame(count, count / 24, video.read_image(index)), given)
        if index >= start:
            accumulator.update(result.mask, video.read_mask(index))
    scored = accumulator.score()
    return float(scored.region_frames.mean()), float(scored.contour_frames.mean())


def main() -> None:
    """Cut the video, train, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder in the layout of DAVIS")
    parser.add_argument("--video", default="breakdance", help="a sequence of it")
    parser.add_argument("--corrected", type=int, default=20, help="corrected frames of the first half")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="keep data and run here; a run there is scored again")
    options = parser.parse_args()
    video = DavisFolder(options.data, [options.video])[options.video]
    half = len(video.frames) // 2
    corrected = np.unique(np.linspace(0, half - 1, options.corrected).round().astype(int))
    with tempfile.TemporaryDirectory() as scratch:
        out = options.out or Path(scratch)
        data, run = out / "corrected", out / "run"
        if not data.exists():
            write_corrected(video, corrected, data)
        start = Path(sys.modules["segue"].__file__ or "").parent / "assets" / "stcn-lite.safetensors"
        words = ["train", "stcn-lite", "--data", str(data), "--include-val", "--start", str(start)]
        words += ["--steps", str(options.steps), "--seed", str(options.seed), "--out", str(run)]
        print("segue " + shlex.join(words), flush=True)
        trained = run / "stcn-lite.safetensors"
        if not trained.exists():
            subprocess.run([sys.executable, "-m", "segue", *words], check=True)
        print(f"\n{describe(torch.get_num_threads())}\n")
        print(
            f"{video.name}: {len(corrected)} frames of {half} corrected, {len(video.frames) - half} scored\n"
        )
        print("| | J | F | J&F |\n| --- | --- | --- | --- |")
        none = corrected[:0]
        for name, weights, before in (
            ("as it ships", None, none),
            ("as it ships, corrected frames in memory", None, corrected),
            ("trained further", str(trained), none),
            ("trained further, corrected frames in memory", str(trained), corrected),
        ):
            j, f = score(video, half, weights, before)
            print(f"| {name} | {j:.3f} | {f:.3f} | {(j + f) / 2:.3f} |", flush=True)


if __name__ == "__main__":
    main()
