"""Addresses in the metadata of a package."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest

ROOT = Path(__file__).resolve().parents[2]
ACTIONS = {"GITHUB_REPOSITORY": "Fish/segue", "GITHUB_REF_NAME": "v0.1.0"}


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What ``hatch_build.py`` defines; hatchling is there only while a package is built."""
    for name in ("hatchling", "hatchling.metadata", "hatchling.metadata.plugin"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    interface = SimpleNamespace(MetadataHookInterface=object)
    monkeypatch.setitem(sys.modules, "hatchling.metadata.plugin.interface", cast("ModuleType", interface))
    return runpy.run_path(str(ROOT / "hatch_build.py"))


Published = Callable[[str, Mapping[str, str]], tuple[dict[str, str], str]]


def test_links_of_the_readme_are_absolute_in_a_package_that_a_workflow_builds(hook: dict[str, Any]) -> None:
    published: Published = hook["published"]
    text = "![A](docs/a.webp) [B](docs/b.md) [C](https://example.org/c) [D](#d) [E](mailto:e@example.org)"
    urls, readme = published(text, ACTIONS)
    assert readme == (
        "![A](https://github.com/Fish/segue/raw/v0.1.0/docs/a.webp) "
        "[B](https://github.com/Fish/segue/blob/v0.1.0/docs/b.md) "
        "[C](https://example.org/c) [D](#d) [E](mailto:e@example.org)"
    )
    assert urls["Homepage"] == "https://github.com/Fish/segue"
    assert urls["Documentation"] == "https://fish.github.io/segue/"


def test_every_link_of_the_readme_leads_to_a_file(hook: dict[str, Any]) -> None:
    published: Published = hook["published"]
    _, readme = published((ROOT / "README.md").read_text(encoding="utf-8"), ACTIONS)
    for kind in ("raw", "blob"):
        start = f"https://github.com/Fish/segue/{kind}/v0.1.0/"
        paths = [part.split(")")[0].split("#")[0] for part in readme.split(start)[1:]]
        assert paths
        assert all((ROOT / path).is_file() for path in paths), paths
    assert "](docs/" not in readme


def test_a_package_that_is_built_anywhere_else_has_no_addresses(hook: dict[str, Any]) -> None:
    published: Published = hook["published"]
    assert published("[B](docs/b.md)", {}) == ({}, "[B](docs/b.md)")
