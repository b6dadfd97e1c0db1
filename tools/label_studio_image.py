"""Make the image of Label Studio in docs/tools.md again: a click on an image, and the mask of segue.

Label Studio pins many packages and has an environment of its own; SEGUE_LABEL_STUDIO names its command::

    SEGUE_LABEL_STUDIO=../label-studio/bin/label-studio python -m tools.label_studio_image docs/images
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.segue_web.services.images import centre, images, png, truth
from tests.segue_web.services.test_real_tools import CONFIGURATIONS, ask, label_studio, service, upload
from tools.page_images import browser_page


def main(target: Path) -> None:
    """Start both servers, click, and write ``label_studio.jpg``."""
    with tempfile.TemporaryDirectory() as scratch, label_studio(Path(scratch)) as tool:
        personal = ask(f"{tool}/api/token/", {})["token"]
        own = service("label-studio", Path(scratch), "--label-studio", tool, LABEL_STUDIO_API_KEY=personal)
        with own as address, browser_page(1280, 740) as page:
            configuration = (CONFIGURATIONS / "images.xml").read_text()
            project = ask(f"{tool}/api/projects/", {"title": "pond", "label_config": configuration})["id"]
            upload(f"{tool}/api/projects/{project}/import", "pond.png", png(images(1)[0]))
            (task,) = ask(f"{tool}/api/tasks/?project={project}")["tasks"]
            backend = {"url": address, "project": project, "title": "segue", "is_interactive": True}
            ask(f"{tool}/api/ml/", backend)
            page.goto(f"{tool}/user/login/")
            page.locator("input[name=email]").fill("a@example.org")
            page.locator("input[name=password]").fill("only-for-a-test")
            page.keyboard.press("Enter")
            page.wait_for_timeout(5_000)
            page.goto(f"{tool}/projects/{project}/data?task={task['id']}")
            page.get_by_text("Auto-Annotation").click()
            page.wait_for_timeout(1_000)
            page.get_by_text("object", exact=True).nth(1).click()  # the label of clicks
            page.wait_for_timeout(1_000)
            page.locator(".lsf-tool_smart").first.hover()
            page.locator(".lsf-tool_smart[aria-label=key-point-tool]").click()
            canvas = page.locator("canvas").last
            place, (height, width), (x, y) = canvas.bounding_box(), truth().shape, centre()
            page.mouse.click(
                place["x"] + x / width * place["width"], place["y"] + y / height * place["height"]
            )
            page.wait_for_timeout(8_000)
            page.screenshot(path=target / "label_studio.jpg", quality=85)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
