"""``make test`` names what failed in its first run and passed in the second."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

TESTS = """
from pathlib import Path

def test_waits_too_little():
    first = Path(__file__).with_name("first")
    ran = first.exists()
    first.touch()
    assert ran

def test_passes():
    pass
"""


def test_a_test_that_passes_when_it_is_run_again_is_named_last(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    words = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-o", f"cache_dir={tmp_path / 'cache'}"]

    def run(*options: str) -> tuple[int, list[str]]:
        run = subprocess.run([*words, tmp_path, *options], cwd=ROOT, capture_output=True, text=True)
        return run.returncode, run.stdout.splitlines()

    code, lines = run()
    assert code == 1
    assert not any("FLAKY" in line for line in lines)
    code, lines = run("--last-failed", "--last-failed-no-failures", "none")
    assert code == 0
    assert lines[-2] == "FLAKY test_it.py::test_waits_too_little"
