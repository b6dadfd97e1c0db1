"""How many small faults in segue its tests notice: mutation testing with mutmut, on samples.

mutmut (extra ``mutate``; it needs Linux or macOS) makes the mutants of a function, each with one small
change, and runs those tests of a package that call it. All mutants of all packages would take days; a
random sample with a fixed seed takes minutes and gives the share that is noticed to a few percent. The
working folder keeps what was found out: a run that was interrupted goes on, and a second sample tests only
what the first one did not.

Example::

    python -m tools.mutate masks store --sample 40 --seed 1
    python -m tools.mutate masks --sample 40 --seed 1 --retry    # the survivors again, after adding tests
    python -m tools.mutate masks --sample 40 --seed 1 --near     # at least so many, in a tenth of the time
"""

from __future__ import annotations

import argparse
import ast
import filecmp
import json
import math
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.mutate_packages import PACKAGES, Package, module_of

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("src", "tests", "benchmarks", "docs", "tools")
"""Folders that tests read; files beside them are copied too."""

BATCH = 1000
"""Mutants that one call of mutmut names; a system bounds the length of a command line."""


CONFIGURATION = """
[tool.mutmut]
source_paths = ["src"]
only_mutate = {sources}
also_copy = {copied}
pytest_add_cli_args = ["-p", "no:cacheprovider"]
pytest_add_cli_args_test_selection = {tests}
process_isolation = "forkserver"
timeout_multiplier = 1.5
timeout_constant = 30.0
track_dependencies = false
use_git_change_detection = false
on_dependency_change = "ignore"
"""

GENERATE = """
from pathlib import Path
from mutmut import __main__ as mutmut
Path("mutants").mkdir(exist_ok=True)
mutmut.copy_src_dir()
mutmut.copy_also_copy_files()
mutmut.create_mutants(1)
"""

WAIT = 20
"""How many times longer than mutmut would a mutant is waited for, by the clock of the wall."""

RUN = f"""
from mutmut.workers import isolation
register = isolation.register_timeout
isolation.register_timeout = lambda process, seconds: register(process, {WAIT} * seconds)
from mutmut.__main__ import cli
cli()
"""
"""The program of mutmut. It ends a mutant for what it computes, three times what the tests took and 90 s; a
busy machine makes no test fail. The clock of the wall is there for mutants that wait for ever."""

SITE = """
import os
if os.environ.get("MUTANT_UNDER_TEST") == "stats":
    os.environ["MUTANT_UNDER_TEST"] = ""
"""
"""For processes that tests start: mutmut notes no calls there, and fails if it tries."""

KILLED_BY = {1: "killed", 2: "killed", 3: "killed", 0: "survived", 5: "no tests", 33: "no tests"}
"""What exit codes of pytest say; 2 is a mutant that fails while tests are collected, 33 is mutmut's own."""

TIMEOUTS = frozenset({-27, -24, -9, 24, 36, 152, 255})
"""What mutmut and :mod:`tools.mutant_tests` note for a mutant that used up its time."""


@dataclass(frozen=True)
class Score:
    """What became of the mutants of one package.

    Attributes:
        killed: a test failed.
        timeouts: the tests did not end; that is noticed too.
        survivors: names of those that no test noticed.
        untested: names of those whose function no test calls; they survive too.
        open: how many have not been run.
    """

    killed: int
    timeouts: int
    survivors: tuple[str, ...]
    untested: tuple[str, ...]
    open: int = 0

    @property
    def total(self) -> int:
        """All that were run."""
        return self.killed + self.timeouts + len(self.survivors) + len(self.untested)

    @property
    def percent(self) -> float:
        """Share that was noticed, 0 to 100; nan where nothing was run."""
        return 100 * (self.killed + self.timeouts) / self.total if self.total else math.nan


