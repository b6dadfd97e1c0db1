"""``segue reproduce`` on a video of five frames."""

from __future__ import annotations

import errno
import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from PIL import Image

from segue.batch.work import JobConfig
from segue.cli.run import run_videos
from segue.masks import read_index_mask, write_index_mask
from segue.models.detection.classes import COCO_NAMES
from segue.models.hofam import HOFAM
from segue.models.mustan import MUSTAN2
from segue.weights import write_checkpoint
from segue_papers import TABLES, rows
from segue_papers import command as reproduce
from segue_papers.attention import deformation_of
from tests.cli.running import FRAMES, MASKS, Command, Outcome
from tests.lite import lively_instances
from tests.needs import needs
from tests.segue_train.instance_sets import save_ytvis
from tests.segue_train.scenes import save_composites, save_scene


@pytest.fixture(autouse=True)
def _nothing_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    for part in ("JPEGImages", "Annotations"):
        (tmp_path / "davis" / part / "one").mkdir(parents=True)
    for t in range(5):
        Image.fromarray(FRAMES[t]).save(tmp_path / "davis" / "JPEGImages" / "one" / f"{t:05d}.png")
        write_index_mask(tmp_path / "davis" / "Annotations" / "one" / f"{t:05d}.png", MASKS[t])
    return tmp_path / "davis"


@pytest.fixture
def something(tmp_path: Path) -> Path:
    """Video 13 in the layout of Something-Else, with one box that stands still."""
    (tmp_path / "se" / "videos" / "13").mkdir(parents=True)
    frames = []
    for t in range(5):
        name = f"13/{t + 1:04d}.jpg"
        Image.fromarray(FRAMES[t]).save(tmp_path / "se" / "videos" / name)
        label = {"box2d": {"x1": 8, "y1": 8.5, "x2": 40, "y2": 40.5}, "category": "cup"}
        frames.append({"name": name, "labels": [label]})
    (tmp_path / "se" / "annotations.json").write_text(json.dumps({"13": frames}))
    return tmp_path / "se"


def table(outcome: Outcome) -> list[list[str]]:
    """Cells of the table that a command printed, below its title."""
    assert outcome.code == 0, outcome.err
    return [line.split("\t") for line in outcome.out.splitlines()[1:]]


SMALL = ("--workers", 1, "--run", "--device cpu", "-q")


def test_all_tables_are_listed_with_what_runs_here(command: Command, davis: Path, tmp_path: Path) -> None:
    needs("tensorboard")
    rows = [line.split("\t") for line in command("reproduce").out.splitlines()]
    assert rows[0] == ["table", "what", "data", "rows that run"]
    assert len(rows) == 1 + len(TABLES)
    assert ["stm davis-2016", "Table 2: DAVIS 2016 val", "davis", "0 of 1"] in rows
    (row,) = command("reproduce", "stm", "davis-2016", "--list").out.splitlines()[1:]
    here, lacks = "no row, with --data davis=FOLDER", "STM: `segue weights get stm`"
    assert row.split("\t") == ["stm davis-2016", "Table 2: DAVIS 2016 val", "davis", "stm", here, lacks]
    (tmp_path / "stm.pth").touch()
    given = ("--data", f"davis={davis}", "--data", f"cdnet={tmp_path}", "--weights", "stm=stm.pth")
    outcome = command("reproduce", "--list", *given)
    count = {row[0]: row[3] for row in (line.split("\t") for line in outcome.out.splitlines())}
    assert (count["stm davis-2016"], count["stm youtube-vos"]) == ("1 of 1", "0 of 2")
    assert (count["mustan cdnet-unseen"], count["mustan ablation"]) == ("0 of 6", "0 of 19")
    here = {}
    for paper in ("stm", "mustan"):
        listed = command("reproduce", paper, "--list", *given).out.splitlines()
        here |= {row[0]: row[4] for row in (line.split("\t") for line in listed)}
    assert here["stm davis-2016"] == f"STM, on {davis}"
    assert here["stm youtube-vos"] == "STM, with --data ytvos=FOLDER"
    assert here["mustan cdnet-unseen"].startswith("nothing: ")
    assert here["mustan ablation"] == "no row, with --data sbi=FOLDER"
    (row,) = command("reproduce", "mustan", "sbi2015", "--list").out.splitlines()[1:]
    assert row.split("\t")[4] == "mustan-lite, mustan-lite, as shipped, with --data sbi=FOLDER"
    lacking = row.split("\t")[5]
    assert "MUSTAN2, CDnet: CDnet2014 is not there: http://changedetection.net; give --data cdnet=" in lacking
    assert "`segue train mustan2 --data=cdnet=FOLDER --init FILE --out" in lacking
    outcome = command("reproduce", "stm", "davis-2017", "--list", "--model", "stcn-lite")
    assert outcome.out.splitlines()[1].split("\t")[4] == "STM, with --data davis=FOLDER"


