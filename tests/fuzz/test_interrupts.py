"""Commands are interrupted at random by SIGINT, SIGTERM and SIGKILL, and resume to the files of a whole run.

``SEGUE_FUZZ_INTERRUPTS`` sets the number of trials of each command (default 100), ``SEGUE_FUZZ_SEED`` their
moments, ``SEGUE_FUZZ_COMMANDS`` a part of the names of the commands to try. A table is printed at the end.
The commands run in children of this process, which has PyTorch loaded already.
"""

from __future__ import annotations

import gc
import os
import random
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from segue.cli import main
from segue.jobs import frame_loop
from segue.masks import write_index_mask
from segue.models.mustan_lite import MustanLite
from segue.weights import load_strict, write_checkpoint
from tests.cli.scored import make_davis, make_davis_results
from tests.clips import clip
from tests.needs import needs
from tests.video.making import write_video
from tests.waiting import exit_code

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="forks, and kills by signals"),
]

TRIALS = int(os.environ.get("SEGUE_FUZZ_INTERRUPTS", "100"))
SEED = int(os.environ.get("SEGUE_FUZZ_SEED", "0"))
ONLY = os.environ.get("SEGUE_FUZZ_COMMANDS", "")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
LONGEST_SECONDS = 120.0
"""A command that takes longer hangs."""

AGAIN = 0.3
"""Share of the trials in which the resumed command is interrupted once more."""

RESULTS = frozenset({".png", ".jpg", ".mp4", ".csv", ".npz", ".zip", ".json"})
OWN = frozenset({"job.json", ".segue.json", ".segue.result.json"})
"""Files with times, places and identities of a run."""

FRAMES = 16
FORMATS = tuple(word for name in ("png", "overlay", "coco", "npz") for word in ("--format", name))
OUT = ("-o", "out")


@dataclass(frozen=True)
class Case:
    """A command, without the word that resumes it."""

    words: tuple[str, ...]
    resume: str = "--resume"
    prepare: Callable[[], object] = lambda: None  # in the child, before the command


def small_training() -> None:
    from segue_train.data.foreground import pool as foreground_pool
    from segue_train.recipes import mustan_lite

    foreground_pool.SHARD = 4
    mustan_lite.SAMPLE_SIZE, mustan_lite.MustanLiteRecipe.shown_size = (48, 64), (32, 48)


def foreground(model: str, passes: int, *more: str) -> Case:
    words = ("foreground", "../moving.mp4", "--model", model, "--passes", str(passes), *FORMATS, *OUT, *more)
    return Case(words)


