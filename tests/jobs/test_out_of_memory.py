"""A run whose memory ends says so in one line, and goes on to the same files when there is enough."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import segue
import segue.state
from segue.errors import OutOfMemoryError, memory_error
from segue.formats import png as mask_folder
from segue.jobs.frame_loop import STATE
from segue.jobs.running import open_job, run_open
from segue.jobs.values import Model
from segue.models.memory.table import MemoryTable
from segue.models.stcn import STCNLite
from segue.sessions.foreground.camera.scene_events import SceneEvents
from tests.cli.running import FRAMES, MASKS, contents
from tests.jobs.test_cancelled import COUNT, backwards, images, track, two_passes  # noqa: F401
from tests.lite import lively_lite


@pytest.fixture(scope="module")
def lite() -> STCNLite:
    return lively_lite()


def failing(target: Callable[..., Any], at: int) -> Callable[..., Any]:
    """A function that runs out of memory at one of its calls."""
    calls = 0

    def call(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            torch.empty(1 << 50)
        return target(*arguments, **named)

    return call


Exhausted = Callable[[Any, str, int], AbstractContextManager[None]]


@pytest.fixture
def exhausted(monkeypatch: pytest.MonkeyPatch) -> Exhausted:
    """Lets a function of a class or module run out of memory at one of its calls, in a block."""

    @contextmanager
    def exhausting(owner: Any, name: str, at: int) -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, failing(getattr(owner, name), at))
            yield

    return exhausting


PLACES = {
    "network": (STCNLite, "encode_query", track),
    "memory": (MemoryTable, "write", track),
    "masks": (mask_folder, "encode_index_mask", track),
    "images": ("segue.video.sources.images", "read_image", track),
    "backwards": (STCNLite, "encode_query", backwards),
    "first pass": (SceneEvents, "update", two_passes),
    "images of the first pass": ("segue.video.sources.images", "read_image", two_passes),
}


@pytest.mark.usefixtures("saved_often")
@pytest.mark.parametrize("place", PLACES)
def test_a_run_whose_memory_ended_goes_on_to_the_same_files(
    place: str,
    images: Path,  # noqa: F811
    tmp_path: Path,
    lite: STCNLite,
    exhausted: Exhausted,
) -> None:
    where, name, make = PLACES[place]

    def run(folder: Path, *, resume: bool) -> None:
        job = make(images, folder, resume)
        if make is not two_passes:
            job = job.model_copy(update={"model": Model.of(lite)})
        run_open(open_job(job))

    run(tmp_path / "whole", resume=False)
    for at in (2, 4) if place in ("network", "first pass") else (3,):
        owner: Any = sys.modules[where] if isinstance(where, str) else where
        needed = pytest.raises(OutOfMemoryError, match=r"needed about \d+ MB more\); .*--resume")
        with exhausted(owner, name, at), needed as found:
            run(tmp_path / f"out{at}", resume=False)
        assert "damaged" not in str(found.value)
        run(tmp_path / f"out{at}", resume=True)
        assert contents(tmp_path / f"out{at}/masks") == contents(tmp_path / "whole/masks")


def test_a_good_state_is_not_called_damaged_because_memory_ends(
    images: Path,  # noqa: F811
    tmp_path: Path,
    lite: STCNLite,
    exhausted: Exhausted,
) -> None:
    def run(*, resume: bool) -> None:
        job = track(images, tmp_path / "out", resume)
        run_open(open_job(job.model_copy(update={"model": Model.of(lite)})))

    with exhausted(STCNLite, "encode_query", 4), pytest.raises(OutOfMemoryError):
        run(resume=False)
    state = tmp_path / "out/masks" / STATE
    assert state.exists()
    saved = state.read_bytes()
    for owner, name in ((segue.state, "safe_open"), (MemoryTable, "restore")):
        with exhausted(owner, name, 1), pytest.raises(OutOfMemoryError):
            run(resume=True)
        assert state.read_bytes() == saved
    run(resume=True)
    assert len(list((tmp_path / "out/masks").glob("*.png"))) == COUNT


def test_results_of_a_function_say_it_too(lite: STCNLite, exhausted: Exhausted) -> None:
    with exhausted(STCNLite, "encode_query", 3):
        results = segue.track(list(FRAMES), MASKS[0], model=lite, device="cpu")
        assert next(results).index == 0
        with pytest.raises(OutOfMemoryError):
            list(results)


LIMITED = """
import io, json, resource, sys
from contextlib import redirect_stderr
from segue.cli import main
import segue, torch, numpy as np
torch.set_num_threads(1)
images = [np.zeros((32, 32, 3), np.uint8)] * 2
segue.foreground(images, device="cpu").save("first", formats=["overlay"])
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + (40 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for words in json.loads(sys.argv[1]):
    sys.argv = ["segue", *words, "--short-side", "2000", "-o", f"out-{words[0]}"]
    with redirect_stderr(io.StringIO()) as said:
        try:
            main()
        except SystemExit as end:
            code = end.code
    print(json.dumps([code, said.getvalue()]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs RLIMIT_AS")
@pytest.mark.parametrize("megabytes", [350, 450])
def test_a_command_that_cannot_even_begin_says_so_in_one_line(megabytes: int) -> None:
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({megabytes << 20},) * 2); "
    words = ["track", "film", "--box", "1,1,9,9"]
    made = subprocess.run(
        [sys.executable, "-c", f"{limited}from segue.__main__ import main; main()", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 2
    assert made.stderr.startswith("error: out of memory")
    assert made.stderr.count("\n") == 1


def test_an_error_without_a_reason_is_short_memory_where_memory_is_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert memory_error(SystemError("error return without exception set")) is None
    monkeypatch.setattr("segue.errors.memory_is_short", lambda: True)
    assert memory_error(SystemError("error return without exception set")) is not None
    assert memory_error(ValueError("x")) is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc and RLIMIT_AS")
def test_a_command_in_little_memory_ends_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "film").mkdir()
    image = np.random.default_rng(0).integers(0, 255, (2000, 3000, 3)).astype(np.uint8)
    for number in range(3):
        Image.fromarray(image).save(tmp_path / f"film/{number}.bmp")
    words = [["track", "film", "--box", "10,10,900,900"], ["foreground", "film", "--passes", "1"]]
    made = subprocess.run(
        [sys.executable, "-c", LIMITED, json.dumps(words)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        check=True,
    )
    ended = [json.loads(line) for line in made.stdout.splitlines() if line.startswith("[")]
    assert [code for code, _ in ended] == [2, 2], ended
    for _, said in ended:
        assert said.startswith("error: out of memory"), said
        assert said.count("\n") == 1, said
