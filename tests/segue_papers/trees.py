"""Small data sets in all layouts of the tables, made by code."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from segue.masks import write_index_mask
from segue.models.detection.classes import COCO_NAMES
from tests.cli.running import FRAMES, MASKS
from tests.datasets.foreground_videos import save
from tests.segue_train.instance_sets import save_coco, save_ytvis
from tests.segue_train.scenes import save_composites, save_scene

LENGTH = 5


def davis(root: Path) -> Path:
    """Two sequences of DAVIS val with two objects each."""
    for name in ("bmx-trees", "soapbox"):
        for part in ("JPEGImages", "Annotations"):
            (root / part / "480p" / name).mkdir(parents=True)
        for t in range(LENGTH):
            Image.fromarray(FRAMES[t]).save(root / "JPEGImages" / "480p" / name / f"{t:05d}.jpg")
            write_index_mask(root / "Annotations" / "480p" / name / f"{t:05d}.png", MASKS[t])
    return root


def ytvos(root: Path) -> Path:
    """A video of the part ``valid`` of YouTube-VOS: its first frame is annotated, every second is asked."""
    asked = [f"{t:05d}" for t in range(0, LENGTH, 2)]
    for part, names in (("valid", asked), ("valid_all_frames", [f"{t:05d}" for t in range(LENGTH)])):
        (root / part / "JPEGImages" / "clip").mkdir(parents=True)
        for name in names:
            Image.fromarray(FRAMES[int(name)]).save(root / part / "JPEGImages" / "clip" / f"{name}.jpg")
    (root / "valid" / "Annotations" / "clip").mkdir(parents=True)
    write_index_mask(root / "valid" / "Annotations" / "clip" / "00000.png", MASKS[0])
    objects = {str(number): {"category": "dog", "frames": asked} for number in (1, 2)}
    (root / "valid" / "meta.json").write_text(json.dumps({"videos": {"clip": {"objects": objects}}}))
    return root


def something(root: Path) -> Path:
    """A video in the layout of Something-Else, with one box that stands still."""
    (root / "videos" / "13").mkdir(parents=True)
    frames = []
    for t in range(LENGTH):
        name = f"13/{t + 1:04d}.jpg"
        Image.fromarray(FRAMES[t]).save(root / "videos" / name)
        label = {"box2d": {"x1": 8, "y1": 8.5, "x2": 40, "y2": 40.5}, "category": "cup"}
        frames.append({"name": name, "labels": [label]})
    (root / "annotations.json").write_text(json.dumps({"13": frames}))
    return root


def cdnet(root: Path) -> Path:
    """Two videos of CDnet2014, of different folds."""
    for name in ("highway", "office"):
        save_scene(root, "baseline", name, frames=LENGTH)
    return root


def sbi(root: Path) -> Path:
    """A video of SBI2015."""
    save_scene(root, "", "HighwayI", frames=LENGTH)
    return root


def limu(root: Path) -> Path:
    """A video of LIMU."""
    save_scene(root, "", "LightSwitch", frames=LENGTH)
    return root


def lasiesta(root: Path) -> Path:
    """A video of LASIESTA: what moves is red."""
    scene = save_scene(root.with_name("scene"), "", "video", frames=LENGTH)
    for t in range(1, LENGTH + 1):
        with Image.open(scene / "input" / f"in{t:06d}.jpg") as image:
            save(root / "I_SI_01" / f"I_SI_01-{t}.bmp", np.asarray(image))
        with Image.open(scene / "groundtruth" / f"gt{t:06d}.png") as labels:
            found = np.asarray(labels) == 255
        colours = np.zeros((*found.shape, 3), np.uint8)
        colours[found] = (255, 0, 0)
        save(root / "I_SI_01-GT" / f"I_SI_01-GT_{t}.png", colours)
    shutil.rmtree(scene.parent)
    return root


def isd(root: Path) -> Path:
    """Rendered clips by layout: one to learn from, one of a still and one of a moving camera for scores."""
    clips = {
        "train/a": ("static", "day", 10),
        "test/b": ("static", "day", 20),
        "test/c": ("pan", "night", 40),
    }
    for place, (camera, light, tilt) in clips.items():
        split, name = place.split("/")
        folder = save_scene(root / split, "", name, frames=9)
        for t in range(1, 10):
            depth = np.full((48, 64), 1000 + 100 * t, np.uint16)
            for part in ("depth", "normal"):
                (folder / part).mkdir(exist_ok=True)
            facing = np.full((48, 64, 3), (128, 128, 1), np.uint8)
            Image.fromarray(facing).save(folder / "normal" / f"n{t:06d}.png")
            Image.fromarray(depth).save(folder / "depth" / f"d{t:06d}.png")
        meta = {"name": name, "template": "office", "camera": camera, "light": light, "tags": []}
        down, ahead = math.sin(math.radians(tilt)), math.cos(math.radians(tilt))
        pose = [[1, 0, 0, 0], [0, -down, -ahead, 0], [0, ahead, -down, 2]]
        meta |= {"fps": 25, "frames": 9, "cameras": [{"K": [], "pose": pose}] * 9}
        (folder / "meta.json").write_text(json.dumps(meta))
    lines = [f"{place.split('/')[1]},{place.split('/')[0]}" for place in clips]
    (root / "index.csv").write_text("\n".join(["scene_id,split", *lines]) + "\n")
    return root


def hofam(root: Path) -> Path:
    """Composite images of HOFAM."""
    return save_composites(root)


def coco(root: Path) -> Path:
    """Images of COCO."""
    return save_coco(root, {1: "person", 2: "bicycle"})


def ytvis(root: Path) -> Path:
    """Videos of the part ``valid`` of YouTube-VIS, whose annotations are kept, and of ``train``."""
    save_ytvis(root, COCO_NAMES, length=2)
    save_ytvis(root, COCO_NAMES, length=2, split="valid")
    labelled = json.loads((root / "valid.json").read_text())
    (root / "valid.json").write_text(json.dumps(labelled | {"annotations": None}))
    return root
