"""The page of the documentation on weights says what the catalogue says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segue.registry import MODELS, Entry

PAGE = Path(__file__).parents[2] / "docs" / "weights.md"

NETWORKS = [entry for entry in MODELS if entry.signature]


def shipped(entry: Entry) -> str:
    """Row of weights that come with segue."""
    return f"| `{entry.name}` | {entry.paper} | {entry.licence} |"


def downloaded(entry: Entry) -> str:
    """Row of weights that `segue weights get` downloads."""
    assert entry.remote is not None
    with torch.device("meta"):
        weights = sum(value.numel() for value in entry.build().state_dict().values())
    size = f"{entry.remote.size}" if entry.remote.size else "not stated"
    md5 = f"MD5 `{entry.remote.md5}`" if entry.remote.md5 else "not stated"
    checksum = f"`{entry.remote.sha256}`" if entry.remote.sha256 else md5
    address = f"<{entry.remote.address}>"
    return f"| `{entry.name}` | {address} | {size} | {weights / 1e6:.1f} | {checksum} | {entry.licence} |"


def fetched(entry: Entry) -> str:
    """Row of weights that users get themselves."""
    return f"| `{entry.name}` | {entry.source} | {entry.licence} |"


def trained(entry: Entry) -> str:
    """Row of networks of which nobody published weights."""
    return f"| `{entry.name}` | `{entry.training}` | {entry.paper} |"


def rows() -> list[str]:
    """Rows of all tables in the order of the page."""
    with_remote = [entry for entry in NETWORKS if entry.remote]
    with_source = [entry for entry in NETWORKS if entry.source and not entry.remote]
    with_file = [entry for entry in NETWORKS if entry.bundled]
    others = [entry for entry in NETWORKS if not entry.bundled and not entry.remote and not entry.source]
    return [
        *map(shipped, with_file),
        *map(downloaded, with_remote),
        *map(fetched, with_source),
        *map(trained, others),
    ]


def test_the_tables_of_the_page_are_the_catalogue() -> None:
    if not PAGE.exists():
        pytest.skip("the documentation is not part of this installation")
    found = [line for line in PAGE.read_text().splitlines() if line.startswith("| `") and line.count("`") > 1]
    named = {f"| `{entry.name}` |" for entry in NETWORKS}
    tables = [line for line in found if any(line.startswith(name) for name in named)]
    assert tables == rows(), "docs/weights.md should have these rows:\n" + "\n".join(rows())
