"""Names of a package that are imported when they are first used."""

from __future__ import annotations

from segue.registry import MODELS
from segue.utils.lazy import LazyCallable


def test_names_of_the_catalogue_exist() -> None:
    lazy = 0
    for entry in MODELS:
        for made in (entry.build, entry.rename):
            named = getattr(made, "func", made)
            if isinstance(named, LazyCallable):
                assert callable(named.value), entry.name
                lazy += 1
    assert lazy > 30
