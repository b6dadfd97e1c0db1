"""Mutation testing: which mutants count, which are sampled, and what the table says."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tools import mutant_tests, mutate
from tools.mutate import ROOT, Score, meaningful, sample, score, table
from tools.mutate_packages import PACKAGES, Package

MUTATED = '''
def x_f__mutmut_orig(values, device):
    """Says what it does."""
    assert values, "nothing there"
    log.debug("adding %d", len(values))
    if values[0] < 0:
        raise ValueError(f"{values[0]} is negative, the least is {0 + 1}")
    table = torch.zeros(3, device=device)
    for one, other in zip(values, table, strict=True):
        table = cast("Tensor", one + other)
    name = "π".encode("utf-8", errors="strict")
    return table.to("cpu") + table.to(values.device, torch.half)
'''

ORIGINAL_LINES = {
    "less": ("if values[0] < 0", "if values[0] <= 0"),
    "kept type": ("raise ValueError(f", "raise TypeError(f"),
    "sum": ("one + other)", "one - other)"),
    "number": ("torch.zeros(3", "torch.zeros(4"),
    "none": ("return table.to(", "return None.to("),
    "type": ("values.device, torch.half", "values.device, None"),
}
EQUIVALENT_LINES = {
    "text": ('table.to("cpu")', 'table.to("XXcpuXX")'),
    "message": ("{0 + 1}", "{0 - 1}"),
    "no message": ('f"{values[0]} is negative, the least is {0 + 1}"', "None"),
    "assertion": ("assert values,", "assert not values,"),
    "log": ("log.debug(", "log.debug(None, "),
    "device": ("device=device)", "device=None)"),
    "no device": ("3, device=device)", "3, )"),
    "strict": ("strict=True", "strict=False"),
    "encoding": ('encode("utf-8", ', "encode("),
    "device of another": ("to(values.device, ", "to(None, "),
    "cast": ('cast("Tensor", ', "cast(None, "),
}


def with_mutant(change: tuple[str, str]) -> str:
    """A file as mutmut writes it, with the original and one mutant."""
    assert MUTATED.count(change[0]) == 1
    return MUTATED + MUTATED.replace("__mutmut_orig", "__mutmut_1").replace(*change)


@pytest.mark.parametrize("change", ORIGINAL_LINES.values(), ids=ORIGINAL_LINES.keys())
def test_a_mutant_that_does_something_else_counts(change: tuple[str, str]) -> None:
    assert meaningful(with_mutant(change), ["pkg.x_f__mutmut_1"]) == ["pkg.x_f__mutmut_1"]


@pytest.mark.parametrize("change", EQUIVALENT_LINES.values(), ids=EQUIVALENT_LINES.keys())
def test_texts_messages_assertions_and_devices_do_not_count(change: tuple[str, str]) -> None:
    assert meaningful(with_mutant(change), ["pkg.x_f__mutmut_1"]) == []


def test_a_sample_depends_on_the_names_and_the_seed_alone() -> None:
    names = [f"m.x_f__mutmut_{number}" for number in range(100)]
    chosen = sample(names, 10, 1)
    assert len(set(chosen)) == 10
    assert sample(reversed(names), 10, 1) == chosen
    assert sample(names, 10, 2) != chosen
    assert sample(names, 0, 1) == sample(names, 100, 1) == sorted(names)


def test_timeouts_and_broken_imports_are_noticed_and_what_no_test_calls_is_not() -> None:
    exits = {
        "killed": 1,
        "collecting": 2,
        "crashed": -11,
        "slow": 36,
        "lived": 0,
        "uncalled": 33,
        "open": None,
    }
    found = score(exits, exits)
    assert found == Score(3, 1, ("lived",), ("uncalled",), 1)
    assert found.total == 6
    assert found.percent == pytest.approx(100 * 4 / 6)
    assert math.isnan(score([], {}).percent)


def test_the_table_has_a_row_for_each_package_and_their_sum() -> None:
    scores = {"masks": Score(8, 1, ("a",), ()), "store": Score(5, 0, ("b", "c"), ("d",))}
    assert table(scores).splitlines()[2:] == [
        "| masks | 10 | 8 | 1 | 1 | 0 | 90.0 |",
        "| store | 8 | 5 | 0 | 2 | 1 | 62.5 |",
        "| all | 18 | 13 | 1 | 3 | 1 | 77.8 |",
    ]


def test_every_package_has_sources_and_tests() -> None:
    for name, package in PACKAGES.items():
        assert all(list(ROOT.glob(pattern)) for pattern in package.sources), name
        for path in (*package.tests, *package.left_out, *itertools.chain(*package.through.values())):
            file, _, test = path.partition("::")
            assert (ROOT / file).exists(), path
            assert f"def {test}" in (ROOT / file).read_text(encoding="utf-8") if test else True, path


def test_what_is_left_out_is_ignored_or_deselected() -> None:
    left_out = ("tests/a/test_b.py", "tests/a/test_c.py::test_d")
    package = Package(("a.py",), ("tests/a",), left_out, keyword="not slow")
    assert package.selection == [
        "tests/a",
        "--ignore=tests/a/test_b.py",
        "--deselect=tests/a/test_c.py::test_d",
        "-k=not slow",
    ]


def test_near_tests_import_the_module_or_what_it_defines(tmp_path: Path) -> None:
    files = {
        "src/pkg/part.py": "def found(): ...\nclass Kept: ...\n",
        "src/pkg/other.py": "def wanted(): ...\n",
        "tests/test_a.py": "from pkg import Kept",
        "tests/test_b.py": "from pkg.part import hidden",
        "tests/test_c.py": "from pkg import Keptother, unfound",
        "tests/test_d.py": "found()",
        "tests/deep/test_e.py": "from pkg import found",
        "tests/making.py": "from pkg import found",
        "alone/test_f.py": "import pkg as other\nother.found(1).more",
        "alone/test_g.py": "import pkg\npkg.found()",
        "tests/test_h.py": "# found: pkg.found\ndef test_found(): 'found in pkg.part'",
        "tests/test_i.py": "from elsewhere import found, pkg\nfound()\npkg.found()\nself.found()",
        "tests/test_j.py": "import pkg\nimport pkg.parting\npkg.unfound(pkg.sub.other)",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    package = Package(("src/pkg/*.py",), ("tests", "alone/test_f.py"), ("tests/test_d.py",))
    near = package.near(Path("src/pkg/part.py"), tmp_path)
    assert near[0] == "tests/test_b.py"
    assert set(near[1:]) == {"tests/test_a.py", "tests/deep/test_e.py", "alone/test_f.py"}
    through = replace(package, through={"part.py": ("tests/test_c.py", "tests/test_b.py")})
    assert through.near(Path("src/pkg/part.py"), tmp_path) == [*near, "tests/test_c.py"]
    every = package.near(Path("src/pkg/other.py"), tmp_path)
    others = {f"tests/test_{letter}.py" for letter in "chij"}
    assert set(every) == {*near, *others}, "all where none is near"


TESTS_OF_MUTANTS = """
import os, threading
def test_first():
    assert os.environ["MUTANT_UNDER_TEST"] != "wrong"
