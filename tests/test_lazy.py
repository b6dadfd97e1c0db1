"""Names of a package that are imported when they are first used."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package with one lazy name and one subpackage, importable and forgotten afterwards."""
    folder = tmp_path / "sleepy"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from segue.lazy import lazy_names\n"
        "__getattr__, __dir__ = lazy_names(__name__, {'sleepy.a': 'x y'}, ['b'])\n",
        encoding="utf-8",
    )
    (folder / "a.py").write_text("x = object()\n", encoding="utf-8")
    (folder / "b.py").write_text("z = 2\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "sleepy"
    for name in ("sleepy", "sleepy.a", "sleepy.b"):
        sys.modules.pop(name, None)


def test_a_module_is_imported_when_its_name_is_used(package: str) -> None:
    found = __import__(package)
    assert {"x", "y", "b"} <= set(dir(found))
    assert "sleepy.a" not in sys.modules
    first = found.x
    assert first is sys.modules["sleepy.a"].x
    assert vars(found)["x"] is first  # kept: not asked for again
    assert "sleepy.b" not in sys.modules
    assert found.b.z == 2


def test_what_is_not_there_is_an_attribute_error(package: str) -> None:
    found = __import__(package)
    with pytest.raises(AttributeError, match="'sleepy' has no attribute 'other'"):
        _ = found.other
    with pytest.raises(AttributeError, match=r"'sleepy.a' has no attribute 'y'"):
        _ = found.y
