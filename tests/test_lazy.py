"""Names of a package that are imported when they are first used."""

from __future__ import annotations

from segue.lazy import LazyCallable
from segue.registry import MODELS
from segue.weights.described import settings_of


def test_what_the_catalogue_names_is_there_with_its_settings() -> None:
    lazy = 0
    for entry in MODELS:
        for made in (entry.build, entry.rename):
            named = getattr(made, "func", made)
            if isinstance(named, LazyCallable):
                assert callable(named.value), entry.name
                lazy += 1
    assert lazy > 30
    assert "mem_every=5" in str(settings_of(MODELS.find("stcn-lite")))
    assert "long_term" in str(settings_of(MODELS.find("xmem-no-sensory")))  # behind a partial call
