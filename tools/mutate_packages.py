"""The packages of ``tools/mutate.py``: what is changed together, and which tests must notice."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Package:
    """What is changed together, and whose tests must notice.

    Attributes:
        sources: glob patterns of the files, from the root of the repository.
        tests: files and folders of tests; of these, mutmut runs those that call the changed function.
        left_out: files and tests among them that take long and are about something else, such as numbers of a
            paper, or run in other processes, where mutmut does not see which functions they call.
        keyword: as pytest's ``-k``, to the same end; all tests where it is empty.
        through: files of tests that call a source through other modules, which name nothing of it, by the
            name of the source.
    """

    sources: tuple[str, ...]
    tests: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    keyword: str = ""
    through: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def selection(self) -> list[str]:
        """The tests as arguments of pytest."""
        return [
            *self.tests,
            *(f"--ignore={path}" for path in self.left_out if "::" not in path),
            *self.choice,
        ]

    @property
    def choice(self) -> list[str]:
        """Which tests of the files are run, as arguments of pytest."""
        options = [f"--deselect={path}" for path in self.left_out if "::" in path]
        return [*options, *([f"-k={self.keyword}"] if self.keyword else [])]

    def near(self, source: Path, root: Path) -> list[str]:
        """Files of tests that import a file's module or what it defines, or call it through others.

        Names in comments, texts and other modules do not count, for a function may be called ``run``.

        Args:
            source: the file, from the root of the repository.
            root: where that is.

        Returns:
            Paths from the root, all where none is near; those that import the module come first, those that
            call it ``through`` others last.
        """
        module = module_of(source)
        tree = ast.parse((root / source).read_text(encoding="utf-8"))
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        names = {node.name for node in tree.body if isinstance(node, kinds)}
        parts = module.split(".")
        above = [".".join(parts[:length]) for length in range(1, len(parts))]
        wanted = {f"{package}.{name}" for package in above for name in names}
        files = self._files(root)
        used = {path: names_used((root / path).read_text(encoding="utf-8")) for path in files}
        own = {path: any(f"{one}.".startswith(f"{module}.") for one in used[path]) for path in files}
        found = [path for path in files if own[path] or used[path] & wanted]
        found.sort(key=lambda path: not own[path])
        others = [path for path in self.through.get(source.name, ()) if path not in found]
        return [*found, *others] or files

    def _files(self, root: Path) -> list[str]:
        """All files of tests, from the root."""
        found = []
        for place in self.tests:
            inside = sorted((root / place).rglob("test_*.py")) if (root / place).is_dir() else [root / place]
            found += [path.relative_to(root).as_posix() for path in inside]
        return [path for path in found if path not in self.left_out]


SMALL_NETWORKS = "not stm and not stcn"
"""Tests that run with every network run with small ones only, which have no name of a paper."""

NATURAL_CALLS = "tests/api/test_natural_calls.py"
"""Tests of the Python functions, which make jobs and run them."""

EVERY_FACE = "tests/jobs/test_faces.py"
"""Tests that run jobs from Python, the command line, batches and the page."""

PACKAGES = {
    "sessions": Package(
        ("src/segue/sessions/*.py",),
        ("tests/sessions",),
        left_out=(
            "tests/sessions/test_cutie_clips.py",
            "tests/sessions/test_golden_clips.py",
            "tests/sessions/test_recurrent_sessions.py",
            "tests/sessions/test_sam2.py",
            "tests/sessions/test_xmem_clips.py",
        ),
        keyword=SMALL_NETWORKS,
        through={
            "encoder_pictures.py": ("tests/sessions/test_instances.py",),
            "networks.py": (
                "tests/sessions/test_flip_tta.py",
                "tests/sessions/test_foreground.py",
                "tests/sessions/test_track.py",
            ),
            "passes.py": ("tests/sessions/test_two_passes.py",),
            "reverse.py": ("tests/jobs/test_reverse.py", "tests/jobs/test_session_parts.py"),
        },
    ),
    "memory": Package(
        ("src/segue/models/memory/*.py",),
        (
            "tests/sessions/test_memory.py",
            "tests/sessions/test_reading.py",
            "tests/sessions/test_penalty.py",
            "tests/sessions/test_track.py",
            "tests/sessions/test_flip_tta.py",
            "tests/sessions/test_tracker.py",
            "tests/models/test_memory_store.py",
            "tests/models/test_strays.py",
        ),
        keyword=SMALL_NETWORKS,
        through={
            "similarity.py": ("tests/models/test_memory_store.py",),
            "tracker.py": ("tests/sessions/test_flip_tta.py", "tests/sessions/test_track.py"),
        },
    ),
    "masks": Package(
        ("src/segue/masks/*.py",),
        ("tests/masks", "tests/prompts/test_annotation.py", "tests/prompts/test_discovery.py"),
        through={"detections.py": ("tests/masks/test_detections.py",)},
    ),
    "metrics": Package(("src/segue/metrics/*.py",), ("tests/metrics", "tests/cli/test_eval.py")),
    "jobs": Package(
        ("src/segue/jobs/*.py",),
        ("tests/jobs", "tests/api", "tests/cli/test_instances_models.py"),
        left_out=("tests/jobs/test_trainings.py",),
        through={
            "describing.py": ("tests/jobs/test_python_records.py", NATURAL_CALLS),
            "foreground.py": ("tests/jobs/test_python_records.py", NATURAL_CALLS, EVERY_FACE),
            "identity.py": ("tests/jobs/test_python_records.py",),
            "instances.py": ("tests/jobs/test_python_records.py", NATURAL_CALLS),
            "loop.py": (NATURAL_CALLS, EVERY_FACE),
            "prepared.py": (NATURAL_CALLS, EVERY_FACE),
            "prompting.py": (NATURAL_CALLS, EVERY_FACE),
            "running.py": (NATURAL_CALLS,),
            "tracking.py": (
                "tests/jobs/test_required.py",
                "tests/jobs/test_reverse.py",
                NATURAL_CALLS,
                EVERY_FACE,
            ),
            "whole.py": ("tests/jobs/test_whole.py", EVERY_FACE),
        },
    ),
    "batch": Package(
        ("src/segue/batch/*.py",),
        ("tests/batch",),
        left_out=(
            "tests/batch/test_power_cut.py",
            "tests/batch/test_ray_cluster.py",
            *(
                f"tests/batch/test_batch.py::test_{name}"
                for name in (
                    "a_killed_batch_ends_its_workers_and_goes_on",
                    "a_killed_worker_changes_no_byte",
                    "a_name_that_is_no_utf8_and_one_that_commands_the_terminal",
                    "ctrl_c_while_workers_import_is_silent_and_quick",
                    "every_video_gets_its_results_or_one_line_that_says_why_not",
                    "films_come_from_an_object_store_and_results_go_there",
                    "films_with_unlucky_names_delete_nothing_and_are_done",
                    "one_ctrl_c_ends_the_batch_in_seconds_with_everything_kept",
                    "results_are_no_sources_wherever_they_lie",
                    "two_nodes_of_a_ray_cluster_give_the_bytes_of_one_worker",
                    "two_rows_of_one_remote_film_do_not_take_it_from_one_another",
                )
            ),
        ),
    ),
    "store": Package(
        ("src/segue_web/store.py", "src/segue_web/labels.py", "src/segue_web/label_files.py"),
        (
            "tests/segue_web/test_project.py",
            "tests/segue_web/test_exports.py",
            "tests/segue_web/test_labels.py",
        ),
    ),
}


def names_used(text: str) -> set[str]:
    """What a program imports, and what it takes out of what it imports, as full names with dots."""
    tree = ast.parse(text)
    meant: dict[str, str] = {}
    used: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                used.add(one.name)
                top = one.name.partition(".")[0]
                meant[one.asname or top] = one.name if one.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for one in node.names:
                meant[one.asname or one.name] = f"{node.module}.{one.name}"
    used.update(meant.values())
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, _, rest = ast.unparse(node).partition(".")
            if first in meant:
                used.add(f"{meant[first]}.{rest}")
    return used


def module_of(source: Path) -> str:
    """The module of a file, as mutmut names its mutants."""
    return ".".join(source.with_suffix("").parts[1:]).removesuffix(".__init__")
