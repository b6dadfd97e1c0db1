"""The blocks of the documentation run as printed, by ``tools/run_docs.py``."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "run_docs.py"
pytestmark = pytest.mark.skipif(not TOOL.exists(), reason="the tools are not beside the package")


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_docs", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["run_docs"] = module
    spec.loader.exec_module(module)
    return module


def test_blocks_run_in_clean_folders_with_the_sample_and_failures_are_counted(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nfrom pathlib import Path\nPath('made').write_text('x')\n```\n"
        "text\n\n```bash\ntest ! -e made && test -s my.mp4 && test -s first.png\n```\n\n"
        "<!-- not run: needs a camera -->\n\n```bash\nexit 3\n```\n\n```bash\nexit 4\n```\n"
    )
    assert tool.run_page(page, 2) == 1
    assert capsys.readouterr().out.splitlines() == [
        "page.md:1: ran",
        "page.md:7: ran",
        "page.md:13: not run: needs a camera",
        "page.md:17: FAILED (4): ",
    ]


def test_marks_stand_before_blocks(tool: ModuleType) -> None:
    for page in tool.PAGES:
        text = (ROOT / page).read_text("utf-8")
        marked = [block for block in tool.blocks_of(text) if block.why is not None]
        assert len(marked) == text.count("<!-- not run: "), page


@pytest.mark.slow
def test_the_pages_run_as_printed(tool: ModuleType) -> None:
    assert {page: tool.run_page(ROOT / page) for page in tool.PAGES} == dict.fromkeys(tool.PAGES, 0)