def score(names: Iterable[str], exits: Mapping[str, int | None]) -> Score:
    """Count mutants by their exit codes; one that has none, or is not there, is open."""
    found: dict[str, list[str]] = {}
    for name in names:
        code = exits.get(name)
        verdict = "open" if code is None else KILLED_BY.get(code, "killed")
        found.setdefault("timeout" if code in TIMEOUTS else verdict, []).append(name)
    count = {verdict: len(each) for verdict, each in found.items()}
    return Score(
        count.get("killed", 0),
        count.get("timeout", 0),
        tuple(found.get("survived", ())),
        tuple(found.get("no tests", ())),
        count.get("open", 0),
    )


def table(scores: Mapping[str, Score]) -> str:
    """A table in Markdown, one row a package, and the sum."""
    rows = ["| package | mutants | killed | timeouts | survived | no tests | killed, % |"]
    rows.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    parts = list(scores.values())
    whole = Score(
        sum(part.killed for part in parts),
        sum(part.timeouts for part in parts),
        tuple(name for part in parts for name in part.survivors),
        tuple(name for part in parts for name in part.untested),
        sum(part.open for part in parts),
    )
    for name, part in [*scores.items(), ("all", whole)]:
        numbers = (part.total, part.killed, part.timeouts, len(part.survivors), len(part.untested))
        rows.append(f"| {name} | {' | '.join(map(str, numbers))} | {part.percent:.1f} |")
    return "\n".join(rows)


def sample(names: Iterable[str], size: int, seed: int) -> list[str]:
    """A random choice of mutants, the same for the same names and seed; all where ``size`` is 0."""
    ordered = sorted(names)
    if not size or size >= len(ordered):
        return ordered
    return sorted(random.Random(seed).sample(ordered, size))


class Meaning(ast.NodeTransformer):
    """Takes out of a function what no test has to hold.

    These are texts; what an error says; assertions (``assert``, ``strict=`` of zip) and casts, which are
    there for readers and type checkers; log messages; and where or how fast a tensor is made, and how text is
    encoded, which one machine cannot tell apart.
    """

    IGNORED_KEYWORDS = frozenset({"device", "encoding", "memory_format", "non_blocking", "strict"})
    LOG_METHODS = frozenset({"debug", "info", "warn", "warning"})

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant("") if isinstance(node.value, str) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.Constant("")

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        raised = node.exc
        while isinstance(raised, ast.Call):
            raised = raised.func
        return ast.Raise(exc=raised, cause=None)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        return ast.Pass()

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        called = node.value.func if isinstance(node.value, ast.Call) else None
        if isinstance(called, ast.Attribute) and called.attr in self.LOG_METHODS:
            return ast.Pass()
        return self.generic_visit(node)

    @staticmethod
    def _is_device(node: ast.expr) -> bool:
        """``x.device``, and None, which ``Tensor.to`` takes for the device that a tensor is on."""
        if isinstance(node, ast.Attribute):
            return node.attr == "device"
        return isinstance(node, ast.Constant) and node.value is None

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id == "cast":
            return ast.Call(node.func, [self.visit(word) for word in node.args[1:]], [])
        kept = [word for word in node.keywords if word.arg not in self.IGNORED_KEYWORDS]
        given = node.args
        if isinstance(node.func, ast.Attribute) and node.func.attr == "to":
            given = [one for one in given if not self._is_device(one)]
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("encode", "decode"):
            given = [one for one in given if not (isinstance(one, ast.Constant) and one.value == "utf-8")]
        return self.generic_visit(ast.Call(node.func, given, kept))


def meaning(function: ast.AST) -> str:
    """What tests have to hold of a function, as text that can be compared."""
    return "\n".join(ast.dump(Meaning().visit(part)) for part in ast.iter_child_nodes(function))


