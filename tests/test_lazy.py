"""Names of a package that are imported when they are first used."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from segue.lazy import LazyCallable
from segue.registry import MODELS
from segue.weights.described import settings_of


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
    (folder / "b.py").write_text("z = 2\ndef made(first, second): return first, second\n", encoding="utf-8")
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


def test_a_lazy_callable_imports_what_it_names_when_it_is_called(package: str) -> None:
    found = LazyCallable(f"{package}.b:made")
    assert "sleepy.b" not in sys.modules
    assert found(1, second=2) == (1, 2)
    assert found.value is sys.modules["sleepy.b"].made
    assert pickle.loads(pickle.dumps(found)).value is found.value
    assert repr(found) == "LazyCallable('sleepy.b:made')"


def test_what_the_catalogue_names_is_there_with_its_settings() -> None:
    lazy = 0
    for entry in MODELS:
        for made in (entry.build, entry.rename, entry.read):
            named = getattr(made, "func", made)
            if isinstance(named, LazyCallable):
                assert callable(named.value), entry.name
                lazy += 1
    assert lazy > 30
    assert "mem_every=5" in str(settings_of(MODELS.find("stcn-lite")))
    assert "long_term" in str(settings_of(MODELS.find("xmem-no-sensory")))  # behind a partial call
