"""What optional parts of segue need besides a plain installation."""

from importlib.util import find_spec

EXTRAS = {
    "train": ("lightning-fabric", "tensorboard"),
    "synth": ("moderngl",),
    "web": ("fastapi", "uvicorn", "websockets"),
}
"""Packages of those extras of ``pyproject.toml`` without which a command cannot begin."""


def missing_packages(extra: str) -> str | None:
    """The packages of an extra that are not here, and what brings them; None if nothing is missing."""
    missing = [package for package in EXTRAS[extra] if find_spec(package.replace("-", "_")) is None]
    return f'{", ".join(missing)}: pip install "segue[{extra}]"' if missing else None
