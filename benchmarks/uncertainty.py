"""What it brings to read frames with uncertain masks less: J&F of stcn-lite by ``uncertainty_penalty``.

Example::

    python benchmarks/uncertainty.py ../shared/data/vos/davis2016_240p bmx-trees paragliding-launch soapbox

Prints Markdown. All objects of a film are one, and the first and last frame do not count, as in DAVIS 2016.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from segue.datasets import DavisFolder
from segue.datasets.davis import Sequence
from segue.metrics.davis import DavisAccumulator
from segue.models.stcn import STCNLite
from segue.sessions import TrackSession
from segue.types import Frame
from segue.weights import load

PENALTIES = (0.0, 2.0, 4.0)


def score(network: STCNLite, film: Sequence, penalty: float) -> float:
    """J&F of one film, in percent."""
    schedule = replace(network.schedule, uncertainty_penalty=penalty)
    session = TrackSession(network, schedule, device="cpu")
    accumulator = DavisAccumulator(film.name, protocol="2016")
    for t in range(len(film)):
        truth = (film.read_mask(t) > 0).astype(np.uint8)
        result = session.step(Frame(t, float(t), film.read_image(t)), truth if t == 0 else None)
        accumulator.update(result.mask, truth)
    return 100 * accumulator.score().j_and_f


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path, help="folder in the layout of DAVIS")
    parser.add_argument("films", nargs="+", help="names of its sequences")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    network = load("stcn-lite")
    assert isinstance(network, STCNLite)
    films = DavisFolder(asked.data, asked.films)
    print("| film |" + "".join(f" {penalty:g} |" for penalty in PENALTIES))
    print("| --- |" + " --- |" * len(PENALTIES))
    for film in films:
        cells = (f" {score(network, film, penalty):.1f} |" for penalty in PENALTIES)
        print(f"| {film.name} |" + "".join(cells), flush=True)


if __name__ == "__main__":
    main()