EVENTS = ("--events", "out/events.csv", "--snapshots", "out/snapshots", "--objects")
TRAIN = (
    "train", "mustan-lite", "--data", "../train/videos", "--data", "../train/stills", "--samples", "8",
    "--batch", "2", "--device", "cpu", "--precision", "32-true", "--steps", "6", "--save-every", "1",
    "--start", "../start.safetensors", "--out", "out",
)  # fmt: skip
WORKER = ("--workers", "1")
CASES = {
    "track": Case(("track", "../clip.mp4", "--mask", "../first.png", *FORMATS, *OUT)),
    "foreground median, one pass": foreground("median", 1),
    "foreground median, two passes": foreground("median", 2),
    "foreground median, one pass, events": foreground("median", 1, *EVENTS),
    "foreground median, two passes, events": foreground("median", 2, *EVENTS),
    "foreground mustan-lite, one pass": foreground("mustan-lite", 1),
    "foreground mustan-lite, two passes, events": foreground("mustan-lite", 2, *EVENTS),
    "instances": Case(("instances", "../clip.mp4", "--model", "nanodet+stcn-lite", *FORMATS, *OUT)),
    "batch": Case(("batch", "../videos", "--do", "foreground", "--model", "median", *FORMATS, *OUT, *WORKER)),
    "run": Case(("run", "davis", "../davis", "--model", "stcn-lite", *OUT, *WORKER, "--json", "out.json")),
    "eval": Case(
        ("eval", "davis", "../results", "--data", "../davis", "--json", "out/a.json", "--csv", "out/tables"),
        "",
    ),
    "train": Case(TRAIN, prepare=small_training),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos, a data set and weights, small."""
    root = tmp_path_factory.mktemp("interrupts")
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    images, masks = clip(5, FRAMES, 48, 64, 2)
    write_video(root / "clip.mp4", list(images))
    write_index_mask(root / "first.png", masks[0])
    (root / "videos").mkdir()
    for path, seed in (("moving", 0), ("videos/a", 1), ("videos/b", 2)):
        write_video(root / f"{path}.mp4", moving(seed))
    make_davis(root / "davis")
    make_davis_results(root / "results", {"ant": 1})
    write_checkpoint(root / "start.safetensors", MustanLite().state_dict(), {})
    return root


def moving(seed: int) -> list[np.ndarray[Any, Any]]:
    """A red square comes, crosses a blurred pattern and goes."""
    noise = np.random.default_rng(seed).integers(60, 120, (48, 64, 3), dtype=np.uint8)
    scene = cv2.GaussianBlur(noise, (0, 0), 3)
    images = []
    for time_ in range(40):
        image = scene.copy()
        left = 3 * (time_ - 10)
        image[15:30, max(left, 0) : max(left + 12, 0)] = (220, 40, 30)
        images.append(image)
    return images


def begin(case: Case, folder: Path, *words: str, saves: bool = True) -> int:
    """Start a command in a child process; gives its number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which are idle here
        child = os.fork()
    if child:
        return child
    gc.freeze()  # a decoder of the parent that is freed here waits for its threads, for ever
    code = 1
    try:
        os.setsid()
        os.chdir(folder)
        said = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(said, 1)
        os.dup2(said, 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if saves:  # after every frame
            frame_loop.SAVE_EVERY_SECONDS, frame_loop.SAVE_SHARE = -1.0, 1e9
        case.prepare()
        sys.argv = ["segue", *case.words, *words]
        main()
        code = 0
    except SystemExit as end:
        code = int(str(end.code or 0))
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def whole(case: Case, folder: Path, *words: str) -> int:
    """Exit code of a command that nothing disturbs."""
    child = begin(case, folder, *words)
    code = exit_code(child, LONGEST_SECONDS)
    if code is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return 124
    return code


def results(folder: Path) -> dict[str, Any]:
    """All results below a folder; weights as their sums."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if ".segue-batch" in name or "logs/" in name or not path.is_file() or path.name in OWN:
            continue
        if path.suffix in RESULTS:
            found[name] = path.read_bytes()
        elif path.name == "mustan-lite.safetensors":
            network = MustanLite()
            load_strict(network, path)
            found[name] = tuple(float(tensor.double().sum()) for tensor in network.state_dict().values())
    return found


def tried(
    case: Case, folder: Path, number: int, seconds: float, expected: dict[str, Any], rng: random.Random
) -> str:
    """What is wrong after a command was interrupted and resumed; empty if nothing is."""
    words: tuple[str, ...] = ()
    for _ in range(1 + (rng.random() < AGAIN)):
        child = begin(case, folder, *words, saves=rng.random() < 0.7)
        code = exit_code(child, rng.uniform(0, 1.05 * seconds))
        if code is None:
            with suppress(ProcessLookupError):
                os.kill(child, number)
            code = exit_code(child, LONGEST_SECONDS)
        if code is None:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "it does not end"
        if code not in (0, 130, -number, 128 + number) and "nothing to resume" not in said(folder):
            return f"interrupted, it ended with {code}: {said(folder)[-300:]}"
        words = (case.resume,) if case.resume else ()
    code = whole(case, folder, *words)
    if code == 2 and "nothing to resume" in said(folder):  # it came before there was anything
        code = whole(case, folder)
    if code:
        return f"resumed, it ended with {code}: {said(folder)[-300:]}"
    if "Traceback" in said(folder):
        return f"a traceback: {said(folder)[-600:]}"
    found = results(folder)
    if found.keys() != expected.keys():
        return f"other files: {sorted(found.keys() ^ expected.keys())}"
    if different := [name for name in found if found[name] != expected[name]]:
        return f"other content: {different}"
    left = [path.name for path in folder.rglob("*") if path.name.endswith((".partial", ".safetensors"))]
    left = [name for name in left if name.startswith(".segue")] + [n for n in left if n.endswith(".partial")]
    return f"left behind: {left}" if left else ""


def said(folder: Path) -> str:
    path = folder / "said.txt"
    return path.read_text("utf-8", "replace") if path.exists() else ""


@pytest.fixture(scope="module")
def table() -> Iterator[Counter[tuple[str, str, str]]]:
    """Trials by command, signal and outcome, printed when all are done."""
    counts: Counter[tuple[str, str, str]] = Counter()
    yield counts
    lines = ["", "| command | signal | trials | identical | wrong |", "| --- | --- | --- | --- | --- |"]
    for name, sent in dict.fromkeys((name, sent) for name, sent, _ in counts):
        same, wrong = counts[name, sent, "identical"], counts[name, sent, "wrong"]
        lines.append(f"| {name} | {sent} | {same + wrong} | {same} | {wrong} |")
    print("\n".join(lines), flush=True)


@pytest.mark.parametrize("name", CASES)
def test_interrupted_commands_resume_to_identical_results(
    name: str, world: Path, table: Counter[tuple[str, str, str]]
) -> None:
    if ONLY not in name:
        pytest.skip(f"SEGUE_FUZZ_COMMANDS asks for {ONLY!r}")
    if name == "train":
        needs("lightning_fabric")
        from tests.segue_train.making import write_all

        write_all(world / "train")
    case, rng = CASES[name], random.Random(f"{SEED} {name}")
    folder = world / "trial"
    faults = []
    for place in ("first", "whole"):  # the first one loads what the others find
        (world / place).mkdir(exist_ok=True)
        begun = time.monotonic()
        assert whole(case, world / place) == 0, said(world / place)
        seconds = time.monotonic() - begun
    expected = results(world / "whole")
    assert expected
    assert results(world / "first") == expected
    for place in ("first", "whole"):
        shutil.rmtree(world / place)
    for trial in range(TRIALS):
        number = SIGNALS[trial % len(SIGNALS)]
        folder.mkdir()
        wrong = tried(case, folder, number, seconds, expected, rng)
        table[name, signal.Signals(number).name, "wrong" if wrong else "identical"] += 1
        if wrong:
            faults.append(f"trial {trial}, {signal.Signals(number).name}: {wrong}")
            print(f"{name}: {faults[-1]}", flush=True)
        shutil.rmtree(folder)
    assert not faults, "\n".join(faults)