def test_commands_of_a_table_are_printed_and_not_run(command: Command, davis: Path, tmp_path: Path) -> None:
    order = ("reproduce", "stm", "davis-2016", "davis-2017", "--commands", "--data", f"davis={davis}")
    lines = command(*order, "--model", "stcn-lite", "-o", tmp_path / "tables").out.splitlines()
    assert [line.startswith("# stm davis-201") for line in lines] == [True, False, True, False]
    assert lines[1].startswith(f"segue run davis {davis} --year 2016 ")
    assert lines[3].startswith(f"segue run davis {davis} ")
    assert "--year" not in lines[3]
    lines = command(*order).out.splitlines()
    assert lines[1] == "# STM: needs `segue weights get stm`"
    for paper, table in (("stm", "davis-2016"), ("hofam", "limu")):  # remarks of a table are no needs
        lines = command("reproduce", paper, table, "--commands").out.splitlines()[1:]
        needs_data = r"# .+: needs \S+ .*is not there: \S+ give --data \w+=FOLDER"
        assert all(re.fullmatch(needs_data, line) for line in lines)
    assert not (tmp_path / "tables").exists()


@pytest.mark.usefixtures("workers_here")
def test_the_printed_command_of_a_row_prints_what_the_paper_published(
    command: Command, davis: Path, tmp_path: Path
) -> None:
    order = ("reproduce", "stm", "davis-2017", "--data", f"davis={davis}", "--model", "stcn-lite", *SMALL)
    lines = command(*order, "-o", "out", "--commands").out.splitlines()[1:]
    (line,) = (line for line in lines if not line.startswith("#"))
    again = command(*shlex.split(line)[1:], "--workers", 1, "-q")
    assert again.code == 0, again.err
    published = again.out.splitlines()[-1]
    assert published.startswith("published: stm davis-2017, STM: ")
    (of_paper,) = (one for one in TABLES if (one.paper, one.name) == ("stm", "davis-2017"))
    (row,) = (row for row in of_paper.rows if row.name == "STM")
    for value in row.published.values():
        assert f"{value:.1f}" in published


def test_rows_that_cannot_run_are_listed_with_what_they_lack(
    command: Command, davis: Path, tmp_path: Path
) -> None:
    def listed(*given: object) -> list[str]:
        (row,) = command("reproduce", "stcn-report", "davis", "--list", *given).out.splitlines()[1:]
        return row.split("\t")[4:]

    (tmp_path / "stcn.safetensors").touch()
    here, lacks = listed("--data", f"davis={davis}", "--weights", "stcn=stcn.safetensors")
    assert "ground truth" in here
    assert "PointRend" not in here
    assert "PointRend: `segue weights get pointrend`" in lacks
    assert "DeepLabV3: --weights deeplab=FILE" in lacks
    here, lacks = listed("--data", f"davis={tmp_path / 'none'}", "--weights", "stcn=none.pth")
    assert here == f"nothing: no folder {tmp_path / 'none'}"
    assert "none.pth, which is no file" in lacks