def meaningful(mutated: str, names: Iterable[str]) -> list[str]:
    """Of mutants those that differ from the original in more than :class:`Meaning` takes out.

    Args:
        mutated: text of a file as mutmut writes it, with all mutants and the originals.
        names: full names of mutants, module and function.
    """
    functions = {
        node.name: node
        for node in ast.walk(ast.parse(mutated))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    originals: dict[str, str] = {}
    kept = []
    for name in names:
        own = name.rpartition(".")[2]
        original = f"{own.partition('__mutmut_')[0]}__mutmut_orig"
        if original not in originals:
            originals[original] = meaning(functions[original])
        if meaning(functions[own]) != originals[original]:
            kept.append(name)
    return kept


class Workplace:
    """A copy of the repository in which mutmut works on one package.

    Args:
        folder: where it lies; made and brought up to date here.
        package: what is changed in it.
    """

    def __init__(self, folder: Path, package: Package) -> None:
        self.folder, self.package = folder, package
        self.mutants = folder / "mutants"
        copy_repository(ROOT, folder)
        lists = {"sources": package.sources, "tests": package.selection, "copied": self._copied()}
        words = {name: json.dumps(list(value)) for name, value in lists.items()}
        settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        text = settings + CONFIGURATION.format(**words)
        (folder / "pyproject.toml").write_text(text, encoding="utf-8")
        (folder / "site").mkdir(exist_ok=True)
        (folder / "site" / "sitecustomize.py").write_text(SITE, encoding="utf-8")

    def _copied(self) -> list[str]:
        beside = sorted(path.name for path in self.folder.iterdir() if path.is_file())
        return [name for name in COPIED if name != "src"] + beside

    def generate(self) -> list[str]:
        """Make the mutants; names of the meaningful ones."""
        shutil.rmtree(self.mutants / "tests", ignore_errors=True)
        self._python(GENERATE)
        names: list[str] = []
        for path in self._sources():
            mutated = (self.mutants / path).read_text(encoding="utf-8")
            names += meaningful(mutated, self._exits(path))
        return names

    def run(self, names: Sequence[str], children: int) -> None:
        """Run the tests on mutants; mutmut notes each result at once."""
        for start in range(0, len(names), BATCH):
            self._python(RUN, "run", "--max-children", str(children), *names[start : start + BATCH])

    def run_near(self, names: Sequence[str]) -> None:
        """Run the near tests on mutants; each result is noted at once."""
        if not names:
            return
        noted = self.near_exits()
        sources = {module_of(path): path for path in self._sources()}
        tests = {module: self.package.near(path, self.folder) for module, path in sources.items()}
        work = [[name, tests[name.rpartition(".")[0]]] for name in names]
        said = json.dumps({"arguments": self.package.choice, "mutants": work})
        program = ROOT / "tools" / "mutant_tests.py"
        with subprocess.Popen(
            [sys.executable, str(program)],
            cwd=self.mutants,
            env=self._environment(),
            text=True,
            encoding="utf-8",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(said)
            process.stdin.close()
            for line in process.stdout:
                name, code = json.loads(line)
                noted[name] = code
                self._note_near(noted)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, process.args)

    def near_exits(self) -> dict[str, int | None]:
        """The exit codes of all mutants of which the near tests were run."""
        note = self.folder / "near.json"
        return json.loads(note.read_text(encoding="utf-8")) if note.exists() else {}

    def _note_near(self, exits: Mapping[str, int | None]) -> None:
        (self.folder / "near.json").write_text(json.dumps(exits), encoding="utf-8")

    def exits(self) -> dict[str, int | None]:
        """The exit codes of all mutants that were run, None for the others."""
        return {name: code for path in self._sources() for name, code in self._exits(path).items()}

    def show(self, name: str) -> str:
        """What a mutant changes, as a diff."""
        return self._python(RUN, "show", name, capture=True)

    def _sources(self) -> list[Path]:
        found = [path for pattern in self.package.sources for path in sorted(self.folder.glob(pattern))]
        return [path.relative_to(self.folder) for path in found]

    def _exits(self, path: Path) -> dict[str, int | None]:
        note = self.mutants / f"{path}.meta"
        if not note.exists():  # nothing in the file can be changed
            return {}
        exits: dict[str, int | None] = json.loads(note.read_text(encoding="utf-8"))["exit_code_by_key"]
        return exits

    def _environment(self) -> dict[str, str]:
        return {
            "SEGUE_SHARED": str(ROOT.parent / "shared"),
            **os.environ,
            "PYTHONPATH": os.pathsep.join(
                map(str, (self.mutants / "src", self.folder / "site", self.mutants))
            ),
            "OMP_NUM_THREADS": "1",  # a process with running threads cannot be forked safely
            "PY_IGNORE_IMPORTMISMATCH": "1",
        }

    def _python(self, code: str, *words: str, capture: bool = False) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            cwd=self.folder,
            env=self._environment(),
            check=True,
            text=True,
            encoding="utf-8",
            stdout=subprocess.PIPE if capture else sys.stderr,
        )
        return done.stdout or ""


