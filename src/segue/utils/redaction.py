"""Mask secrets of options in all texts that leave the process."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"
"""Stands in the place of a secret."""

MIN_LENGTH = 4
"""Characters of the shortest secret that is masked in any text; shorter ones are masked in addresses."""

_LOCK = threading.Lock()
_FORMS: set[str] = set()
_PATTERNS: dict[int, re.Pattern[str] | None] = {}


def add_secret(value: str) -> None:
    """Mask a value from now on, also URL-encoded."""
    forms = {value, quote(value), quote(value, safe=""), quote_plus(value)} - {""}
    with _LOCK:
        if not forms <= _FORMS:
            _FORMS.update(forms)
            _PATTERNS.clear()


def forget_secrets() -> None:
    """Forget all secrets."""
    with _LOCK:
        _FORMS.clear()
        _PATTERNS.clear()


def redact(text: str, min_length: int = MIN_LENGTH) -> str:
    """Mask all secrets of at least ``min_length`` characters in a text."""
    with _LOCK:
        if min_length not in _PATTERNS:
            _PATTERNS[min_length] = _pattern(form for form in _FORMS if len(form) >= min_length)
        pattern = _PATTERNS[min_length]
    return text if pattern is None else pattern.sub(MASK, text)


def redact_values(value: Any) -> Any:
    """Mask secrets in the texts of a JSON value, except keys."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {key: redact_values(each) for key, each in value.items()}
    return [redact_values(each) for each in value] if isinstance(value, (list, tuple)) else value


def _pattern(forms: Iterable[str]) -> re.Pattern[str] | None:
    """Pattern of all forms of secrets; longer ones match first."""
    ordered = sorted(forms, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, ordered))) if ordered else None