@pytest.mark.usefixtures("workers_here")
def test_which_frames_are_memory_makes_a_difference_and_a_image(
    command: Command, davis: Path, tmp_path: Path
) -> None:
    order = ("reproduce", "stm", "memory", "--data", f"davis={davis}", "--model", "stcn-lite", *SMALL)
    order += ("--row", "first frame only", "--row", "previous frame only", "-o", "out", "--json", "out.json")
    outcome = command(*order)
    rows = {row[0]: row[1:] for row in table(outcome)}
    assert list(rows) == ["", "first frame only", "previous frame only"]
    assert all(float(rows[name][0]) > 50 for name in list(rows)[1:])
    assert "note: none of the 30 videos of val" in outcome.err
    assert "run with stcn-lite instead of stm" in outcome.err
    (found,) = json.loads((tmp_path / "out.json").read_text())["tables"]
    assert [row["scores"]["global"]["J-Mean"] > 0.5 for row in found["rows"]] == [True, True]
    assert found["rows"][0]["frames/s, network"] > found["rows"][0]["frames/s"] > 0
    assert rows[""][3:5] == ["s/frame", "s/frame, network"]
    assert len(found["percentiles"]["first frame only"]) == 11
    text = (tmp_path / "out/memory/percentiles.svg").read_text()
    assert "previous frame only" in text
    assert "which frames are memory (stcn-lite, 1 videos)" in text
    one, other = (
        tmp_path / "out/memory" / name / "one/masks" for name in ("first-frame-only", "previous-frame-only")
    )
    masks = [[(folder / f"{t:05d}.png").read_bytes() for t in range(5)] for folder in (one, other)]
    assert masks[0][:2] == masks[1][:2]  # the previous frame is the first one
    assert masks[0] != masks[1]
    assert "there is a batch already" in command(*order).complaint
    again = command(*order, "--resume")
    assert {row[0]: row[1:3] for row in table(again)[1:]} == {
        name: row[:2] for name, row in rows.items() if name
    }


@pytest.mark.usefixtures("workers_here")
def test_frames_with_and_without_intermediate_memory_stand_one_above_the_other(
    command: Command, davis: Path, tmp_path: Path
) -> None:
    order = ("reproduce", "stm", "intermediate", "--data", f"davis={davis}", "--model", "stcn-lite", *SMALL)
    outcome = command(*order, "--run", "every-5-frames=--mem-every 1", "-o", "out")
    assert [row[0] for row in table(outcome)] == ["", "first and previous", "every 5 frames"]
    assert "frames on which rows differ most: out/intermediate/strips" in outcome.err
    image = np.array(Image.open(tmp_path / "out/intermediate/strips/one.png"))
    height, width = FRAMES.shape[1:3]
    panel = round(height * 320 / width)
    assert (image.shape[0], image.shape[1] % 324) == (3 * panel, 0)
    assert image[:panel].any()


@pytest.mark.usefixtures("workers_here")
@pytest.mark.parametrize(
    ("name", "measure", "asked"),
    [
        ("davis-2016", "J&F-Mean", ["--year", "2016"]),
        ("davis-2016", "J&F-Mean", ["--sequence", "two", "--year", "2016"]),
        ("davis-2017", "J&F-Mean", []),
    ],
)
def test_a_printed_command_gives_the_numbers_of_its_row(
    command: Command, davis: Path, tmp_path: Path, name: str, measure: str, asked: list[str]
) -> None:
    if "--sequence" in asked:  # a part: the objects of the other one are empty after the first frame
        for part in ("JPEGImages", "Annotations"):
            shutil.copytree(davis / part / "one", davis / part / "two")
        for path in sorted((davis / "Annotations" / "two").iterdir())[2:]:
            write_index_mask(path, np.zeros_like(MASKS[0]))
    order = ("reproduce", "stm", name, "--data", f"davis={davis}", "--model", "stcn-lite", *SMALL)
    outcome = command(*order, *asked[: len(asked) - 2], "-o", "out", "--json", "out.json")
    assert outcome.code == 0, outcome.err
    (done,) = json.loads((tmp_path / "out.json").read_text())["tables"]
    (line,) = re.findall(r"segue (run davis .*)", outcome.err)
    words = shlex.split(line)
    assert words[3 : 3 + len(asked)] == asked
    again = command(*words[: words.index("-o")], "-o", "again", "--json", "again.json", "--workers", 1, "-q")
    assert again.code == 0, again.err
    scores = json.loads((tmp_path / "again.json").read_text())
    assert scores["global"] == done["rows"][0]["scores"]["global"]
    assert scores["global"][measure] > 0.3