def copy_repository(source: Path, target: Path) -> None:
    """Bring a copy of what tests read up to date; files that are the same stay as they are."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=source,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    wanted = {Path(name) for name in listed if "/" not in name or name.split("/")[0] in COPIED}
    wanted = {path for path in wanted if (source / path).is_file()}
    for path in wanted:
        if (target / path).is_file() and filecmp.cmp(source / path, target / path, shallow=False):
            continue
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, target / path)
        if path.suffix != ".py":
            (target / "mutants" / path).unlink(missing_ok=True)  # mutmut copies it once
    for folder in COPIED:
        for old in (target / folder).rglob("*"):
            if old.is_file() and "__pycache__" not in old.parts and old.relative_to(target) not in wanted:
                old.unlink()


def measure(
    name: str, folder: Path, size: int, seed: int, *, retry: bool, near: bool, children: int
) -> Score:
    """Run a sample of the mutants of a package, those that have no result yet, and count all of it."""
    place = Workplace(folder / name, PACKAGES[name])
    chosen = sample(place.generate(), size, seed)
    exits = place.near_exits if near else place.exits
    before = exits()
    again = score(chosen, before)
    left = {one for one in chosen if before.get(one) is None}
    if retry:
        left |= {*again.survivors, *again.untested}
    if near:
        place.run_near(sorted(left))
    else:
        place.run(sorted(left), children)
    result = score(chosen, exits())
    for survivor in (*result.survivors, *result.untested):
        print(place.show(survivor))
    return result


def main(words: Sequence[str] | None = None) -> int:
    """Measure packages and print the survivors and a table; 1 where fewer are killed than is asked for."""
    plain, known = argparse.RawDescriptionHelpFormatter, ", ".join(PACKAGES)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help=f"of {known}; default all")
    parser.add_argument("--sample", type=int, default=30, help="mutants of each; 0 for all (default 30)")
    parser.add_argument("--seed", type=int, default=1, help="which sample (default 1)")
    parser.add_argument("--retry", action="store_true", help="run those again that survived before")
    parser.add_argument(
        "--near", action="store_true", help="only tests whose files import what the changed file defines"
    )
    parser.add_argument("--children", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "mutate", help="where to work")
    parser.add_argument("--at-least", type=float, default=85.0, help="percent killed (default 85)")
    options = parser.parse_args(words)
    if unknown := set(options.packages) - PACKAGES.keys():
        parser.error(f"no package {', '.join(sorted(unknown))}; there are {known}")
    scores = {
        name: measure(
            name,
            options.folder.resolve(),
            options.sample,
            options.seed,
            retry=options.retry,
            near=options.near,
            children=options.children,
        )
        for name in options.packages or PACKAGES
    }
    print(table(scores))
    if left := sum(part.open for part in scores.values()):
        print(f"{left} mutants have no result; run this again")
    return int(any(part.open or not part.percent >= options.at_least for part in scores.values()))


if __name__ == "__main__":
    sys.exit(main())
