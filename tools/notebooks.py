"""Execute the notebooks of the documentation and keep their outputs; ``make notebooks`` calls this.

Images are kept as JPEG alone, so that a notebook stays small.

Example::

    python tools/notebooks.py docs/notebooks/*.ipynb
"""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path
from typing import Any

from PIL import Image

QUALITY = 80


def small_outputs(notebook: Any) -> None:
    """Bring the images in the outputs of a notebook to JPEG, and drop what changes from run to run."""
    for cell in notebook["cells"]:
        cell.get("metadata", {}).pop("execution", None)  # times of day
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data:
                data["image/jpeg"] = _as_jpeg(data.pop("image/png"))
                data["text/plain"] = "an image"


def _as_jpeg(png: str) -> str:
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return base64.b64encode(file.getvalue()).decode()


def execute(path: Path) -> None:
    """Execute a notebook in its own folder, as Jupyter and VS Code do, and write it with its outputs."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(path.resolve().parent)}}
    ).execute()
    small_outputs(notebook)
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(name, flush=True)
        execute(Path(name))