@pytest.mark.usefixtures("workers_here")
def test_first_frames_come_from_a_source(
    command: Command, davis: Path, something: Path, tmp_path: Path
) -> None:
    rows = ("--row", "ground truth", "--row", "boxes, filled", "--row", "PointRend")
    order = ("reproduce", "stcn-report", "davis", "--data", f"davis={davis}", "--model", "stcn-lite", *SMALL)
    outcome = command(*order, *rows, "--sequence", "one", "-o", "out")
    assert "note: of the data set only one" in outcome.err
    found = {row[0]: row[1:] for row in table(outcome)}
    assert float(found["ground truth"][0]) > float(found["boxes, filled"][0]) > 20
    assert found["ground truth"][5:] == ["85.3", "82.0", "88.6", "16.9"]
    assert found["PointRend"] == ["", "", "", "", "", "71.1", "68.6", "73.6", "14.9"]
    printed = command(*order, *rows, "--sequence", "one", "-o", "again", "--commands").out.splitlines()
    (line,) = (line for line in printed if "'boxes, filled'" in line)
    again = command(*shlex.split(line)[1:], "--workers", 1, "-q")
    assert {row[0]: row[1:4] for row in table(again)}["boxes, filled"] == found["boxes, filled"][:3]
    assert "note: PointRend: `segue weights get pointrend`" in outcome.err


@pytest.mark.usefixtures("workers_here")
def test_boxes_of_people_are_followed_and_scored_as_boxes(
    command: Command, something: Path, tmp_path: Path
) -> None:
    order = ("reproduce", "stcn-report", "something", "--data", f"something={something}", *SMALL)
    outcome = command(*order, "--model", "stcn-lite", "--row", "ground truth", "-o", "out")
    found = {row[0]: row[1:] for row in table(outcome)}
    assert float(found["ground truth"][0]) > 50
    assert found["ground truth"][5:] == ["41.4", "53.0", "29.8", "19.3"]
    mask = read_index_mask(tmp_path / "out/something/ground-truth/13/masks/0001.png")
    assert mask[9:40, 8:40].all()
    assert mask.sum() < 34 * 34


def test_invalid_requests_are_reported_on_one_line(command: Command, davis: Path, tmp_path: Path) -> None:
    for arguments, words in (
        (("xmem",), "no tables of 'xmem' are known; choose from stm"),
        (("stm", "table-9"), "stm has no table 'table-9'"),
        (("stm", "--data", "davis"), "--data davis: give NAME=PATH"),
        (("stm", "--weights", "davis=x"), "--weights davis: nothing has this name"),
        (("stm", "--row", "every frame"), "--row every frame: nothing has this name here; choose from STM"),
        (("stm", "davis-2017", "--data", f"davis={tmp_path / 'none'}", "--model", "stcn-lite"), "no folder"),
        (("mustan", "--run", "stcn=--fast"), "--run stcn: nothing has this name"),
        (("stm", "--run", "--device 'cpu"), "--run --device 'cpu: No closing quotation"),
    ):
        assert words in command("reproduce", *arguments, "-o", "out").complaint


@pytest.fixture
def cdnet(tmp_path: Path) -> Path:
    """Two videos of CDnet2014, of different folds: a square moves to the right."""
    for name in ("highway", "office"):
        video = tmp_path / "cdnet" / "baseline" / name
        for part in ("input", "groundtruth"):
            (video / part).mkdir(parents=True)
        for t in range(4):
            image = np.full((48, 64), 60, np.uint8)
            image[10:30, 8 * t : 8 * t + 20] = 255
            Image.fromarray(image).convert("RGB").save(video / "input" / f"in{t + 1:06d}.jpg")
            truth = Image.fromarray(np.where(image == 255, image, 0))
            truth.save(video / "groundtruth" / f"gt{t + 1:06d}.png")
        Image.new("L", (64, 48), 255).save(video / "ROI.bmp")
        (video / "temporalROI.txt").write_text("1 4")
    return tmp_path / "cdnet"


