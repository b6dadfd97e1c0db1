"""Values that are made once, as long as they are used."""

from __future__ import annotations

from segue.utils.recent import lru_get


def test_the_values_that_were_used_last_are_kept() -> None:
    known: dict[str, str] = {}
    made: list[str] = []

    def make(name: str) -> str:
        made.append(name)
        return name.upper()

    for name in ("a", "b", "a", "c", "a", "b"):
        assert lru_get(known, name, lambda name=name: make(name), max_items=2) == name.upper()
    assert made == ["a", "b", "c", "b"], "b was used longest ago when c came"
    assert list(known) == ["a", "b"]
