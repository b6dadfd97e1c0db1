"""Addresses of the project in the metadata of a package, which are those of the repository that builds it.

GitHub Actions names the repository and the tag or branch in the environment; a package that is built
anywhere else has no addresses.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

IMAGES = (".jpg", ".png", ".svg", ".webp")
RELATIVE = re.compile(r"\]\((?!#|[a-z]+:)([^)\s]+)\)")
"""The target of a link or an image of Markdown that lies in the repository."""


class BuildMetadata(MetadataHookInterface):
    """Gives ``readme`` and ``urls``."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set what ``project.dynamic`` names, but for the version."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["urls"], text = published(text, os.environ)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def published(readme: str, environment: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Addresses, and the README with absolute links; outside GitHub Actions none, and as it is."""
    repository, ref = environment.get("GITHUB_REPOSITORY"), environment.get("GITHUB_REF_NAME")
    if not repository or not ref:
        return {}, readme
    owner, _, name = repository.partition("/")
    home = f"{environment.get('GITHUB_SERVER_URL', 'https://github.com')}/{repository}"

    def absolute(link: re.Match[str]) -> str:
        kind = "raw" if link[1].endswith(IMAGES) else "blob"
        return f"]({home}/{kind}/{ref}/{link[1]})"

    urls = {
        "Homepage": home,
        "Documentation": f"https://{owner.lower()}.github.io/{name}/",
        "Changelog": f"{home}/blob/{ref}/CHANGELOG.md",
        "Issues": f"{home}/issues",
    }
    return urls, RELATIVE.sub(absolute, readme)
