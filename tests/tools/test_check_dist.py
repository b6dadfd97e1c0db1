"""`make dist` notices files that are missing or do not belong in an archive."""

from __future__ import annotations

import subprocess
import tomllib

import pytest

from tools.check_dist import NOT_IN_THE_ARCHIVE, ROOT, documented_extras, kept_files


def test_the_source_archive_is_told_of_all_that_its_tests_read() -> None:
    try:
        tracked = kept_files(ROOT)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no repository here that git reads")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    told = {name.strip("/") for name in settings["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]}
    by_hatchling = {"pyproject.toml", ".gitignore", "LICENSE"}  # always
    kept = {name.partition("/")[0] for name in tracked}
    assert kept - {*NOT_IN_THE_ARCHIVE} == told | by_hatchling


def test_extras_of_install_lines_are_those_of_segue() -> None:
    text = """
    pip install --constraint constraints.txt '.[train,web]'   # pip install '.[train,web]' again
    `pip install segue-0.1.0-py3-none-any.whl`, `pip install "segue[hf]"`, pip install '.[web]' cvat-cli
    pip install pandas, pip install "segue @ git+URL", pip install 'other[mqtt]'
    """
    assert documented_extras([text]) == ["", "[hf]", "[train,web]", "[web]"]