TINY = "--width 0.05 --size 32x32 --batch 2 --steps 1 --workers 0 --device cpu"


@pytest.mark.slow
@pytest.mark.usefixtures("workers_here")
def test_rows_are_trained_by_printed_commands_and_run_what_they_have_not_seen(
    command: Command, cdnet: Path, tmp_path: Path
) -> None:
    needs("tensorboard")
    order = ("reproduce", "mustan", "cdnet-unseen", "--data", f"cdnet={cdnet}", *SMALL, "-o", "out")
    order += ("--row", "mustan2-cdnet", "--row", "mustan2-cdnet-isd")
    outcome = command(*order)
    assert not any(row[1] for row in table(outcome)[1:])
    assert "note: MUSTAN2, CDnet + ISD: " in outcome.err
    found = re.findall(r"`(segue train [^`]*)` \(FILE is a ResNet-18 of ImageNet\)", outcome.err)
    own = [shlex.split(text)[1:] for text in found if "isd" not in text]
    assert [words[words.index("--fold") + 1] for words in own] == ["2", "3"]
    for words in own:
        at = words.index("--init")
        ended = command(*words[:at], *words[at + 2 :], *shlex.split(TINY))
        assert ended.code == 0, ended.err
    outcome = command(*order)
    rows = {row[0]: row[1:] for row in table(outcome)}
    assert len(rows["MUSTAN2, CDnet"][0]) == len("0.0000")
    assert not any(rows["MUSTAN2, CDnet + ISD"])
    results = tmp_path / "out/cdnet-unseen/mustan2-cdnet/baseline"
    assert all(len(list((results / name).rglob("bin*.png"))) == 4 for name in ("highway", "office"))
    again = command(*order, "--resume")
    assert ["MUSTAN2, CDnet", *rows["MUSTAN2, CDnet"][:2]] in [row[:3] for row in table(again)]
    assert "segue reproduce mustan cdnet-unseen --row 'MUSTAN2, CDnet' --data cdnet=" in again.err


@pytest.mark.usefixtures("workers_here")
def test_an_error_in_a_row_ends_only_that_row(command: Command, tmp_path: Path) -> None:
    needs("tensorboard")
    save_scene(tmp_path / "sbi", "", "HighwayI", frames=4)
    write_checkpoint(tmp_path / "hofam.safetensors", HOFAM(1).state_dict(), {"options": "{}"})
    order = (
        "reproduce",
        "mustan",
        "sbi2015",
        "--data",
        "sbi=sbi",
        "--data",
        "cdnet=sbi",
        "--data",
        "isd=sbi",
    )
    order += (*SMALL, "-o", "out", "--json", "out.json")
    order += ("--run", "mustan-lite=--without rain --short-side 32")
    order += ("--weights", "mustan1-cdnet-isd=hofam.safetensors")
    for row in ("mustan1-cdnet-isd", "fgsegnet-v2-25-frames", "mustan-lite"):
        order += ("--row", row)
    outcome = command(*order)
    assert outcome.code == 1
    rows = {line.split("\t")[0]: line.split("\t")[1] for line in outcome.out.splitlines()[2:]}
    assert [name for name, f in rows.items() if f] == ["mustan-lite"]
    assert set(rows) == {"MUSTAN1, CDnet + ISD", "FgSegNet_v2, 25 frames", "mustan-lite"}
    assert "note: FgSegNet_v2, 25 frames: `segue train fgsegnet --frames 25" in outcome.err
    assert "note: MUSTAN1, CDnet + ISD: ended: hofam.safetensors: holds weights of hofam" in outcome.err
    found = {row["name"]: row for row in json.loads((tmp_path / "out.json").read_text())["tables"][0]["rows"]}
    assert "holds weights of hofam" in found["MUSTAN1, CDnet + ISD"]["ended"]
    assert found["mustan-lite"]["options"][-6:-2] == ["--without", "rain", "--short-side", "32"]
    assert len(found["FgSegNet_v2, 25 frames"]["lacks"]) == 1