def test_second():
    while os.environ["MUTANT_UNDER_TEST"] == "endless":
        pass
    if os.environ["MUTANT_UNDER_TEST"] == "waits":
        threading.Event().wait()
"""


def test_each_mutant_has_a_process_and_what_fails_without_one_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS_OF_MUTANTS)
    (tmp_path / "test_broken.py").write_text("def test_never(): assert False")
    program = Path(mutant_tests.__file__).read_text(encoding="utf-8")
    assert "CPU_SECONDS = 60.0\n" in program
    hurried = program.replace("CPU_SECONDS = 60.0", "CPU_SECONDS = 0.5")
    (tmp_path / "program.py").write_text(hurried)
    assert "WALL_SECONDS = 900.0\n" in program
    (tmp_path / "waiting.py").write_text(hurried.replace("WALL_SECONDS = 900.0", "WALL_SECONDS = 0.5"))

    def told(*mutants: tuple[str, str], program: str = "program.py") -> tuple[list[list[object]], str]:
        done = subprocess.run(
            [sys.executable, program],
            cwd=tmp_path,
            input=json.dumps(
                {
                    "arguments": ["-p", "no:hypothesispytest"],
                    "mutants": [(one, [file]) for one, file in mutants],
                }
            ),
            capture_output=True,
            text=True,
            check=False,
        )
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    names = ("none", "wrong", "endless")
    found, _ = told(*((name, "test_it.py") for name in names))
    assert found == [["none", 0], ["wrong", 1], ["endless", -27]]
    exits = {str(name): int(str(code)) for name, code in found}
    assert score(exits, exits) == Score(1, 1, ("none",), ())
    found, _ = told(("waits", "test_it.py"), program="waiting.py")
    assert found == [["waits", None]], "a busy machine is no verdict"
    assert score(["waits"], {"waits": None}).open == 1
    found, errors = told(("none", "test_it.py"), ("wrong", "test_broken.py"))
    assert found == [["none", 0]]
    assert "test_broken.py::test_never fails without a mutant too" in errors


def test_a_copy_follows_the_repository_and_leaves_alone_what_is_the_same(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for name in ("pyproject.toml", "src/pkg/a.py", "src/pkg/b.py", "tests/test_a.py", "other/c.py"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    subprocess.run(["git", "init", "--quiet", str(source)], check=True)
    (source / ".gitignore").write_text("b.py\n")
    mutate.copy_repository(source, target)
    assert not (target / "other").exists(), "no test reads it"
    assert not (target / "src/pkg/b.py").exists(), "git ignores it"
    before = (target / "src/pkg/a.py").stat().st_mtime_ns
    (source / "tests/test_a.py").unlink()
    (source / "pyproject.toml").write_text("changed")
    mutate.copy_repository(source, target)
    assert (target / "src/pkg/a.py").stat().st_mtime_ns == before
    assert not (target / "tests/test_a.py").exists()
    assert (target / "pyproject.toml").read_text() == "changed"


def test_an_unknown_package_is_refused_before_anything_runs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        mutate.main(["msaks"])
    assert "no package msaks; there are sessions, memory, masks" in capsys.readouterr().err


@pytest.mark.slow
def test_mutants_are_made_run_and_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("mutmut")
    package = Package(("src/segue/masks/measure.py",), ("tests/masks/test_drawing.py",))
    monkeypatch.setitem(PACKAGES, "tiny", package)
    words = ["tiny", "--sample", "4", "--seed", "3", "--folder", str(tmp_path), "--at-least", "0"]
    assert mutate.main(words) == 0
    first = capsys.readouterr().out
    assert "| tiny | 4 |" in first
    ran: list[str] = []
    monkeypatch.setattr(mutate.Workplace, "run", lambda place, names, children: ran.extend(names))
    assert mutate.main(words) == 0
    assert ran == [], "all have a result"
    assert capsys.readouterr().out == first
    assert mutate.main([*words, "--near"]) == 0
    assert "| tiny | 4 |" in capsys.readouterr().out
    monkeypatch.setattr(mutate.Workplace, "run_near", lambda place, names: ran.extend(names))
    assert mutate.main([*words, "--near"]) == 0
    assert ran == []
