"""The package of docs/plugins.md and the pages beside it works as printed."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segue
from tests.cli.forked import run_alone, run_forked, run_module
from tests.needs import needs

PAGES = sorted((Path(segue.__file__).parents[2] / "docs").glob("plugins*.md"))
pytestmark = pytest.mark.skipif(not PAGES, reason="the docs are not beside the package")

SHOWN = re.compile(r"^`([\w/.]+)`:\n\n(?:<!--.*?-->\n\n)?```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the pages as pip leaves them behind."""
    folder = tmp_path_factory.mktemp("site")
    files = dict(file for page in PAGES for file in SHOWN.findall(page.read_text("utf-8")))
    about = folder / "segue_bright-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: segue-bright\nVersion: 1.0\n")
    points = files.pop("pyproject.toml").partition("[project.entry-points")[2]
    points = re.sub(r'\."([\w.]+)"\]', r"[\1]", points).replace("[project.entry-points[", "[")
    (about / "entry_points.txt").write_text(points.replace('"', ""))
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    for module in ("network", "tracker"):
        made = run_module(f"segue_bright.{module}", folder)
        assert made.returncode == 0, made.stderr
    return folder


@pytest.mark.parametrize(
    ("model", "options", "pixels"),
    [
        ("bright", [], 400),
        ("bright.night", [], 600),
        ("bright", ["--stages", "sky"], 280),
        ("bright", ["--stages", "sky", "--without", "sky"], 400),
    ],
)
def test_the_network_and_the_stage_of_the_page_work_with_the_weights_that_the_page_makes(
    site: Path, tmp_path: Path, model: str, options: list[str], pixels: int
) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[10:30, 20:40], image[10:30, 40:50] = 240, 80
    for t in range(3):
        path = tmp_path / "images" / f"{t:05d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(path)
    out = tmp_path / "out"
    ran = run_forked(
        "foreground", path.parent, "--model", model, *options, "--device", "cpu",
        "--format", "npz", "--output", out, site=site,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    with np.load(next(out.rglob("*.npz"))) as found:
        assert (found["masks"] > 0).sum() == 3 * pixels


def test_the_parts_of_the_page_work_by_their_names(site: Path, tmp_path: Path) -> None:
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 20:40] = 1
    for t in range(3):
        for name, shown in (("images", np.where(mask[..., None], 240, 30).repeat(3, 2)), ("masks", mask)):
            path = tmp_path / "data" / "walk" / name / f"{t:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(shown.astype(np.uint8)).save(path)
    ran = run_forked(
        "track", tmp_path / "data/walk/images", "--auto", "--with", "brightest", "--device", "cpu",
        "--format", "png,areas,runs", "--output", tmp_path / "out", site=site,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    lines = (tmp_path / "out" / "areas.csv").read_text().splitlines()
    assert lines[0] == "0,1,400"
    assert len(lines) == 3
    followed = run_forked(
        "track", tmp_path / "data/walk/images", "--mask", tmp_path / "data/walk/masks/00000.png",
        "--model", "colours", "--device", "cpu", "--format", "areas", "--output", tmp_path / "followed",
        site=site,
    )  # fmt: skip
    assert followed.returncode == 0, followed.stderr
    areas = [int(line.split(",")[2]) for line in (tmp_path / "followed/areas.csv").read_text().splitlines()]
    assert areas[0] == 400
    assert min(areas) > 200
    checked = run_forked("data", "check", tmp_path / "data", "--kind", "outlines", site=site)
    assert checked.returncode == 0, checked.stderr
    assert "walk\t3\t3" in checked.stdout
    scored = run_forked(
        "eval", "outlines", tmp_path / "out", "--data", tmp_path / "data", "--metric", "area-error", site=site
    )
    assert scored.returncode == 0, scored.stderr
    assert scored.stdout.splitlines()[1].split("\t")[-1] == "area-error"
    image = tmp_path / "data/walk/images/00000.png"
    assert run_alone("brightness", image, site=site).stdout == "400\n"
    assert run_alone("brightness", image, "--limit", 241, site=site).stdout == "0\n"
    assert run_alone("brightness", image, "--limit", 256, site=site).returncode == 2


def test_the_receiver_of_the_page_gets_the_events_of_a_run(site: Path, tmp_path: Path) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    for t in range(12):
        shown = image.copy()
        shown[10:30, 2 * t : 2 * t + 20] = 240
        path = tmp_path / "images" / f"{t:05d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(shown).save(path)
    (tmp_path / "spool").mkdir()
    ran = run_forked(
        "foreground", path.parent, "--model", "bright", "--device", "cpu", "--passes", "1", "--objects",
        "--events", tmp_path / "events.json", "--notify", f"spool:{tmp_path / 'spool'} event=enter",
        "--format", "npz", "--output", tmp_path / "out", site=site,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found = [json.loads(path.read_text()) for path in (tmp_path / "spool").iterdir()]
    table = [row for row in json.loads((tmp_path / "events.json").read_text()) if row["event"] == "enter"]
    assert [{name: row[name] for name in row if name != "id"} for row in found] == table != []


ON_THE_PAGE = """
import asyncio, sys
from pathlib import Path
from types import SimpleNamespace
from segue_web.annotate import AnnotateBackend
from segue_web.exports import export_job, import_endings
from segue_web.snapshot import snapshot
from segue_web.video import Video

images, file, out = map(Path, sys.argv[1:])
video = Video(images)
page = AnnotateBackend(video, out / "project")
assert ".runs" in import_endings()
about = asyncio.run(page._hello())
assert {"runs"} <= {one["id"] for one in about["formats"] if one["group"] == "Data sets"}
assert ".runs" in about["imports"]
preview = asyncio.run(page.import_file("mine.runs", file))
assert [one["text"] for one in preview["objects"]] == ["adds frames 0 to 2"], preview
page._import(preview["upload"], {one["number"]: None for one in preview["objects"]})
job = export_job(SimpleNamespace(video=video), snapshot(page.project, video), "runs", out / "again.runs")
assert len([*job]) == 3
page.close()
assert (out / "again.runs").read_text() == file.read_text()
"""


def test_the_format_of_the_page_works_in_runs_imports_conversions_and_on_the_page(
    site: Path, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 20:40] = 1
    for t in range(3):
        Image.fromarray(np.where(mask[..., None], 240, 30).repeat(3, 2).astype(np.uint8)).save(
            images / f"{t:05d}.png"
        )
    ran = run_forked(
        "track", images, "--auto", "--with", "brightest", "--device", "cpu", "--model", "colours",
        "--format", "runs", "--format", "coco", "--output", tmp_path / "out", site=site,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    file = tmp_path / "out" / "objects.runs"
    assert len(file.read_text().splitlines()) == 3
    script = tmp_path / "on_the_page.py"
    script.write_text(ON_THE_PAGE)
    done = subprocess.run(
        [sys.executable, str(script), str(images), str(file), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    back = tmp_path / "back.json"
    converted = run_forked("data", "convert", file, back, "--video", images, site=site)
    assert converted.returncode == 0, converted.stderr
    again = run_forked(
        "data", "convert", back, tmp_path / "back.runs", "--format", "runs", "--video", images, site=site
    )
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "back.runs").read_text() == file.read_text()
    file.write_text("0\t1\tcat\tno run lengths\n")
    damaged = run_forked("data", "convert", file, tmp_path / "x.json", "--video", images, site=site)
    assert damaged.returncode == 2
    assert "run lengths" in damaged.stderr


def test_the_recipe_of_the_page_is_imported_without_a_warning_and_has_the_options_of_a_run(
    site: Path,
) -> None:
    needs("lightning_fabric")

    def import_recipe() -> None:
        warnings.simplefilter("error")
        importlib.import_module("segue_bright.recipe")

    ran = run_forked("train", "bright", "--help", site=site, before=import_recipe)
    assert not ran.returncode, ran.stderr
    assert not ran.stderr
    assert {"--steps", "--smooth", "--rate", "--out", "--resume", "--validate"} <= {
        *re.findall(r"--[a-z]+", ran.stdout)
    }


@pytest.mark.parametrize(
    ("name", "most"),
    [("network", 40), ("detector", 13), ("sink", 12), ("data", 12), ("format", 13), ("receiver", 12)],
)
def test_a_plug_in_stays_small(site: Path, name: str, most: int) -> None:
    """Lines of code of the class or function and what it calls, without imports and the entry."""
    text = (site / "segue_bright" / f"{name}.py").read_text()
    body = re.split(r"^[A-Z]+ = ", text, flags=re.MULTILINE)[0]
    lines = [line for line in body.splitlines() if line.strip() and not line.strip().startswith('"""')]
    assert len([line for line in lines if not line.startswith(("from ", "import "))]) <= most


def test_a_format_is_at_most_40_lines(site: Path) -> None:
    lines = (site / "segue_bright" / "format.py").read_text().splitlines()
    assert len([line for line in lines if line.strip()]) <= 40
