"""Draw columns of the log of a training over its steps: each value as a dot, and their moving mean as a line.

Example::

    segue train prompt --data STILLS --start shipped --out runs/prompt
    python -m tools.training_curves runs/prompt docs/images/training.png loss iou iou1
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT, RIM = 420, 260, 40
WINDOW = 9
"""Logged values in a moving mean."""

Values = npt.NDArray[np.float64]


def read(run: Path, name: str) -> tuple[Values, Values]:
    """Steps and values of a column, over all parts of a run that was resumed."""
    rows = [
        (float(row["step"]), float(row[name]))
        for path in sorted(run.glob("logs/*/metrics.csv"))
        for row in csv.DictReader(path.open(encoding="utf-8", newline=""))
        if row.get(name)
    ]
    if not rows:
        raise SystemExit(f"{run}: its log has no column {name}")
    steps, values = np.array(sorted(rows)).T
    return steps, values


def panel(steps: Values, values: Values, title: str) -> Image.Image:
    """One diagram with the range of both axes."""
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    low, high = float(values.min()), float(values.max())
    across = RIM + 12 + (steps / steps.max()) * (WIDTH - 2 * RIM - 12)
    down = RIM + (high - values) / max(high - low, 1e-9) * (HEIGHT - 2 * RIM)
    for x, y in zip(across.tolist(), down.tolist(), strict=True):
        draw.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill="#c3cfe2")
    size = min(WINDOW, len(down))
    smooth = np.convolve(down, np.ones(size) / size, "valid")
    centre = across[size // 2 : size // 2 + len(smooth)]
    draw.line([*zip(centre.tolist(), smooth.tolist(), strict=True)], fill="#1f5fbf", width=2)
    draw.line((RIM + 12, RIM - 6, RIM + 12, HEIGHT - RIM + 6, WIDTH - RIM, HEIGHT - RIM + 6), fill="#444444")
    draw.text((WIDTH / 2, 12), title, "#222222", font, anchor="mt")
    draw.text((RIM + 6, RIM), f"{high:.2f}", "#444444", font, anchor="rm")
    draw.text((RIM + 6, HEIGHT - RIM), f"{low:.2f}", "#444444", font, anchor="rm")
    draw.text((WIDTH - RIM, HEIGHT - RIM + 12), f"{steps.max():.0f} steps", "#444444", font, anchor="rt")
    return image


def main(run: Path, target: Path, *names: str) -> None:
    """Write the diagrams of some columns side by side."""
    panels = [panel(*read(run, name), name) for name in names or ("loss",)]
    image = Image.new("RGB", (WIDTH * len(panels), HEIGHT), "white")
    for number, each in enumerate(panels):
        image.paste(each, (WIDTH * number, 0))
    image.quantize(64).save(target, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
