"""What results lack of the frames that a protocol scores."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, get_args

from segue.datasets.results import Results
from segue.errors import DatasetError
from segue.naming import first_few

Missing = Literal["error", "empty"]
"""What to do about frames without a result: refuse to score, or score them as empty masks."""


def find_missing(results: Results, scored: Mapping[str, Collection[str]]) -> dict[str, tuple[str, ...]]:
    """Names of the frames without a result, by sequence; sequences that lack none are left out.

    Args:
        results: where to look.
        scored: names of the frames that are scored, by sequence.

    Raises:
        DatasetError: a sequence is there more than once, or two files have one name.
    """
    missing = {}
    for sequence, frames in scored.items():
        present = set(results.names(sequence)) if sequence in results else set()
        if absent := tuple(name for name in frames if name not in present):
            missing[sequence] = absent
    return missing


def say_missing(
    missing: Mapping[str, Collection[str]], scored: Mapping[str, Collection[str]], results: Results
) -> tuple[str, ...]:
    """Remarks for the reader: which sequences and frames were scored as empty masks; none if none were."""
    if not missing:
        return ()
    return (f"{_lacks(missing, scored, results)}; they were scored as empty masks",)


def check_missing(
    missing: Mapping[str, Collection[str]],
    scored: Mapping[str, Collection[str]],
    results: Results,
    policy: Missing,
) -> None:
    """Stop before any work if frames are missing and must not be.

    Raises:
        DatasetError: they are and the policy is ``error``, or there is no such policy.
    """
    if policy not in get_args(Missing):
        raise DatasetError(f"missing is {policy!r}; it must be one of {', '.join(get_args(Missing))}")
    if missing and policy == "error":
        raise DatasetError(
            f'{_lacks(missing, scored, results)}; add them, or score them as empty masks (missing="empty")'
        )


def _lacks(
    missing: Mapping[str, Collection[str]], scored: Mapping[str, Collection[str]], results: Results
) -> str:
    whole = [sequence for sequence, frames in missing.items() if len(frames) == len(scored[sequence])]
    single = [
        f"{sequence} {frame}"
        for sequence, frames in missing.items()
        if sequence not in whole
        for frame in frames
    ]
    parts = []
    if whole:
        parts.append(f"all frames of {first_few(whole)}")
    if single:
        parts.append(f"{len(single)} frame{'s' if len(single) > 1 else ''}: {first_few(single)}")
    return f"{results.path} lacks {' and '.join(parts)}"
