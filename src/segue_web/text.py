"""Texts that people give, which other programs have to read."""

from __future__ import annotations

import unicodedata


def without_controls(text: str) -> str:
    """Leave out control characters, lone surrogates and what is no character, which XML cannot hold."""
    return "".join(
        one for one in text if unicodedata.category(one) not in ("Cc", "Cs") and one not in "\ufffe\uffff"
    )