@pytest.mark.usefixtures("workers_here")
def test_finished_rows_are_told_when_the_table_is_interrupted(
    command: Command, davis: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = ("reproduce", "stm", "memory", "--data", f"davis={davis}", "--model", "stcn-lite", *SMALL)
    order += ("--row", "first frame only", "--row", "previous frame only", "-o", "out", "--json", "out.json")
    done: list[str] = []

    def interrupted(request: Any, running: JobConfig, template: Any, videos: Any) -> int:
        if done:
            raise typer.Exit(130)
        done.append(running.output)
        return run_videos(request, running, template, videos)

    monkeypatch.setattr(reproduce, "FACE", replace(reproduce.FACE, run_videos=interrupted))
    outcome = command(*order)
    assert outcome.code == 130
    assert [line.split("\t")[0] for line in outcome.out.splitlines()[1:]] == ["", "first frame only"]
    assert len(json.loads((tmp_path / "out.json").read_text())["tables"][0]["rows"]) == 1


@pytest.mark.usefixtures("workers_here")
def test_a_disk_that_is_full_at_the_end_costs_no_row(
    command: Command, davis: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rows, "write_report", full)
    monkeypatch.setattr(rows, "write_percentiles", full)
    order = ("reproduce", "stm", "memory", "--data", f"davis={davis}", "--model", "stcn-lite", *SMALL)
    outcome = command(*order, "--row", "first frame only", "-o", "out")
    assert outcome.code == 0, outcome.err
    assert float(table(outcome)[1][1]) > 50
    assert "note: no page of scores: [Errno 28] No space left on device" in outcome.err
    assert "note: no curve: [Errno 28] No space left on device" in outcome.err


@pytest.mark.usefixtures("workers_here")
def test_a_row_takes_weights_instead_of_a_training(command: Command, cdnet: Path, tmp_path: Path) -> None:
    network = MUSTAN2(width=0.05)
    write_checkpoint(tmp_path / "mustan2.safetensors", network.state_dict(), {"options": '{"width": 0.05}'})
    order = ("reproduce", "mustan", "ablation-unseen", "--data", f"cdnet={cdnet}", *SMALL, "-o", "out")
    order += ("--row", "mustan2-isd-only", "--weights", "mustan2-isd-only=mustan2.safetensors")
    assert len(table(command(*order))[1][1]) == len("0.0000")
    assert not (tmp_path / "out/weights").exists()


@pytest.mark.usefixtures("workers_here")
def test_composites_are_run_by_given_weights(command: Command, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = HOFAM(1)
    write_checkpoint(
        tmp_path / "w.safetensors", network.state_dict(), {"options": json.dumps(network.options)}
    )
    order = ("reproduce", "hofam", "hofam", "--data", f"hofam={save_composites(tmp_path / 'demo')}", *SMALL)
    outcome = command(*order, "--weights", "hofam=w.safetensors", "--row", "HOFAM", "-o", "out")
    header, row = table(outcome)
    assert header[1:5] == ["Mean Dice", "recall", "precision", "F"]
    assert all(0 <= float(value) <= 1 for value in row[1:5])
    assert row[-4:] == ["0.9466", "0.9661", "0.9893", "0.9776"]


@pytest.mark.usefixtures("workers_here")
# pycocotools 2.0 calls numpy in ways that numpy 2 deprecates.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_instances_are_scored_where_they_are_annotated(command: Command, tmp_path: Path) -> None:
    root = save_ytvis(tmp_path / "vis", COCO_NAMES, length=2)
    write_checkpoint(tmp_path / "w.safetensors", lively_instances().state_dict(), {})
    order = ("reproduce", "ms-sts", "ytvis-2019", "--data", f"ytvis={root}", "--model", "msstsvis-lite")
    order += ("--weights", "msstsvis-lite=w.safetensors", "--row", "MS-STS, R50", "--workers", 1, "-q")
    order += ("--run", "--short-side 48 --device cpu", "-o", "out")
    outcome = command(*order, "--set", "train")
    assert [len(value) > 0 for value in table(outcome)[1][1:6]] == [True] * 5
    assert table(outcome)[1][7:] == ["50.1", "73.2", "56.6", "46.1", "57.7"]
    assert "run with msstsvis-lite instead of msstsvis-r50" in outcome.err
    labelled = json.loads((root / "train.json").read_text())
    (root / "train.json").write_text(json.dumps(labelled | {"annotations": None}))
    outcome = command(*order, "--set", "train", "--resume")
    assert not any(table(outcome)[1][1:6])
    file = "out/ytvis-2019/ms-sts-r50.zip"
    assert f"not public; https://youtube-vos.org/dataset/vis/ scores {file}" in outcome.err


def test_attention_of_encoders_is_drawn_below_the_frames(command: Command, tmp_path: Path) -> None:
    data = save_ytvis(tmp_path / "vis", COCO_NAMES, length=6)
    write_checkpoint(tmp_path / "instances.safetensors", lively_instances().state_dict(), {})
    order = ("reproduce", "ms-sts", "attention", "--data", f"ytvis={data}", "--model", "msstsvis-lite")
    order += ("--weights", "msstsvis-lite=instances.safetensors", "--row", "MS-STS, R50", *SMALL)
    outcome = command(*order, "-o", "out")
    assert outcome.code == 0, outcome.err
    assert "scale variation: video v" in outcome.err
    images = sorted((tmp_path / "out/attention").glob("*.png"))
    assert [path.stem for path in images] == ["aspect-ratio-change", "scale-variation"]
    with Image.open(images[0]) as image:
        assert (image.width / 320, image.height % 2) == (5, 0)
    outcome = command(*order, "--sequence", "v2", "-o", "named")
    assert [path.name for path in (tmp_path / "named/attention").glob("*.png")] == ["v2.png"]
    (line,) = command(*order, "-o", "out", "--commands").out.splitlines()[1:]
    assert line.startswith("segue reproduce ms-sts attention --row 'MS-STS, R50' --data ytvis=")


def test_how_much_an_object_changes_its_look_is_measured_of_its_masks() -> None:
    masks = np.zeros((5, 20, 20), bool)
    masks[0, 5:10, 5:10] = masks[1, 5:10, 5:15] = masks[4, 0:5, 5:10] = True  # away on two frames
    assert deformation_of(masks) == pytest.approx(
        {
            "scale variation": 2.0,
            "aspect ratio change": 2.0,
            "partial visibility": 2 / 9,
            "occlusion": 2.0,
        }
    )
    assert deformation_of(masks[2:]) == {}


def test_every_row_of_every_table_prints_a_command_or_says_why_it_has_none(
    command: Command, davis: Path
) -> None:
    """Without data, and with one data set and a network that needs no weights."""
    for given in ((), ("--data", f"davis={davis}", "--model", "stcn-lite")):
        lines = command("reproduce", "--commands", *given).out.splitlines()
        titles = {f"# {table.paper} {table.name}. {table.title}" for table in TABLES}
        assert titles <= set(lines)
        rows = [line for line in lines if line not in titles]
        assert len(rows) == sum(len(table.rows) for table in TABLES)
        for line in rows:
            if line.startswith("# "):
                reason = line.rpartition(": ")[2]
                assert len(reason) > len("needs ")
            else:
                words = shlex.split(line)
                assert words[:2] in (["segue", "run"], ["segue", "reproduce"])
                assert words[-2] == "-o"
    printed = [line for line in rows if not line.startswith("# ")]
    tables = [table for table in TABLES if table.dataset == "davis"]
    sources = sum(1 for table in tables for row in table.runnable if "LOST" in row.name)
    assert len(printed) >= sum(len(table.runnable) for table in tables) - sources - 4
