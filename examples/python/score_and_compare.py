"""Run two settings on your own labelled videos, score both, and compare them.

python score_and_compare.py my.mp4

This example uses the masks of a first run as labels. Yours are in JPEGImages/<video> and Annotations/<video>.
"""

import sys
from pathlib import Path

from PIL import Image

import segue
from segue.datasets import DavisFolder
from segue.masks import write_index_mask
from segue.metrics import compare, evaluate_davis, with_metrics
from segue.reports import write_comparison

labels = Path("labels")
for result in segue.track(sys.argv[1], box=(300, 80, 360, 160), short_side=0):
    for kind, suffix in (("JPEGImages", "jpg"), ("Annotations", "png")):
        (labels / kind / "mine").mkdir(parents=True, exist_ok=True)
        path = labels / kind / "mine" / f"{result.index:05d}.{suffix}"
        if suffix == "png":
            write_index_mask(path, result.mask)
        else:
            Image.fromarray(result.image).save(path)

for name, side in (("large", 240), ("small", 120)):
    segue.run("folder", labels, output=name, options={"short_side": side}, workers=1)
scores = [with_metrics(evaluate_davis(name, DavisFolder(labels)), ["dice"]) for name in ("large", "small")]
comparison = compare(*scores, names=("large", "small"))
print(comparison.intervals["J&F-Mean"].mean, comparison.intervals["dice"].mean)
write_comparison(comparison, "compared.html")
