"""Both pages show times alike: minutes, seconds and hundredths."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra web")

from segue_web import live

SCRIPT = Path(live.__file__).parent / "static" / "clock.js"
NODE = shutil.which("node")


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_times_have_hundredths_and_hours_where_there_are_any() -> None:
    shown = {0: "00:00.00", 4.35: "00:04.35", 59.999: "00:59.99", 61.5: "01:01.50", 3661.04: "1:01:01.04"}
    program = f"import {{ clock }} from {json.dumps(SCRIPT.as_uri())}; {json.dumps([*shown])}.map(clock)"
    program = program.replace("[", "console.log(JSON.stringify([", 1).replace(".map(clock)", ".map(clock)))")
    run = [str(NODE), "--input-type=module", "-e", program]
    assert json.loads(subprocess.run(run, capture_output=True, check=True).stdout) == [*shown.values()]


def test_no_page_has_a_clock_of_its_own() -> None:
    scripts = [path for path in SCRIPT.parent.glob("*.js") if path != SCRIPT]
    assert [path.name for path in scripts if "function clock" in path.read_text(encoding="utf-8")] == []
