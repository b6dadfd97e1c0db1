"""Scripts without a guard: one worker runs in their process, several are refused in one sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from segue.masks import write_index_mask
from segue.video.sources.images import write_image
from tests.cli.forked import run_program
from tests.cli.running import FRAMES, MASKS

SCRIPT = """
import os
import segue
from segue.errors import SegueError
from segue.metrics import evaluate_davis

try:
    segue.run("davis", "DAVIS", output="two", model="stcn-lite", device="cpu", workers=2)
except SegueError as error:
    print(error)
done = segue.run("davis", "DAVIS", output="one", model="stcn-lite", device="cpu", workers=1)
print(done.failed, done.evaluation.overall["J&F-Mean"] > 0.5)
try:
    evaluate_davis(done.results, "DAVIS", workers=4)
except SegueError as error:
    print(error)
"""


def davis(root: Path) -> None:
    for name in ("one", "two"):
        for part in ("JPEGImages", "Annotations"):
            (root / part / "480p" / name).mkdir(parents=True)
        for t in range(3):
            write_image(root / "JPEGImages" / "480p" / name / f"{t:05d}.jpg", FRAMES[t])
            write_index_mask(root / "Annotations" / "480p" / name / f"{t:05d}.png", MASKS[t])


def run(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(text)
    command = [sys.executable, "script.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_one_worker_needs_no_guard_and_several_show_it(tmp_path: Path) -> None:
    davis(tmp_path / "DAVIS")
    (tmp_path / "script.py").write_text(SCRIPT)
    ran = run_program(tmp_path / "script.py", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    two, one, four = ran.stdout.splitlines()
    assert two.startswith("workers=2 starts processes, which import the script again: put")
    assert '`if __name__ == "__main__":`' in two
    assert one == "0 True"
    assert four.startswith("workers=4 starts processes")
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "two" / "one").exists()


def test_a_call_above_the_guard_ends_without_a_traceback_of_the_processes(tmp_path: Path) -> None:
    ran = run(
        tmp_path,
        "from segue.errors import SegueError\n"
        "from segue.metrics.evaluation import map_sequences\n"
        "try:\n"
        "    map_sequences(abs, {'a': 1, 'b': 2}, workers=2)\n"
        "except SegueError as error:\n"
        "    print(error)\n"
        "if __name__ == '__main__':\n"
        "    pass\n",
    )
    assert "died" in ran.stdout
    assert "Traceback" not in ran.stderr
    assert 'below `if __name__ == "__main__":`' in ran.stderr
