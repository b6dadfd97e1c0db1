"""`make dist` notices files that are missing or do not belong in an archive."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

from tools.check_dist import NOT_IN_THE_ARCHIVE, ROOT, faults_of_archive, faults_of_wheel, kept_files

KEPT = ["src/segue/__init__.py", "src/segue/assets/a.safetensors"]


def test_a_wheel_has_the_files_of_the_packages_and_no_others(tmp_path: Path) -> None:
    wheel = tmp_path / "segue-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in ("segue/__init__.py", "segue/assets/a.safetensors", "segue-0.1.0.dist-info/METADATA"):
            archive.writestr(name, "")
    assert faults_of_wheel(wheel, KEPT) == []
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("segue/__init__.py", "")
        archive.writestr("runs/last.ckpt", "")
    assert [line.partition(": ")[2] for line in faults_of_wheel(wheel, KEPT)] == [
        "segue/assets/a.safetensors is missing",
        "runs/last.ckpt does not belong there",
    ]


def test_a_source_archive_is_compared_with_the_tree(tmp_path: Path) -> None:
    archive = tmp_path / "segue-0.1.0.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in ("src/segue/__init__.py", "PKG-INFO", "docs/notes.md"):
            tar.addfile(tarfile.TarInfo(f"segue-0.1.0/{name}"), io.BytesIO())
    kept = [*KEPT, "uv.lock", ".github/workflows/ci.yml"]
    assert [line.partition(": ")[2] for line in faults_of_archive(archive, kept)] == [
        "src/segue/assets/a.safetensors is missing",
        "uv.lock is missing",
        "docs/notes.md does not belong there",
    ]


def test_the_source_archive_is_told_of_all_that_its_tests_read() -> None:
    try:
        tracked = kept_files(ROOT)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no repository here that git reads")
    settings = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli").loads(
        (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    )
    told = {name.strip("/") for name in settings["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]}
    by_hatchling = {"pyproject.toml", ".gitignore", "README.md", "LICENSE"}  # always
    kept = {name.partition("/")[0] for name in tracked}
    assert kept - {*NOT_IN_THE_ARCHIVE} == told | by_hatchling
