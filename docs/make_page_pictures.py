"""Draw the pictures of the labelling page and of the report, on the results of scripts/demo.

python docs/make_page_pictures.py

Needs chromium and chromedriver. Writes docs/labeling.png, labeling-audit.png, report.png and report-picks.png. The
questions of the audit that are about the four micrographs that a person labelled whole are answered by these labels.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from heliodor import read_picks
from heliodor.picking.answers import read_answers
from heliodor.report.write import write_report

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from browser_helpers import Label, Page, open_browser, prefer, wait  # noqa: E402

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

EXAMPLE, DEMO = ROOT / "examples/apoferritin", ROOT / "demo-output"
MATCH_RADIUS = 14.0  # pixels
GREYS, COLOURS = 32, 120  # in a picture; Pillow tells no more greys apart
RED, PANEL = (255, 107, 129), (30, 33, 38)  # of page.css: too rare, or too grey, to be found
SHRUNK = {"width": 1200, "height": 1500, "deviceScaleFactor": 0.8, "mobile": False}  # the window of the report


def keep(driver: Chrome, name: str, selector: str = "body", height: int | None = None) -> None:
    """Write what the browser shows of an element, or the top of its window, in few greys and few colours."""
    time.sleep(1)
    whole = height is None
    picture = (
        driver.find_element("css selector", selector).screenshot_as_png if whole else driver.get_screenshot_as_png()
    )
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image = image.crop((0, 0, image.width, height or image.height))
    pixels = np.asarray(image).reshape(-1, 3)
    coloured = pixels[np.ptp(pixels.astype(int), axis=1) > 40]  # few among the greys, which would have all the palette
    colours = Image.fromarray(coloured[None]).quantize(COLOURS).getpalette()
    greys = np.repeat(np.linspace(0, 255, GREYS).round().astype(int), 3).tolist()
    palette = Image.new("P", (1, 1))
    palette.putpalette([*greys, *RED, *PANEL, *(colours or [])[: 3 * COLOURS]])
    image.quantize(palette=palette, dither=Image.Dither.NONE).save(ROOT / "docs" / name, optimize=True)


def answer_questions(driver: Chrome, path: Path) -> None:
    """Answer as the person who labelled these micrographs."""
    human = read_picks(EXAMPLE / "human.txt")
    asked = read_answers(path).picks
    for row, (name, xy) in enumerate(zip(asked.names, asked.xy, strict=True)):
        near = np.hypot(*(human.of(name).xy - xy).T)
        if len(near):
            words = {"row": row, "answer": "yes" if (near < MATCH_RADIUS).any() else "no"}
            driver.execute_async_script(
                "const [words, done] = arguments; fetch('api/audit/answer', {method: 'POST',"
                "headers: {'Content-Type': 'application/json'}, body: JSON.stringify(words)}).then(done)",
                words,
            )


def draw_page(driver: Chrome, folder: Path) -> None:
    """Take the pictures of the labelling page."""
    shutil.copy(EXAMPLE / "labels.txt", folder)
    label = Label(str(EXAMPLE), "--diameter", "120", "--picks", str(DEMO), "--port", "0", cwd=folder)
    prefer(driver, "dark")
    page = Page(driver, label.url)
    wait(lambda: page.text("#picks-here") != "0")
    wait(lambda: driver.execute_script("return document.querySelectorAll('.thumb[src]').length") == 8)
    keep(driver, "labeling.png")
    page.click("#audit-open")
    wait(lambda: page.find("#audit").is_displayed())
    answer_questions(driver, folder / "labels-audit.tsv")
    page = Page(driver, label.url)
    wait(lambda: page.text("#audit-open") == "Continue the check")
    page.click("#audit-open")
    wait(lambda: driver.execute_script("return document.getElementById('audit-window').complete"))
    keep(driver, "labeling-audit.png", "#audit")
    label.close()


def draw_report(driver: Chrome) -> None:
    """Take the pictures of the report: its top, and the windows around picks."""
    prefer(driver, "light")
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", SHRUNK)
    driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
    driver.get(write_report(DEMO).as_uri())
    driver.execute_script("document.querySelector('.path').remove()")  # of this computer
    keep(driver, "report.png", height=744)
    driver.execute_script("document.querySelector('#picks h2').scrollIntoView()")
    keep(driver, "report-picks.png", height=1200)


def main() -> None:
    """Take all pictures."""
    driver = open_browser((1280, 887))
    with tempfile.TemporaryDirectory() as name:
        draw_page(driver, Path(name))
    draw_report(driver)
    driver.quit()


if __name__ == "__main__":
    main()
