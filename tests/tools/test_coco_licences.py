"""Stills of COCO are chosen by the licence that the annotation file names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.coco_licences import main


def test_only_stills_whose_licence_allows_it_are_copied_and_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [{"id": n, "license": n % 9, "flickr_url": f"http://flickr/{n}"} for n in (1, 4, 5, 7, 13)]
    (tmp_path / "instances.json").write_text(json.dumps({"images": images}))
    for name in ("images", "masks"):
        (tmp_path / "stills" / name).mkdir(parents=True)
    for number in (1, 4, 5, 7):
        (tmp_path / f"stills/images/coco_{number:012}.jpg").write_bytes(b"image")
        (tmp_path / f"stills/masks/coco_{number:012}.png").write_bytes(b"mask")
    (tmp_path / "stills/images/drawn.jpg").write_bytes(b"not of COCO")
    words = ("instances.json", "--stills", "stills", "--out", "free", "--list", "free.csv")
    monkeypatch.chdir(tmp_path)
    main(words)
    copies = sorted(str(path.relative_to(tmp_path / "free")) for path in (tmp_path / "free").rglob("*.*"))
    assert copies == [
        "images/coco_000000000004.jpg",
        "images/coco_000000000007.jpg",
        "masks/coco_000000000004.png",
        "masks/coco_000000000007.png",
    ]
    assert (tmp_path / "free.csv").read_text().splitlines() == [
        "coco_id,licence,flickr_url",
        "4,4,http://flickr/4",
        "7,7,http://flickr/7",
    ]
