"""Still images of COCO whose licence allows what you want, and a list of their addresses.

Example::

    python tools/coco_licences.py instances_val2017.json --stills stills --out out/free --list images.csv

An annotation file of COCO names the licence of each image: 4 is CC BY, 5 CC BY-SA, 7 "no known copyright
restrictions", 8 a work of the United States government; 1, 2 and 3 forbid commercial use, 6 changes. Stills
lie in ``images`` and ``masks``; their names end in the number of the image, as ``coco_000000000139``.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

PRODUCTS = (4, 7, 8)
"""Licences that allow products and ask for no more than the author's name."""


def main(words: Sequence[str] | None = None) -> None:
    """Copy the stills and write the list."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("annotations", nargs="+", type=Path, help="annotation files of COCO (JSON)")
    parser.add_argument("--stills", type=Path, required=True, help="folder with images/ and masks/")
    parser.add_argument("--licences", type=int, nargs="+", default=PRODUCTS, help="numbers as in COCO")
    parser.add_argument("--out", type=Path, required=True, help="folder for the copies")
    parser.add_argument("--list", type=Path, required=True, help="CSV file: number, licence, address")
    arguments = parser.parse_args(words)
    described = allowed(arguments.annotations, arguments.licences)
    stills = [path for path in sorted(arguments.stills.glob("images/*")) if number_of(path) in described]
    for image in stills:
        mask = arguments.stills / "masks" / f"{image.stem}.png"
        for path in (image, mask):
            target = arguments.out / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    with arguments.list.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("coco_id", "licence", "flickr_url"))
        for number in sorted({number_of(path) for path in stills}):
            writer.writerow((number, described[number]["license"], described[number]["flickr_url"]))
    print(f"{arguments.out}: {len(stills)} stills")


def number_of(path: Path) -> int:
    """The number that COCO gives an image, which ends its name; -1 where there is none."""
    digits = path.stem.rpartition("_")[2]
    return int(digits) if digits.isdecimal() else -1


def allowed(files: Iterable[Path], licences: Iterable[int]) -> dict[int, dict[str, Any]]:
    """What annotation files say of the images with one of these licences, by their numbers."""
    wanted = {*licences}
    images = [image for path in files for image in json.loads(path.read_text(encoding="utf-8"))["images"]]
    return {int(image["id"]): image for image in images if image["license"] in wanted}


if __name__ == "__main__":
    main()
